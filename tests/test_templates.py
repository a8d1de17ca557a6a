"""Go templates read and filled in; every expected text was given by Ollama's own template package."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.practice import gorender
from helpers.practice.gotemplate import BadTemplate

COMPLAINTS = [
    ("{{ .A", "template: :1: unclosed action"),
    ("a\n{{ .A }", 'template: :2: unexpected "}" in operand'),
    ("{{ if }}x{{ end }}", "template: :1: missing value for if"),
    ("{{ if .A }}", "template: :1: unexpected EOF"),
    ("{{ end }}", "template: :1: unexpected {{end}}"),
    ("{{ else }}", "template: :1: unexpected {{else}}"),
    ("{{}}", "template: :1: missing value for command"),
    ("{{ nofunc }}", 'template: :1: function "nofunc" not defined'),
    ("{{ $x }}", 'template: :1: undefined variable "$x"'),
    ('{{ "a }}', "template: :1: unterminated quoted string"),
    ("{{ (.A }}", "template: :1: unclosed left paren"),
    ("{{ .A | 3 }}", "template: :1: non executable command in pipeline stage 2"),
    ("{{ break }}", "template: :1: {{break}} outside {{range}}"),
    ("{{ .A.B# }}", "template: :1: bad character U+0023 '#'"),
    ("{{ 1.x }}", 'template: :1: bad number syntax: "1.x"'),
    ("{{ if .A }}{{ else }}{{ else }}{{ end }}", "template: :1: expected end; found {{else}}"),
    ("{{ /* a }}", 'template: :1: unexpected "/" in command'),
    ("{{/* a }}", "template: :1: unclosed comment"),
    ("{{ .A }}{{", "template: :1: unclosed action"),
]


@pytest.mark.parametrize(("text", "complaint"), COMPLAINTS)
def test_a_template_that_cannot_be_read(text: str, complaint: str) -> None:
    with pytest.raises(BadTemplate) as caught:
        gorender.read(text)
    assert str(caught.value) == complaint


SYSTEM = {"role": "system", "content": "Be kind."}
USER = {"role": "user", "content": "Hi"}
TALK = [SYSTEM, USER, {"role": "assistant", "content": "Yo"}, {"role": "user", "content": "Bye"}]
TOOL = {
    "type": "function",
    "function": {
        "name": "f",
        "parameters": {
            "type": "object",
            "properties": {"b": {"type": "string", "minimum": 2}, "a": {"enum": [1]}},
        },
    },
}
PROMPTS: list[tuple[str, list[dict[str, Any]], list[dict[str, Any]], Any, str]] = [
    ("{{ .Prompt }}", [USER], [], None, "Hi"),
    ("[{{ .System }}|{{ .Prompt }}|{{ .Response }}]", TALK, [], None,
     "[Be kind.|Hi|Yo][|Bye|"),
    ("{{ range .Messages }}<{{ .Role }}>{{ .Content }}{{ end }}", [USER, USER], [], None,
     "<user>Hi\n\nHi"),
    ("{{ range $i, $_ := .Messages }}{{ $i }}{{ if eq .Role \"user\" }}u{{ end }}{{ end }}", TALK, [], None,
     "01u23u"),
    ("{{ $l := len .Messages }}{{ range $i, $m := .Messages }}{{ if eq $l 4 }}"
     "{{ slice $m.Content 1 }}{{ end }}{{ end }}", TALK, [], None, "e kind.ioye"),
    ("{{ $m := .Messages }}{{ (index $m 1).Content }}  {{- .System }}", TALK, [], None, "HiBe kind."),
    ("{{ range .Messages }}{{ end }}{{ .Think }}{{ .ThinkLevel }}{{ .IsThinkSet }}{{ .No }}",
     [USER], [], "high", "truehightrue<no value>"),
    ("{{ range .Messages }}{{ end }}{{ range .Tools }}{{ . }}{{ end }}", [USER], [TOOL], None,
     '{"type":"function","function":{"name":"f","description":"","parameters":{"type":"object",'
     '"properties":{"a":{"enum":[1]},"b":{"type":"string"}}}}}'),
    ("{{ range .Messages }}{{ json .Content }}{{ end }}", [{"role": "user", "content": "<&>"}], [], None,
     '"\\u003c\\u0026\\u003e"'),
]  # fmt: skip


@pytest.mark.parametrize(("text", "messages", "tools", "think", "prompt"), PROMPTS)
def test_a_template_that_is_filled_in(
    text: str, messages: list[dict[str, Any]], tools: list[dict[str, Any]], think: Any, prompt: str
) -> None:
    assert gorender.prompt(text, messages, tools, think) == prompt


def test_what_a_template_says_a_model_can_do() -> None:
    thinking = "{{ range .Messages }}{{ if .Thinking }}<think>{{ .Thinking }}</think>{{ end }}{{ end }}"
    assert gorender.capabilities(thinking) == ["thinking"]
    assert gorender.thinking_tags(gorender.read(thinking)) == ("<think>", "</think>")
    assert gorender.capabilities("{{ .Tools }}{{ .Prompt }}{{ .Suffix }}") == ["tools", "insert"]
    assert gorender.capabilities("{{ .Broken") == []


WORDS = st.sampled_from([
    "{{", "}}", "{{-", "-}}", "if", "else", "end", "range", "with", "define", "template", "block",
    ".Messages", ".Content", "$x", ":=", "=", ",", "|", "(", ")", '"a"', "`b`", "'c'", "1", "2.5", "-1",
    "0x1f", "eq", "and", "not", "len", "index", "slice", "json", ".", "$", "nil", "true", "break", "#",
    "@", "é", "/*", "*/", "text", " ", "\n",
])  # fmt: skip


@settings(max_examples=250, deadline=None, derandomize=True)
@given(st.lists(WORDS, max_size=25).map(" ".join) | st.text(max_size=40))
def test_any_text_is_filled_in_or_refused(text: str) -> None:
    try:
        gorender.prompt(text, TALK, [TOOL], True)
    except BadTemplate as error:
        assert str(error).startswith(("template: ", "undefined "))
