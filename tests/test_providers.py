"""The table of providers: what lesson 18 and its exercise rely on."""

from __future__ import annotations

import pytest

from helpers.providers import PROVIDERS, Provider, practice


@pytest.mark.parametrize("provider", PROVIDERS.values(), ids=PROVIDERS)
def test_each_provider_has_an_address_a_known_way_to_send_a_key_and_a_source(provider: Provider) -> None:
    assert provider.base_url.startswith(("https://", "http://localhost:"))
    assert not provider.base_url.endswith(("/", "/chat/completions"))
    assert provider.key_header in ("", "api-key", "Authorization: Bearer")
    assert provider.differs and provider.source.startswith("https://")


def test_the_practice_server_is_there_whoever_answers_the_lesson() -> None:
    server, names = practice()
    assert server.startswith("http://127.0.0.1:") and {"sampling", "ollama"} <= set(names)
