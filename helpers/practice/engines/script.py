"""The scripted models: replies from a phrase grammar, drawn with real sampling.

The words are data (phrases.toml). What is real is the arithmetic: the probabilities of the next token come
from the grammar, and temperature, top_p, penalties, seed, logprobs, stop and limits act on them as they do on
a model's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from random import Random
from typing import Any

from ..toml import read
from . import Ask, Logprob, Piece, embedding, schema, tokens
from .grammar import END, Choice, Symbol, Walk
from .sampling import Candidates, pick

PHRASES = Path(__file__).with_name("phrases.toml")
STRAY_MASS = 1e-4  # how much probability words that do not belong have in all, at each token
MESSAGE_TOKENS = 4  # what a chat template adds to each message

_NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve".split()  # noqa: SIM905


class Script:
    """One phrase file, ready to answer."""

    def __init__(self) -> None:
        self._data = read(PHRASES)
        self._rules = {name: _options(lines) for name, lines in self._data["rules"].items()}
        self._asks = {phrase: _words(phrase) for _, phrase in _asked(self._data["topic"])}
        strays = self._data["strays"].split()
        shares = [1 / (rank + 1) for rank in range(len(strays))]
        self._strays = [
            (" " + word, STRAY_MASS * share / sum(shares)) for word, share in zip(strays, shares, strict=True)
        ]
        self._group_of = {word: group[0] for group in self._data["meanings"]["groups"] for word in group}

    def count(self, ask: Ask) -> int:
        if ask.raw is not None:
            return tokens.count(ask.raw)
        shown = [
            message.get("content", "")
            + "".join(json.dumps(call["function"]) for call in message.get("tool_calls", ()))
            for message in ask.messages
        ]
        tools = tokens.count(json.dumps(ask.tools)) if ask.tools else 0
        return sum(tokens.count(text) + MESSAGE_TOKENS for text in shown) + tools + MESSAGE_TOKENS

    def embed(self, text: str, dimensions: int) -> list[float]:
        return embedding.embed(text, dimensions, self._group_of)

    async def reply(self, ask: Ask) -> AsyncIterator[Piece]:
        for n, piece in enumerate(self._pieces(ask), 1):
            yield piece
            if n % 32 == 0:
                await asyncio.sleep(0)

    def _pieces(self, ask: Ask) -> Iterator[Piece]:
        random = Random(hashlib.sha256(ask.seed.encode()).digest())
        facts = _facts(ask, self._data["capitals"])
        left = ask.options["num_predict"]
        left = left if left >= 0 else 2 * ask.options["num_ctx"]
        call = self._tool_call(ask, facts)
        if ask.think:
            for piece in self._write(self._says(self._data["thinking"][0], facts), ask, random, left):
                left -= piece.tokens
                if piece.done == "length":
                    yield piece
                    return
                yield Piece(thinking=piece.text, tokens=piece.tokens)
        if call is not None:
            yield Piece(tool_call=call, tokens=tokens.count(json.dumps(call)))
            yield Piece(done="stop")
            return
        yield from self._write(self._symbol(ask, facts), ask, random, left, strays=ask.format is None)

    # --- which words ------------------------------------------------------------------------------

    def _symbol(self, ask: Ask, facts: dict[str, str]) -> Symbol:
        def values(name: str) -> Symbol:
            return self._value(name, facts)

        if ask.format == "json":
            return schema.anything(values)
        if isinstance(ask.format, dict):
            return schema.symbol(ask.format, values)
        if ask.raw is not None:
            return self._says(self._data["continuing"][0], facts)
        asked = _words(facts["asked"])
        for topic in self._data["topic"]:
            if topic.get("needs", "asked") not in facts:
                continue
            if "asks" not in topic or any(_holds(asked, self._asks[phrase]) for phrase in topic["asks"]):
                return self._styled(self._says(topic, facts), ask, facts)
        raise LookupError("phrases.toml has no topic for everything else")

    def _styled(self, said: Symbol, ask: Ask, facts: dict[str, str]) -> Symbol:
        rules = _words(" ".join(m["content"] for m in ask.messages if m["role"] in ("system", "developer")))
        for style in self._data["style"]:
            if any(_holds(rules, _words(phrase)) for phrase in style["asks"]):
                before, after = (self._choice(_options(style[where]), facts) for where in ("before", "after"))
                return (before, said, after)
        return said

    def _says(self, topic: dict[str, Any], facts: dict[str, str]) -> Symbol:
        return self._choice(_options(topic["says"]), facts)

    def _choice(self, options: list[tuple[float, str]], facts: dict[str, str]) -> Symbol:
        return Choice(tuple((weight, self._text(text, facts)) for weight, text in options))

    def _text(self, text: str, facts: dict[str, str]) -> Symbol:
        literal, *rest = re.split(r"\{(\w+)\}", text)
        parts: list[Symbol] = [literal]
        for name, literal in zip(rest[::2], rest[1::2], strict=True):
            parts.append(facts[name] if name in facts else self._choice(self._rules[name], facts))
            parts.append(literal)
        return tuple(parts)

    def _value(self, name: str, facts: dict[str, str]) -> Symbol:
        known = self._data["values"]
        options = self._choice(_options(known.get(name.lower(), known["anything"])), facts)
        said = facts.get("names", "").split("\n")
        if name.lower() in ("city", "location", "country", "name") and said[0]:
            return Choice((*((6.0, word) for word in said), (1.0, options)))
        return options

    # --- tools ------------------------------------------------------------------------------------

    def _tool_call(self, ask: Ask, facts: dict[str, str]) -> dict[str, Any] | None:
        functions = [tool.get("function", {}) for tool in ask.tools]
        if not functions or ask.tool_choice == "none" or "answer" in facts:
            return None
        asked = _words(facts["asked"] + " tool")
        for function in functions:
            named = _words(f"{function.get('name', '')} {function.get('description', '')}".replace("_", " "))
            if ask.tool_choice == function.get("name") or (
                ask.tool_choice in ("auto", "required") and set(asked) & (set(named) - _EVERYDAY)
            ):
                return self._call(function, facts)
        return self._call(functions[0], facts) if ask.tool_choice == "required" else None

    def _call(self, function: dict[str, Any], facts: dict[str, str]) -> dict[str, Any]:
        wanted = function.get("parameters") or {"type": "object"}
        walk = Walk(schema.symbol(wanted, lambda name: self._value(name, facts)))
        text = ""
        while (token := walk.probabilities()[0][0]) != END:
            text += token
            walk.follow(token)
        return {"name": function.get("name", ""), "arguments": json.loads(text)}

    # --- token by token ---------------------------------------------------------------------------

    def _write(
        self, symbol: Symbol, ask: Ask, random: Random, left: int, strays: bool = False
    ) -> Iterator[Piece]:
        walk, held = Walk(symbol), Held(ask.options["stop"])
        written: list[str] = []
        while True:
            if left <= 0:
                yield held.rest("length")
                return
            heads = walk.probabilities()
            candidates = self._with_strays(heads) if strays else heads
            token = pick(candidates, ask.options, random, written)
            if token == END:
                yield held.rest("stop")
                return
            walk.follow(token if token in dict(heads) else heads[0][0])
            if not written and token.startswith(" ") and ask.raw is None:
                token = token[1:] or token
            written.append(token)
            left -= 1
            logprob = (_logprob(candidates, token, ask.logprobs),) if ask.logprobs is not None else ()
            piece = held.add(token, logprob)
            if piece is not None:
                yield piece
                if piece.done:
                    return

    def _with_strays(self, heads: Candidates) -> Candidates:
        known = dict(heads)
        strays = [pair for pair in self._strays if pair[0] not in known]
        return [(token, share * (1 - STRAY_MASS)) for token, share in heads] + strays


class Held:
    """Text on its way out: what could be the start of a stop sequence waits until it is decided."""

    def __init__(self, stops: list[str]) -> None:
        self.stops = [stop for stop in stops if stop]
        self.text = ""
        self.logprobs: tuple[Logprob, ...] = ()
        self.tokens = 0

    def add(self, token: str, logprobs: tuple[Logprob, ...]) -> Piece | None:
        self.text += token
        self.logprobs += logprobs
        self.tokens += 1
        for stop in self.stops:
            at = self.text.find(stop)
            if at >= 0:
                self.text = self.text[:at]
                return self.rest("stop")
        waiting = any(
            self.text.endswith(stop[:n])
            for stop in self.stops
            for n in range(1, min(len(stop), len(self.text) + 1))
        )
        return None if waiting else self.rest("")

    def rest(self, done: str) -> Piece:
        piece = Piece(text=self.text, logprobs=self.logprobs, tokens=self.tokens, done=done)
        self.text, self.logprobs, self.tokens = "", (), 0
        return piece


def _logprob(candidates: Candidates, token: str, top: int) -> Logprob:
    own = next((share for name, share in candidates if name.strip() == token.strip()), candidates[0][1])
    likeliest = [(name, math.log(share)) for name, share in candidates[:top]]
    return Logprob(token, math.log(own), likeliest)


def _options(lines: list[str]) -> list[tuple[float, str]]:
    options = []
    for line in lines:
        weight, bar, text = line.partition(" | ")
        options.append((float(weight), text) if bar else (1.0, line))
    return options


def _asked(topics: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    for topic in topics:
        for phrase in topic.get("asks", ()):
            yield topic["name"], phrase


def _words(text: str) -> list[str]:
    return re.findall(r"[\w']+", text.lower())


def _holds(text: list[str], phrase: list[str]) -> bool:
    return any(text[i : i + len(phrase)] == phrase for i in range(len(text) - len(phrase) + 1))


# --- what the conversation gives ------------------------------------------------------------------

_EVERYDAY = embedding.LITTLE | {"get", "use", "what", "which", "current", "tool"}
_SUM = re.compile(r"(-?\d+)\s*(\+|-|\*|x|×|plus|minus|times)\s*(-?\d+)")
_NAME = re.compile(r"(?:my name is|i am called|call me|i'm called)\s+([^\W\d_][\w-]*)", re.IGNORECASE)
_SUBJECT = re.compile(
    r"^(?:please |can you |could you )?"
    r"(?:tell me (?:about )?|explain |describe |what (?:is|are) |who (?:is|was) |why (?:is|are|do|does) |"
    r"how (?:do|does|can) (?:i |you |we )?|write (?:about )?|give me |translate )?(?:the |an? )?",
    re.IGNORECASE,
)


def _facts(ask: Ask, capitals: dict[str, str]) -> dict[str, str]:
    users = [m["content"] for m in ask.messages if m["role"] == "user"]
    asked = ask.raw if ask.raw is not None else users[-1] if users else ""
    asked = asked[:4000]
    facts = {"asked": asked, "subject": _SUBJECT.sub("", asked.strip()).strip(" .?!\n")[:80] or "that"}
    for text in users:
        if found := _NAME.search(text[:4000]):
            facts["name"] = found[1]
    for country, capital in capitals.items():
        if country.lower() in asked.lower():
            facts |= {"city": country, "capital": capital}
    if found := _SUM.search(asked):
        left, sign, right = int(found[1][:15]), found[2], int(found[3][:15])
        facts["result"] = str(
            left + right if sign in "+plus" else left - right if sign in "-minus" else left * right
        )
    if numbers := re.findall(r"\d+", asked) or [
        str(_NUMBERS.index(w)) for w in _words(asked) if w in _NUMBERS[1:]
    ]:
        facts["number"] = numbers[-1]
        facts["count"] = ", ".join(str(n) for n in range(1, min(int(numbers[-1][:4]), 500) + 1))
    elif "hundred" in asked:
        facts["count"] = ", ".join(str(n) for n in range(1, 101))
    names = re.findall(r"(?<![.!?]\s)(?<!^)\b[A-Z][a-z]+(?:\s[A-Z][a-z]+)?", asked)
    if names:
        facts["names"] = "\n".join(dict.fromkeys(names))
    last = ask.messages[-1] if ask.messages else {}
    if last.get("role") == "tool":
        facts |= {"answer": last["content"][:2000], "tool": last.get("tool_name") or "the tool"}
    if pictures := last.get("images"):
        facts["pictures"] = "a picture" if len(pictures) == 1 else f"{len(pictures)} pictures"
    return facts
