"""The table of fields is whole, and agrees with the servers; presets are payloads that are taken."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers import fields, presets
from helpers.errors import CourseError
from helpers.practice.openai_fields import CHAT
from helpers.widgets.payload import lint
from helpers.widgets.payload_form import PayloadForm

SURFACES = [
    ("openai", "/chat/completions"),
    ("ollama", "/chat/completions"),
    ("native", "/api/chat"),
    ("native", "/api/generate"),
]
KEY = {"authorization": "Bearer sk-practice"}


@pytest.mark.parametrize(("kind", "path"), SURFACES)
def test_every_field_has_a_meaning_a_type_and_a_source(kind: str, path: str) -> None:
    known = fields.request(kind, path)
    assert len(known) > 20
    for one in known.values():
        assert one.meaning and one.shape.kind and one.source.startswith("https://"), one.place
        assert "\n" not in one.meaning and len(one.meaning) < 125, one.place


def test_the_table_names_no_field_that_no_server_knows() -> None:
    places = {place for kind, path in SURFACES for place in fields.request(kind, path)}
    for section in ("request", "ollama", "native"):
        assert set(fields.TABLE[section]) <= places
    outer = {place for place in places if "." not in place}
    for other in fields.TABLE["called"].values():
        assert {one.partition(".")[0] for one in other.values()} <= outer


def test_every_source_is_an_address_and_is_used() -> None:
    used = {"params", "types", "go"}
    for name, section in fields.TABLE.items():
        for said in section.values() if name not in ("sources", "same") else ():
            named = said.get("source", []) if isinstance(said, dict) else []
            used |= {named} if isinstance(named, str) else set(named)
    assert used - {""} <= set(fields.TABLE["sources"])
    assert all(address.startswith("https://") for address in fields.TABLE["sources"].values())


def test_every_optional_field_of_chat_completions_has_an_example_that_is_json() -> None:
    known = fields.request("openai")
    assert len(CHAT) == 37
    for name in CHAT:
        assert json.loads(known[name].example) is not None


def test_models_refuse_what_they_refuse_over_http(client: httpx.Client) -> None:
    assert fields.refused_by("top_p") == ["gpt-5-nano", "gpt-5.6-luna"]
    assert fields.refused_by("reasoning_effort") == ["gpt-4o-mini"]
    assert fields.refused_by("n") == []
    for name in ("top_p", "reasoning_effort", "max_tokens", "audio", "web_search_options", "seed"):
        for model in ("gpt-5-nano", "gpt-4o-mini"):
            asked = {"model": model, "messages": [{"role": "user", "content": "json"}]}
            asked[name] = json.loads(fields.request("openai")[name].example)
            reply = client.post("/openai/v1/chat/completions", json=asked, headers=KEY)
            assert (reply.status_code != 200) == (model in fields.refused_by(name)), (name, model)


def test_a_reply_and_a_stream_hold_no_field_that_the_table_does_not_name(client: httpx.Client) -> None:
    asked: dict[str, Any] = {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "Hi"}],
        "logprobs": True,
        "top_logprobs": 2,
    }
    whole = client.post("/openai/v1/chat/completions", json=asked, headers=KEY)
    known = {**fields.TABLE["reply"], **fields.TABLE["chunk"]}
    unnamed = {place for place in _leaves(whole.json()) if not _named(place, fields.TABLE["reply"])}
    more = {"stream": True, "stream_options": {"include_usage": True}}
    text = client.post("/openai/v1/chat/completions", json={**asked, **more}, headers=KEY).text
    for frame in text.split("\n\n")[:-2]:
        for place in _leaves(json.loads(frame.removeprefix("data: "))):
            unnamed |= set() if _named(place, known) else {place}
    assert all("top_logprobs[]." in place for place in unnamed)  # the fields of a token, once more
    for name in whole.headers:
        ours = name in fields.TABLE["headers"] or f"{name} " in fields.TABLE["headers"]
        assert ours or name in ("date", "server", "content-length", "access-control-expose-headers"), name


def test_a_native_reply_holds_no_field_that_the_table_does_not_name(client: httpx.Client) -> None:
    for path, said in (
        ("chat", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("generate", {"prompt": "Hi"}),
    ):
        reply = client.post(f"/api/{path}", json={"model": "qwen3:0.6b", **said, "stream": False})
        assert set(_leaves(reply.json())) - {"context[]"} <= set(fields.TABLE["native_reply"])


def _leaves(value: Any, place: str = "") -> list[str]:
    if isinstance(value, dict) and value:
        return [
            one for key, item in value.items() for one in _leaves(item, f"{place}.{key}" if place else key)
        ]
    if isinstance(value, list) and value:
        return sorted({one for item in value for one in _leaves(item, f"{place}[]")})
    return [place]


def _named(place: str, known: dict[str, Any]) -> bool:
    return any(place == one or place.removesuffix("[]") == one for one in known)


# --- presets -----------------------------------------------------------------------------------------------


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    return tmp_path / "presets"


def test_every_preset_is_taken_by_the_practice_server(client: httpx.Client, own_home: Path) -> None:
    found = presets.load()
    assert 8 <= len(found) <= 12 and found.troubles == []
    for preset in found:
        provider, prefix = ("ollama", "") if preset.path.startswith("/api/") else ("openai", "/openai/v1")
        assert lint(preset.text, provider, "", preset.path).diagnostics == [], preset.name
        reply = client.post(
            prefix + preset.path, content=preset.text, headers={**KEY, "content-type": "application/json"}
        )
        assert reply.status_code == 200 and preset.about.endswith("."), (preset.name, reply.text)


def test_a_preset_has_the_model_of_its_role(own_home: Path) -> None:
    found = presets.load({"chat": "my-chat", "thinking": "my-thinker"})
    models = {preset.name: preset.payload["model"] for preset in found}
    assert models["First question"] == "my-chat" and models["Reasoning"] == "my-thinker"


def test_what_is_saved_is_there_again_and_what_is_no_json_is_named(own_home: Path) -> None:
    text = '{"model": "a",\n "messages": [], "x": 1e2}'
    presets.save("Füße & more!", text, "/api/chat", "Mine.")
    (own_home / "broken.json").write_text('{"name": "b')
    (own_home / "other.json").write_text('{"name": "b", "about": 1}')
    found = presets.load()
    mine = next(preset for preset in found if preset.own)
    assert (mine.name, mine.path, mine.about) == ("Füße & more!", "/api/chat", "Mine.")
    assert mine.payload == json.loads(text) and len(found) > 8
    assert found.troubles == [
        "broken.json is no preset: it is not JSON. Correct or delete it.",
        'other.json is no preset: it has no "about". Correct or delete it.',
    ]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [("..//", "{}", "Give the preset a name"), ("a", "{,}", "Only JSON can be saved. Line 1, column 2")],
)
def test_what_cannot_be_saved_is_said_in_a_sentence(own_home: Path, name: str, text: str, said: str) -> None:
    with pytest.raises(CourseError, match=said):
        presets.save(name, text)
    assert not list(own_home.glob("*"))


# --- the form without a browser ---------------------------------------------------------------------

ODD = st.sampled_from([None, 1, -0.5, 10**30, "x", True, [], {}, ["a", "b"], {"type": "json_object"}, [1]])
MESSAGE = st.fixed_dictionaries(
    {}, optional={"role": st.sampled_from(["user", "banana", 3, None]), "content": ODD, "name": ODD}
)
NAMES = ("model", "temperature", "stop", "response_format", "options", "stream", "max_tokens", "think", "own")


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.fixed_dictionaries(
        {}, optional={**dict.fromkeys(NAMES, ODD), "messages": ODD | st.lists(MESSAGE | ODD, max_size=3)}
    ),
    st.sampled_from(["/chat/completions", "/api/chat", "/api/generate"]),
    st.sampled_from([None, 1]),
)
def test_the_form_changes_nothing_by_itself(payload: dict[str, Any], path: str, indent: Any) -> None:
    text = json.dumps(payload, indent=indent)
    form = PayloadForm(text, path=path)
    form.value = "{"
    form.value = text
    assert form.value == text
    assert repr(form).startswith(text)


def test_the_form_changes_one_place_and_keeps_the_rest() -> None:
    text = '{ "own": 1e3,\n\t"messages": [ {"role":"user", "content":"a", "own": [1,2]} , "odd" ] }'
    form = PayloadForm(text)
    row = {one.name: one for one in form._rows}
    row["temperature"].on.value = True
    assert form.value == text[:-2] + ',\n\t"temperature": 0.7 }'
    row["temperature"].field.value = 1
    assert form.value.endswith('"temperature": 1 }')
    row["temperature"].on.value = False
    assert form.value == text
    form._messages[0].text.value = 'b\n"c"'
    assert form.value == text.replace('"a"', r'"b\n\"c\""')
    form._messages[0].down.click()
    assert json.loads(form.value)["messages"][0] == "odd"
    form._messages[0].gone.click()
    assert len(json.loads(form.value)["messages"]) == 1


def test_the_form_uses_the_field_that_is_there_or_that_the_server_reads() -> None:
    def written(**kwargs: Any) -> dict[str, Any]:
        form = PayloadForm(**kwargs)
        row = next(one for one in form._rows if "max" in one.name or one.name == "num_predict")
        row.on.value = True
        row.field.value = 7
        return json.loads(form.value)

    assert written(value="{}") == {"max_completion_tokens": 7}
    assert written(value="{}", provider="ollama") == {"max_tokens": 7}
    assert written(value='{"max_tokens": 3}') == {"max_tokens": 7}
    assert written(value="{}", path="/api/chat") == {"options": {"num_predict": 7}}


def test_a_schema_is_there_again_after_a_look_at_free_text() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
    form = PayloadForm(json.dumps({"response_format": schema}))
    row = next(one for one in form._rows if one.name == "response_format")
    row.field.value = "text"
    assert json.loads(form.value) == {"response_format": {"type": "text"}}
    row.field.value = "json_schema"
    assert json.loads(form.value) == {"response_format": schema}


def test_the_form_says_which_model_refuses_a_field() -> None:
    assert "temperature            left out; gpt-5-nano refuses it" in repr(
        PayloadForm('{"model": "gpt-5-nano"}')
    )
