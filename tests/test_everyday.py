"""Everyday talk with a scripted model: what it says is no nonsense, and follows what was said before."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

TALKS: list[tuple[list[str], str]] = [
    (["I live in Lisbon"], "as long as it is in the messages"),
    (["I live in Lisbon", "Where do I live?"], "Lisbon"),
    (["hello", "What did I just say?"], '"hello"'),
    (["hi", "Tell me a joke", "what was my first message?"], '"hi"'),
    (["Remember the number 42", "Which number did I tell you to remember?"], "42"),
    (["remember that my dog is called Rex", "What is my dog called?"], "Rex"),
    (["What is the capital of France?", "And of Italy?"], "Rome."),
    (["What is 2 + 3?", "again"], "5"),
    (["Write a Python function to reverse a string"], "[::-1]"),
    (["Write a function that adds two numbers"], "def add"),
    (["yes or no: is the earth flat?"], "No."),
    (["Name a colour"], "e"),
    (["shorter please"], "shorter"),
]


def said(client: httpx.Client, messages: list[dict[str, str]], **more: Any) -> str:
    body = {"model": "llama3.2", "messages": messages, "stream": False, "options": {"seed": 1}, **more}
    return client.post("/api/chat", json=body).json()["message"]["content"]


@pytest.mark.parametrize(("users", "answer"), TALKS)
def test_a_talk(client: httpx.Client, users: list[str], answer: str) -> None:
    messages: list[dict[str, str]] = []
    for text in users:
        messages.append({"role": "user", "content": text})
        messages.append({"role": "assistant", "content": said(client, messages)})
    last = messages[-1]["content"]
    assert answer in last
    assert "You asked about I " not in last and not last.startswith("1. ")


@pytest.mark.parametrize(
    "task",
    [
        "List 5 famous scientists.",
        "Is Python better than Java?",
        "If I eat one?",
        "How tall is Mount Everest?",
        "Turn this into JSON: Ada is 36.",
        "Sort these numbers: 5, 3, 9, 1",
    ],
)
def test_a_task_without_an_answer_is_told_in_quotes(client: httpx.Client, task: str) -> None:
    answer = said(client, [{"role": "user", "content": task}])
    assert f'"{task}"' in answer and "practice model" in answer


def test_people_in_a_list_are_all_there_and_none_twice(client: httpx.Client) -> None:
    named = {"type": "object", "properties": {"people": {"type": "array", "items": {"type": "string"}}}}
    text = said(client, [{"role": "user", "content": "List the people: Ada, Grace and Alan"}], format=named)
    assert json.loads(text)["people"] == ["Ada", "Grace", "Alan"]
    person = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}
    four = {"type": "array", "items": person, "minItems": 4, "maxItems": 4}
    text = said(client, [{"role": "user", "content": "Give me a list of 4 people"}], format=four)
    names = [one["name"] for one in json.loads(text)]
    assert len(names) == len(set(names)) == 4


def test_a_style_with_an_ending_leaves_no_stray_word(client: httpx.Client) -> None:
    system = {"role": "system", "content": "End every answer with an emoji."}
    text = said(client, [system, {"role": "user", "content": "What is the sun?"}])
    assert not text.rstrip().endswith(" an")
