"""How `python3 -m helpers lab` sets JupyterLab up; arguments of the command line win over this file.

The learner's own Jupyter settings stay as they are: lab puts this folder on JUPYTER_CONFIG_PATH.
"""

import os
import shutil
from pathlib import Path

import zmq

c = get_config()  # type: ignore[name-defined]  # noqa: F821

c.Application.log_level = "WARN"
c.ServerApp.root_dir = str(Path(__file__).resolve().parents[2])
c.ServerApp.allow_root = hasattr(os, "geteuid") and os.geteuid() == 0  # in a container the learner is root
if os.name != "nt":  # not as a login shell, whose profile would set PATH anew and lose the practice command
    shell = os.environ.get("SHELL") or shutil.which("sh")
    c.ServerApp.terminado_settings = {"shell_command": [shell]}
if zmq.has("curve"):
    c.KernelManager.transport_encryption = "auto"  # else each kernel warns that it has none

# A second line against a hostile text that a learner's own cell shows as HTML: the page runs no script but
# Lab's own, and loads nothing from elsewhere. Widgets are `blob:` modules; Lab itself needs `unsafe-eval`.
POLICY = {
    "default-src": "'self'",
    "script-src": "'self' 'unsafe-eval' blob:",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self' data:",
    "connect-src": "'self' ws: wss: blob: data:",
    "worker-src": "'self' blob:",
    "frame-src": "'self' blob: data:",
    "frame-ancestors": "'self'",
    "form-action": "'self'",
    "object-src": "'none'",
    "base-uri": "'self'",
}
policy = "; ".join(f"{name} {sources}" for name, sources in POLICY.items())
c.ServerApp.tornado_settings = {"headers": {"Content-Security-Policy": policy}}

c.LabApp.default_url = "/lab/tree/notebooks/00_start_here.ipynb"
c.LabApp.extension_manager = "readonly"
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.NeverCheckForUpdate"
