"""`ollama serve`: the practice server in the foreground, with Ollama's variables and Ollama's log.

What it says at its start goes to stderr as in Ollama 0.32.15, with the places in Ollama's source that say so;
a line for each reply goes to stdout. Its models are those of the course's practice home, or of OLLAMA_MODELS.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from helpers.errors import CourseError

from . import keys, process
from .cli_client import host, join, variable
from .cli_files import os_text
from .cli_format import duration, parse_duration
from .command_texts import ERRORS, VERSION
from .errors import Refusal

FOREVER = 2**63 - 1  # nanoseconds
LOCAL = ("localhost", "127.0.0.1", "0.0.0.0")
DESKTOP = ("app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*")
ORIGINS = [
    f"{scheme}://{name}{port}" for name in LOCAL for port in ("", ":*") for scheme in ("http", "https")
] + [*DESKTOP]

KEY_MISSING = "Couldn't find '{path}'. Generating new private key."
KEY_MADE = "Your new public key is: \n\n{key}\n"

# What Go's net package says of what the system answered to a bind.
REFUSALS = {"EADDRINUSE": "address already in use", "EADDRNOTAVAIL": "cannot assign requested address"}


def serve() -> int:
    """Serves until Ctrl-C. Raises CourseError if the address cannot be taken or the models cannot be kept."""
    home = process.course_home()
    _make_key(home)
    listener = _listen()
    from . import server

    models = Path(variable("OLLAMA_MODELS") or home / "models").absolute()
    _log("routes.go:1951", "server config", f'env="map[{_settings(models)}]"')
    _log("routes.go:1953", f"Ollama cloud disabled: {_switch(variable('OLLAMA_NO_CLOUD'), False)}")
    _make_folder(models / "blobs", "{error}: ensure path elements are traversable")
    try:
        app = server.build(
            home,
            model_folder=models,
            frozen=bool(os.environ.get("COURSE_FROZEN")),
            pace=0.0 if os.environ.get("COURSE_FROZEN") else process.PACE,
            log=_print_line,
        )
    except OSError as error:
        raise CourseError(os_text(error)) from None
    except Refusal as error:
        raise CourseError(error.text) from None
    blobs = sum(path.is_file() for path in (models / "blobs").iterdir())
    _log("images.go:919", f"total blobs: {blobs}")
    _log("images.go:926", "total unused blobs removed: 0")
    address = join(*map(str, listener.getsockname()[:2]))
    _log("routes.go:2008", f"Listening on {address} (version {VERSION})")
    _log("runner.go:60", "discovering available GPUs...")
    _log("types.go:50", "inference compute", _processor())
    _log("routes.go:2058", "vram-based default context", 'total_vram="0 B" default_num_ctx=4096')
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    held = None if variable("OLLAMA_MODELS") else _announce(home, listener.getsockname()[1])
    server.run(app, listener)
    if held:
        held.release()
    return 0


def _make_key(home: Path) -> None:
    """The key pair by which the cloud knows this machine, if the home has none yet."""
    private = home / keys.PRIVATE
    try:
        private.stat()
        return
    except FileNotFoundError:
        print(KEY_MISSING.format(path=private), flush=True)
    except OSError:  # what is wrong with the home shows at its models
        return
    _make_folder(home, "could not create directory {error}")
    try:
        print(KEY_MADE.format(key=keys.public_key(home)), flush=True)
    except OSError as error:
        raise CourseError(os_text(error)) from None


def _make_folder(path: Path, said: str) -> None:
    """A folder and those above it. Raises CourseError: `said` around Go's words, which name the topmost."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        while not path.parent.exists():
            path = path.parent
        first = path if path.parent.is_dir() else path.parent
        text = f"mkdir {first}: {(error.strerror or str(error)).lower()}"
        raise CourseError(said.format(error=text)) from None


