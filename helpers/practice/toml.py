"""TOML on every Python: tomllib where there is one, tomli on 3.10."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read(path: Path) -> dict[str, Any]:
    """The file at `path`. Raises OSError, or ValueError for what is no TOML."""
    with open(path, "rb") as file:
        return tomllib.load(file)
