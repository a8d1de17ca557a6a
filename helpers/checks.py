"""`python3 -m helpers test`: every check of the course, in the order of their speed.

  test           ruff, mypy, then pytest over the helpers and every notebook
  test ARGS      only pytest, with these arguments: test notebooks, test -k doctor, test -x

A check that fails does not keep the next ones from running; the exit code is that of the first that failed.
"""

from __future__ import annotations

import subprocess
import sys
import time

from helpers.environment import CHECKOUT

PYTEST = ("pytest", "--numprocesses=auto", "--maxprocesses=4", "--no-loadscope-reorder")
CHECKS = (("ruff", "check"), ("ruff", "format", "--check"), ("mypy",), PYTEST)


def main(argv: list[str]) -> int:
    checks = (("pytest", *argv),) if argv else CHECKS
    started = time.monotonic()
    failed = []
    for number, check in enumerate(checks, 1):
        print(f"Check {number} of {len(checks)}: {' '.join(check)}", flush=True)
        code = subprocess.run([sys.executable, "-m", *check], cwd=CHECKOUT).returncode
        if code:
            failed.append((" ".join(check), code))
    took = f"{time.monotonic() - started:.0f} s"
    if not failed:
        print(f"All is well: {len(checks)} of {len(checks)} checks passed in {took}.")
        return 0
    names = ", ".join(f"{name} (exit code {code})" for name, code in failed)
    print(f"Not yet: {len(failed)} of {len(checks)} checks failed in {took}: {names}.")
    return failed[0][1]
