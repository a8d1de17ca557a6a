"""Where a Chat Completions payload can be sent: the table of providers.toml."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from helpers.lanes import MODELS
from helpers.practice import process
from helpers.practice.toml import read


class Provider(NamedTuple):
    """A base URL, the header that carries the key (empty: no key), what differs there, and who says so."""

    base_url: str
    key_header: str
    differs: str
    source: str


PROVIDERS = {
    name: Provider(**facts) for name, facts in read(Path(__file__).with_name("providers.toml")).items()
}


class Practice(NamedTuple):
    """The practice server, which plays several providers: its URL, and its model for each role."""

    url: str
    models: dict[str, str]


def practice(home: Path | None = None) -> Practice:
    """The practice server, started if need be, whoever answers the lesson. Raises CourseError.

    With `home`, an empty folder, it is another one, which keeps its models and keys there and ends with this
    process.
    """
    server = process.ensure(home, os.getpid()) if home else process.ensure()
    return Practice(server.url, read(MODELS)["practice"])
