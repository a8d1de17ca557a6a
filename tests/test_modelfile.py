"""The grammar of a Modelfile: what is written is read back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.errors import CourseError
from helpers.practice import modelfile
from helpers.practice.modelfile import Command

# What cannot be printed is dropped, and a value that looks quoted loses its quotes, as in Ollama: left out.
LETTERS = st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" \n")
VALUES = st.text(LETTERS, min_size=1, max_size=40).filter(
    lambda text: '"' not in (text[0], text[-1]) and (text.strip() or "\n" in text)
)
WORDS = st.sampled_from(
    ["license", "template", "system", "adapter", "renderer", "parser", "temperature", "stop"]
)
COMMANDS = st.builds(Command, WORDS, VALUES) | st.builds(
    lambda role, text: Command("message", f"{role}: {text}"), st.sampled_from(modelfile.ROLES), VALUES
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(COMMANDS, max_size=6))
def test_what_is_written_is_read_back(commands: list[Command]) -> None:
    whole = [Command("model", "llama3.2"), *commands]
    assert modelfile.parse(modelfile.render(whole)) == whole


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.text(max_size=200)
    | st.lists(st.sampled_from(["FROM x\n", "SYSTEM ", '"""', '"', "\n", "a", "# c\n"])).map("".join)
)
def test_any_text_is_read_or_refused_and_stays_what_it_was_read_as(text: str) -> None:
    try:
        commands = modelfile.parse(text)
    except CourseError:
        return
    for name, args in commands:
        assert name and isinstance(args, str)
