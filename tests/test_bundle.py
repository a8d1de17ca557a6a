"""The widgets' bundle: built from its sources and nothing else, small, and in need of no network."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from helpers.widgets import Difference, PayloadEditor
from helpers.widgets.bundle import STATIC, whole

FRONTEND = STATIC.with_name("frontend")
BUILT = ("widgets.js", "LICENSES.txt")
NPM = shutil.which("npm")
EXACT = re.compile(r"\d+\.\d+\.\d+")


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=110)


@pytest.mark.skipif(NPM is None, reason="no npm on this machine")
def test_the_sources_build_the_bundle_byte_for_byte(tmp_path: Path) -> None:
    assert NPM
    source, built = tmp_path / "frontend", tmp_path / "static"
    shutil.copytree(FRONTEND, source, ignore=shutil.ignore_patterns("node_modules"))
    installed = run(source, NPM, "ci", "--no-audit", "--no-fund", "--prefer-offline", "--fetch-retries=0")
    if installed.returncode:
        reason = re.search(
            r"\b(E?NOTFOUND|EAI_AGAIN|E?CONNREFUSED|ETIMEDOUT|ENETUNREACH)\b", installed.stderr
        )
        assert reason, installed.stderr
        pytest.skip(f"the npm registry cannot be reached ({reason[0]})")
    made = run(source, NPM, "run", "build")
    assert made.returncode == 0, made.stderr
    for name in BUILT:
        assert (built / name).read_bytes() == (STATIC / name).read_bytes(), f"{name}: npm ci && npm run build"


def test_the_bundle_is_small_and_loads_nothing() -> None:
    assert sum(file.stat().st_size for file in STATIC.iterdir()) < 500_000
    bundle = (STATIC / "widgets.js").read_text("utf-8")
    for word in (
        r"\bfetch\(",
        r"\bimport\(",
        r"\bimport\s*[{*\"']",
        "XMLHttpRequest",
        "WebSocket",
        "@import",
        r"url\((?![\"']?data:)",
    ):
        assert not re.search(word, bundle), word
    assert set(re.findall(r"\bhttps?://[^/\"'`\s]*", bundle)) <= {
        "http://www.w3.org"
    }  # a name space, no address


def test_every_package_is_pinned_and_no_registry_is_named() -> None:
    wanted = json.loads((FRONTEND / "package.json").read_text("utf-8"))["devDependencies"]
    lock_text = (FRONTEND / "package-lock.json").read_text("utf-8")
    locked = json.loads(lock_text)["packages"]
    for name, version in wanted.items():
        assert EXACT.fullmatch(version), name
        assert locked[f"node_modules/{name}"]["version"] == version
    assert all("integrity" in one for name, one in locked.items() if name)
    assert "resolved" not in lock_text


def test_every_package_of_the_bundle_has_its_licence_beside_it() -> None:
    licences = (STATIC / "LICENSES.txt").read_text("utf-8")
    for name in ("@codemirror/view", "@lezer/json", "style-mod", "w3c-keyname", "codemirror 6.0.2"):
        assert name in licences
    assert licences.count("Permission is hereby granted") == licences.count("Copyright")


def test_an_editor_without_a_page_shows_its_text_and_what_is_wrong() -> None:
    editor = PayloadEditor('{"😀": 1,\n "model": tru}')
    assert repr(editor).splitlines()[-1].startswith("2:11 error: ")
    editor.value = '{"a": "<b>"}'
    shown = editor._repr_mimebundle_()
    assert shown["text/plain"] == '{"a": "<b>"}'
    assert shown["text/html"] == "<pre>{&quot;a&quot;: &quot;&lt;b&gt;&quot;}</pre>"
    editor.diagnostics = [{"start": 1, "end": 4, "severity": "warning", "message": "Line 1, column 2: odd"}]
    assert repr(editor) == '{"a": "<b>"}\n1:2 warning: odd'


def test_half_a_character_becomes_its_escape_and_says_so() -> None:
    editor = PayloadEditor()
    editor.value = '{"a": "\ud83d!"}'
    assert editor.value == r'{"a": "\ud83d!"}'
    assert "U+D83D" in repr(editor)
    assert whole("\ud83d\ude00 \ude00") == "😀 \\ude00"


def test_what_was_typed_before_the_kernels_change_was_seen_is_passed_over() -> None:
    editor = PayloadEditor("{}")
    seen: list[str] = []
    editor.on_submit(lambda one: seen.append(one.value))

    def page_says(text: str | None, version: int, submit: bool = False) -> None:
        said = {"type": "typed", "text": text, "seen": version, "submit": submit, "by": 1, "number": 1}
        editor._code._handle_custom_msg(said, [])

    version = editor._code.version
    page_says("{1}", version)
    assert (editor.value, editor._code.version) == ("{1}", version)
    editor.value = "{2}"
    page_says("{1, 3}", version, submit=True)
    assert editor.value == "{2}"
    assert seen == []
    page_says(None, editor._code.version, submit=True)
    assert seen == ["{2}"]


def test_a_change_in_answer_to_what_is_typed_goes_back_to_the_page() -> None:
    editor = PayloadEditor("{}")
    editor.observe(lambda change: setattr(editor, "value", change.new.replace("x", "y")), "value")
    version = editor._code.version
    said = {"type": "typed", "text": '{"x"}', "seen": version, "submit": False, "by": 1, "number": 1}
    editor._code._handle_custom_msg(said, [])
    assert editor.value == editor._code.value == '{"y"}'
    assert editor._code.version == version + 1


def test_the_plain_text_area_stands_in_until_the_page_has_drawn_the_editor() -> None:
    editor = PayloadEditor("{}", label="The payload")
    code, area = editor.children
    assert (area.value, area.description) == ("{}", "The payload")
    area.value = '{"typed": 1}'
    assert editor.value == code.value == '{"typed": 1}'
    code._handle_custom_msg({"type": "here"}, [])
    assert editor.children == (code,)


def test_a_difference_reads_as_a_unified_diff() -> None:
    shown = Difference("a\nb", "a\n<i>", left_label="one", right_label="two")
    assert repr(shown) == "--- one\n+++ two\n@@ -1,2 +1,2 @@\n a\n-b\n+<i>"
    data = shown._repr_mimebundle_()
    data = data[0] if isinstance(data, tuple) else data
    assert "&lt;i&gt;" in data["text/html"]
    assert repr(Difference("same", "same")) == ""
