"""`ollama signin` and `ollama signout`, and what is said to one who is not signed in."""

from __future__ import annotations

from .cli_client import Ollama, SignInNeeded
from .cli_parse import Given
from .command_texts import NOT_SIGNED_IN, SIGN_IN_TO_RUN, SIGN_IN_URL, SIGNED_IN, SIGNED_OUT


def signin(given: Given, ollama: Ollama) -> None:
    """Unlike the real command, it opens no browser."""
    try:
        user = ollama.call("POST", "/api/me")
    except SignInNeeded as error:
        ask_to_sign_in(SIGN_IN_TO_RUN, error)
        return
    if user.get("name"):
        print(SIGNED_IN.format(name=user["name"]), end="")


def signout(given: Given, ollama: Ollama) -> None:
    try:
        ollama.call("POST", "/api/signout")
        print(SIGNED_OUT, end="")
    except SignInNeeded:
        print(NOT_SIGNED_IN, end="")


def ask_to_sign_in(text: str, error: SignInNeeded) -> None:
    """Prints `text` and where to sign in, if the server said where."""
    print(text + (SIGN_IN_URL.format(url=error.url) if error.url else ""), end="")
