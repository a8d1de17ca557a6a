"""my_code/assistant/assistant.py, run as a learner runs it, against the practice server."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "my_code" / "assistant" / "assistant.py"
KEY = "sk-practice-0123456789abcdef"


def talk(base: str, typed: str, key: str = KEY) -> subprocess.CompletedProcess[str]:
    """What comes of these lines, typed at the prompt."""
    env = os.environ | {"OPENAI_BASE_URL": base, "OPENAI_API_KEY": key, "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(
        [sys.executable, str(SCRIPT)], env=env, input=typed, capture_output=True, text=True, timeout=60
    )


def test_a_tool_is_called_and_its_result_told(url: str) -> None:
    done = talk(url + "/openai/v1", "Please multiply 6 by 7\n")
    assert done.returncode == 0 and "42" in done.stdout and "tokens left" in done.stdout


def test_it_remembers_what_was_said_before(url: str) -> None:
    done = talk(url + "/openai/v1/", "My name is Ada.\nWhat is my name?\n\nnot read any more\n")
    assert done.returncode == 0 and done.stdout.count("Ada") == 2 and done.stdout.count("> ") == 3


@pytest.mark.parametrize(
    ("base", "key", "said"),
    [
        ("{url}/openai/v1", "wrong-key-0123456789abcdef", "401"),
        ("{url}/openai/v1", "ключ", "check OPENAI_BASE_URL, OPENAI_API_KEY"),
        ("{url}/nowhere", KEY, "404"),
        ("http://127.0.0.1:9/v1", KEY, "ConnectError: check OPENAI_BASE_URL"),
        ("no address", KEY, "check OPENAI_BASE_URL"),
    ],
)
def test_what_goes_wrong_is_said_without_a_traceback_or_the_key(
    url: str, base: str, key: str, said: str
) -> None:
    done = talk(base.format(url=url), "Hello\n", key)
    assert done.returncode == 1 and said in done.stderr
    assert "Traceback" not in done.stderr and key not in done.stdout + done.stderr