def _announce(home: Path, port: int) -> FileLock | None:
    """Make this the home's own server, which notebooks find, unless it has one."""
    lock = FileLock(home / "server.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return None
    process.announce(home, f"http://127.0.0.1:{port}")
    return lock


def _listen() -> socket.socket:
    _, name, port, _ = host()
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            name or None, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except OSError:
        raise CourseError(f"listen tcp: lookup {name}: no such host") from None
    listener = socket.socket(family, kind, protocol)
    if sys.platform != "win32":
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(address)
        listener.listen(2048)
    except OSError as error:
        listener.close()
        import errno

        reason = REFUSALS.get(errno.errorcode.get(error.errno or 0, ""), (error.strerror or "").lower())
        raise CourseError(ERRORS["listen"].format(address=join(name, port), reason=reason)) from None
    return listener


# --- the log ------------------------------------------------------------------------------------------------


def _print_line(line: str) -> None:
    print(line, flush=True)


def _log(source: str, message: str, more: str = "") -> None:
    """A line as Go's slog writes it."""
    now = datetime.now(timezone.utc).astimezone()
    at = now.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = f'time={at} level=INFO source={source} msg="{message}"'
    print(f"{line} {more}".rstrip(), file=sys.stderr, flush=True)


def _processor() -> str:
    import psutil

    memory = psutil.virtual_memory()
    total, available = (f"{size / 2**30:.1f} GiB" for size in (memory.total, memory.available))
    return (
        'id=cpu library=cpu compute="" name=cpu description=cpu libdirs=ollama driver="" pci_id="" type="" '
        f'total="{total}" available="{available}"'
    )


def _settings(models: Path) -> str:
    """The settings of the server in the order in which Go writes them."""
    known: dict[str, str] = dict.fromkeys(TEXTS, "")
    known |= {name: variable(name) for name in TEXTS}
    known |= {
        name: variable(name) if variable(name).isdecimal() else default for name, default in COUNTS.items()
    }
    known |= {name: _switch(variable(name), default) for name, default in SWITCHES.items()}
    known |= {name: _time(variable(name), zero) for name, zero in TIMES.items()}
    scheme, name, port, path = host()
    known["OLLAMA_HOST"] = f"{scheme}://{join(name, port)}{path}"
    known["OLLAMA_DEBUG"] = _level(variable("OLLAMA_DEBUG"))
    known["OLLAMA_MODELS"] = str(models)
    own = variable("OLLAMA_ORIGINS")
    known["OLLAMA_ORIGINS"] = f"[{' '.join([*(own.split(',') if own else []), *ORIGINS])}]"
    known["OLLAMA_REMOTES"] = f"[{' '.join((variable('OLLAMA_REMOTES') or 'ollama.com').split(','))}]"
    return " ".join(f"{name}:{known[name]}" for name in sorted(known))


def _switch(text: str, default: bool) -> str:
    if not text:
        return str(default).lower()
    return str(text not in ("0", "f", "F", "FALSE", "false", "False")).lower()


def _time(text: str, zero: Callable[[int], bool]) -> str:
    nanoseconds = 300 * 10**9
    try:
        nanoseconds = parse_duration(text) if text else nanoseconds
    except ValueError:
        if text.lstrip("+-").isdecimal():
            nanoseconds = int(text) * 10**9
    return duration(FOREVER if zero(nanoseconds) else nanoseconds)


def _level(text: str) -> str:
    if text in ("1", "t", "T", "TRUE", "true", "True"):
        return "DEBUG"
    number = int(text) if text.lstrip("+-").isdecimal() else 0
    level = -4 * number
    base, name = next((b, n) for b, n in LEVELS if level >= b) if level >= -4 else (-4, "DEBUG")
    return name if level == base else f"{name}{level - base:+d}"


LEVELS = ((8, "ERROR"), (4, "WARN"), (0, "INFO"), (-4, "DEBUG"))
TEXTS = (
    "CUDA_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "HIP_VISIBLE_DEVICES",
    "HSA_OVERRIDE_GFX_VERSION",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LLAMA_ARG_FIT",
    "LLAMA_ARG_FIT_TARGET",
    "NO_PROXY",
    "OLLAMA_EDITOR",
    "OLLAMA_IGPU_ENABLE",
    "OLLAMA_KV_CACHE_TYPE",
    "OLLAMA_LLM_LIBRARY",
    "ROCR_VISIBLE_DEVICES",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)
COUNTS = {
    "OLLAMA_CONTEXT_LENGTH": "0",
    "OLLAMA_GPU_OVERHEAD": "0",
    "OLLAMA_MAX_LOADED_MODELS": "0",
    "OLLAMA_MAX_QUEUE": "512",
    "OLLAMA_MAX_TRANSFER_STREAMS": "4",
    "OLLAMA_NUM_PARALLEL": "1",
}
SWITCHES = {
    "OLLAMA_DEBUG_LOG_REQUESTS": False,
    "OLLAMA_FLASH_ATTENTION": False,
    "OLLAMA_GO_TEMPLATE": True,
    "OLLAMA_NOHISTORY": False,
    "OLLAMA_NOPRUNE": False,
    "OLLAMA_NO_CLOUD": False,
    "OLLAMA_SCHED_SPREAD": False,
    "OLLAMA_VULKAN": True,
}
TIMES: dict[str, Callable[[int], bool]] = {  # which durations mean for ever
    "OLLAMA_KEEP_ALIVE": lambda nanoseconds: nanoseconds < 0,
    "OLLAMA_LOAD_TIMEOUT": lambda nanoseconds: nanoseconds <= 0,
}
