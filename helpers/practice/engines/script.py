"""The scripted models: replies from a phrase grammar, drawn with real sampling.

The words are data (phrases.toml), and what a conversation gives is found by plain rules (talk.py). What is
real is the arithmetic: the probabilities of the next token come from the grammar, and temperature, top_p,
penalties, seed, logprobs, stop and limits act on them as they do on a model's.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import re
from collections.abc import AsyncGenerator, Iterator
from functools import lru_cache
from random import Random
from typing import Any, NamedTuple

from ..errors import Refusal
from . import Ask, Logprob, Piece, calls, embedding, llamacpp, phrases, schema, talk, tokens, values, vision
from .grammar import END, Choice, Place, Symbol, drawn, mapped, start
from .sampling import Candidates, Narrowed, Recent, narrowed, narrowing
from .talk import Talk
from .words import ASKED, holds

STRAY_MASS = 1e-4  # how much probability words that do not belong have in all, at each token
MESSAGE_TOKENS = 4  # what a chat template adds to each message
TURN = 32  # pieces after which others get their turn
PLANS, PLACES = 200, 5_000  # how many plans, and places in their texts, are kept
KEPT = 16  # settings of the sampling whose shares are kept at one place
LONGEST_KEPT = 20_000  # letters of the conversation of such a plan
_CHANCE = Random()


class Plan(NamedTuple):
    """What to say: the tools to call, or where the text begins, and before it the thinking."""

    calls: list[dict[str, Any]]
    thinking: Place | None
    said: Place


class Script:
    """One phrase file, ready to answer. Raises CourseError for a phrase file that cannot be used."""

    slots = 0
    alive = True

    def __init__(self) -> None:
        self._plans: dict[str, Plan] = {}
        self._room = [PLACES]
        self._phrases = phrases.load()
        strays = self._phrases.data["strays"].split()
        shares = [1 / (rank + 1) for rank in range(len(strays))]
        self._strays = [
            (" " + word, STRAY_MASS * share / sum(shares)) for word, share in zip(strays, shares, strict=True)
        ]

    def close(self) -> None:
        """Nothing is held that could be given back."""

    async def prompt_tokens(self, ask: Ask) -> int:
        return self.count(ask)

    async def context(self, ask: Ask, reply: str) -> list[int]:
        texts = [*(message["content"] for message in ask.messages), reply]
        return [tokens.token_id(token) for text in texts for token in tokens.split(text)]

    async def recall(self, context: list[int]) -> dict[str, Any]:
        for number in context:
            if not 0 <= number < tokens.VOCABULARY:
                raise Refusal("runner", text=llamacpp.no_token(number, tokens.VOCABULARY))
        return {"role": "user", "content": tokens.text_of(context)}

    def count(self, ask: Ask) -> int:
        if ask.raw is not None:
            return tokens.count(ask.raw)
        shown = [
            message.get("content", "")
            + "".join(json.dumps(call.get("function")) for call in message.get("tool_calls", ()))
            for message in ask.messages
        ]
        tools = tokens.count(json.dumps(ask.tools)) if ask.tools else 0
        return sum(tokens.count(text) + MESSAGE_TOKENS for text in shown) + tools + MESSAGE_TOKENS

    def embed(self, text: str, dimensions: int) -> list[float]:
        return embedding.embed(text, dimensions, self._phrases.groups)

    async def reply(self, ask: Ask) -> AsyncGenerator[Piece, None]:
        for number, piece in enumerate(await self.pieces(ask), 1):
            yield piece
            if number % TURN == 0:
                await asyncio.sleep(0)

    async def pieces(self, ask: Ask) -> Iterator[Piece]:
        """The reply's pieces. Whoever takes many should let others have their turn after each TURN."""
        if ask.plan is None:
            ask.plan = await self._plan(ask)
        return self._pieces(ask, ask.plan)

    async def _plan(self, ask: Ask) -> Plan:
        """What to say. Plans for plain texts are kept, because a class often asks the same."""
        key = ""
        if ask.format is None and not ask.tools and not any(m.get("images") for m in ask.messages):
            key = repr((ask.messages, ask.raw, bool(ask.think)))
            if key in self._plans:
                return self._plans[key]
        about = talk.read(ask, self._phrases, await vision.looks(ask.messages))
        if listed := values.asked_for(about):
            about.facts["extracted"] = listed
        if self._room[0] <= 0 or len(self._plans) >= PLANS:
            self._plans, self._room = {}, [PLACES]
        keep = 0 < len(key) <= LONGEST_KEPT
        room = self._room if keep else [0]
        plan = Plan(
            calls.wanted(about, ask.tools, ask.tool_choice)[: None if ask.parallel else 1],
            start(self._says(self._phrases.data["thinking"][0], about), room) if ask.think else None,
            start(self._symbol(ask, about), room),
        )
        if keep:
            self._plans[key] = plan
        return plan

    def _pieces(self, ask: Ask, plan: Plan) -> Iterator[Piece]:
        random = Random(hashlib.sha256(ask.seed.encode()).digest()) if ask.seed else _CHANCE
        left = ask.options["num_predict"]
        left = left if left >= 0 else 2 * ask.options["num_ctx"]
        if plan.thinking or plan.calls:
            return self._thought(ask, plan, random, left)
        return self._write(plan.said, ask, random, left, strays=ask.format is None)

    def _thought(self, ask: Ask, plan: Plan, random: Random, most: int) -> Iterator[Piece]:
        """Thinking, then the text or the calls; with a format the text has `most` tokens of its own."""
        left = most
        if plan.thinking:
            for piece in self._write(plan.thinking, ask, random, left, end=""):
                left -= piece.tokens
                if piece.text or piece.done:
                    yield piece._replace(thinking=piece.text, text="")
                if piece.done:
                    return
        if plan.calls:
            for call in plan.calls:
                written = tokens.split(json.dumps(call))
                told = [] if ask.logprobs is None else [_certain(token, ask.logprobs) for token in written]
                yield Piece(tool_call=call, logprobs=tuple(told), tokens=len(written))
            yield Piece(done="stop")
            return
        left = left if ask.format is None else most
        yield from self._write(plan.said, ask, random, left, strays=ask.format is None)

    # --- which words ------------------------------------------------------------------------------

    def _symbol(self, ask: Ask, about: Talk) -> Symbol:
        if ask.raw is not None:
            return self._says(self._phrases.data["continuing"][0], about)
        if ask.format == "json":
            return self._json(about)
        if isinstance(ask.format, dict):
            return self._fitting(ask.format, about)
        return self._styled(about)

    def _topic(self, about: Talk) -> dict[str, Any]:
        """The first topic that fits the task, or else the whole message; the last two fit everything."""
        *topics, no_thing, rest = self._phrases.data["topic"]
        for text in dict.fromkeys((about.task, about.asked[:ASKED])):
            for topic in topics:
                needs = topic.get("needs", [])
                needs = [needs] if isinstance(needs, str) else needs
                if all(need in about.facts for need in needs) and (
                    "asks" not in topic or any(about.holds(phrase, text) for phrase in topic["asks"])
                ):
                    return topic
        return no_thing if "whole" in about.facts else rest

    def _said(self, about: Talk) -> Symbol:
        return self._says(self._topic(about), about)

    def _says(self, topic: dict[str, Any], about: Talk) -> Symbol:
        return self._choice(self._phrases.ways(topic, about.language), about)

    def _choice(self, options: list[phrases.Way], about: Talk) -> Symbol:
        return Choice(tuple((weight, self._text(text, about)) for weight, text in options))

    def _text(self, text: str, about: Talk) -> Symbol:
        literal, *rest = phrases.parts(text)
        made: list[Symbol] = [literal]
        for word, literal in zip(rest[::2], rest[1::2], strict=True):
            made += [self._word(word, about), literal]
        return tuple(made)

    def _word(self, word: str, about: Talk) -> Symbol:
        if word in about.facts:
            return about.facts[word]
        if word == "reply":
            return self._said(about)
        if word in ("long", "remarks"):
            rule = "event" if word == "long" else "remark"
            wanted = about.facts.get("words_wanted", "6")
            return self._sentences(rule, int(str(wanted)), about)
        if word in self._phrases.data["rules"]:
            return self._choice(self._phrases.rule(word, about.language), about)
        return "that"

    def _sentences(self, rule: str, number: int, about: Talk) -> Symbol:
        """`number` sentences of `rule`, each made when it is reached: any number costs the same.

        Each way of saying is three times as likely where its turn comes, so that not even temperature 0 says
        the same again and again.
        """
        options = self._phrases.rule(rule, about.language)
        turns = [
            self._choice(
                [
                    (weight * (3 * options[0][0] if i == turn else 1), text)
                    for i, (weight, text) in enumerate(options)
                ],
                about,
            )
            for turn in range(len(options))
        ]

        def after(n: int) -> Symbol:
            if n >= number:
                return ""
            gap = "" if n == 0 else "\n\n" if n % 6 == 0 else " "
            return (gap, turns[n % len(turns)], lambda: after(n + 1))

        return after(0)

    # --- in which manner --------------------------------------------------------------------------

    def _styled(self, about: Talk) -> Symbol:
        styles = [style for style in self._phrases.data["style"] if self._is_wanted(style, about)]
        forms = [style["form"] for style in styles if "form" in style]
        said = self._formed(forms, about)
        manners = [style for style in styles if "before" in style]
        if not manners and talk.speaking_persona(about) and not about.facts.get("tool"):
            manners = [style for style in self._phrases.data["style"] if style.get("needs") == "persona"]
        for style in manners[:1]:
            before, after = (
                self._choice(phrases.ways(style.get(f"{where}_{about.language}", style[where])), about)
                for where in ("before", "after")
            )
            said = (before, said, after)
        if begin := _told_to(about.system, "start|begin"):
            said = (begin + " ", said)
        if end := _told_to(about.system, "end|finish|close"):
            said = (said, " " + end)
        for form in forms:
            if form in _CHANGES:
                said = mapped(said, _CHANGES[form])
        return said

    def _is_wanted(self, style: dict[str, Any], about: Talk) -> bool:
        if style.get("needs"):
            return False
        system = any(holds(about.system, phrase) for phrase in style["asks"])
        return system or any(about.holds(phrase) for phrase in style.get("asked", ()))

    def _formed(self, forms: list[str], about: Talk) -> Symbol:
        if "haiku" in forms:
            return self._choice(self._phrases.rule("haiku", about.language), about)
        if "json" in forms:
            return self._json(about)
        topic = self._topic(about)
        if "word" in forms:
            return self._one_word(topic, about)
        options = self._phrases.ways(topic, about.language)
        if "terse" in forms:
            options = [min(options, key=lambda way: len(way[1]))]
        said = self._choice(options, about)
        return ("- ", mapped(said, _bulleted)) if "bullets" in forms and "items" not in about.facts else said

    def _one_word(self, topic: dict[str, Any], about: Talk) -> Symbol:
        if "word" in topic:
            return self._choice(phrases.ways(topic["word"]), about)
        shortest = min(self._phrases.ways(topic, about.language), key=lambda way: len(way[1]))
        text = drawn(self._text(shortest[1], about))
        spoken = [word for word in re.findall(r"[\w'-]+", text) if word.lower() not in embedding.LITTLE]
        return max(spoken or ["Yes"], key=len).capitalize() + "."

    # --- JSON -------------------------------------------------------------------------------------

    def _json(self, about: Talk) -> Symbol:
        """An object of the fields the message names, or of one field with the reply."""
        keys = _fields(about.asked[:ASKED], f"{about.task}\n{about.system[:ASKED]}")
        if not keys:
            return self._fitting({"type": "object"}, about)
        properties = {key: self._guessed(key, about) for key in keys}
        return self._fitting({"type": "object", "properties": properties, "required": keys}, about)

    def _guessed(self, key: str, about: Talk) -> dict[str, Any]:
        own = values.name_words(key)
        if own[0] in ("is", "has", "can"):
            return {"type": "boolean"}
        listed = self._phrases.data["lists"]
        if (own[-1] in listed or own[-1].endswith("s")) and values.found(about, key, {"type": "array"}):
            return {"type": "array", "items": {"type": "string"}}
        known = self._phrases.data["values"].get(own[-1], [""])[0].rpartition("| ")[2]
        if (
            known.isdigit()
            or own[-1] in ("id", "amount", "total")
            or values.found(about, key, {"type": "integer"})
        ):
            return {"type": "number"}
        return {"type": "string"}

    def _fitting(self, wanted: dict[str, Any], about: Talk) -> Symbol:
        def found(name: str, rule: dict[str, Any]) -> list[Any]:
            made = values.found(about, name, rule, about.users[-1:])
            return made or (
                values.found(about, name, rule, about.users[-6:-1]) if len(about.users) > 1 else []
            )

        def words(name: str) -> Symbol:
            known = self._phrases.data["values"]
            lines = known.get(name.lower()) or known.get(values.name_words(name)[-1]) or known["anything"]
            return self._choice(phrases.ways(lines), about)

        return schema.symbol(wanted, found, words)

    # --- token by token ---------------------------------------------------------------------------

    def _write(
        self, place: Place, ask: Ask, random: Random, left: int, strays: bool = False, end: str = "stop"
    ) -> Iterator[Piece]:
        """The text from `place` on; its last piece is done, with `end` where the text itself ends."""
        settings = narrowing(ask.options)
        if settings is not None and ask.logprobs is None and not any(ask.options["stop"]):
            return self._plainly(place, ask, random, left, strays, end, settings)
        return self._carefully(place, ask, random, left, strays, end, settings)

    def _carefully(
        self, place: Place, ask: Ask, random: Random, left: int, strays: bool, end: str, settings: int | None
    ) -> Iterator[Piece]:
        """Text in which stop sequences, penalties or logprobs are to be minded."""
        held, recent = Held(ask.options["stop"]), Recent(ask.options["repeat_last_n"])
        for number in range(left):
            token = self._narrowed(place, ask, strays, settings, recent).drawn(random)
            if token == END:
                yield held.rest(end)
                return
            here, place = place, place.follow(token)
            recent.add(token)
            text = _shown(token, ask) if number == 0 else token
            if ask.logprobs is None and held.passes(text):
                yield _said(text)
                continue
            candidates = self._with_strays(here) if strays else here.probabilities
            logprob = (_logprob(candidates, text, ask.logprobs),) if ask.logprobs is not None else ()
            piece = held.add(text, logprob)
            if piece is not None:
                yield piece
                if piece.done:
                    return
        yield held.rest("length")

    def _plainly(
        self, place: Place, ask: Ask, random: Random, left: int, strays: bool, end: str, settings: int
    ) -> Iterator[Piece]:
        """Text of which nothing is held back or told, and no token depends on others: each step is known
        once it was taken.
        """
        start = place
        for _ in range(left):
            found = place.kept.get(settings) or self._narrowed(place, ask, strays, settings)
            token, steps = found.drawn(random), place.steps
            if token in steps:
                piece, place = steps[token]
            elif token == END:
                yield Piece(done=end)
                return
            else:
                here, place = place, place.follow(token)
                piece = _said(_shown(token, ask) if here is start else token)
                if here.after.get(token) is place:
                    here.steps[token] = piece, place
            yield piece
        yield Piece(done="length")

    def _narrowed(
        self, place: Place, ask: Ask, strays: bool, settings: int | None, recent: Recent | None = None
    ) -> Narrowed:
        """What there is to draw from; what depends on the place alone is kept there."""
        found: Narrowed | None = place.kept.get(settings)
        if found is None:
            candidates = self._with_strays(place) if strays else place.probabilities
            found = narrowed(candidates, ask.options, recent or Recent(0))
            if settings is not None and len(place.kept) < KEPT:
                place.kept[settings] = found
        return found

    def _with_strays(self, place: Place) -> Candidates:
        found = place.kept.get("strays")
        if found is None:
            strays = [pair for pair in self._strays if not place.may(pair[0])]
            found = [(token, share * (1 - STRAY_MASS)) for token, share in place.probabilities] + strays
            place.kept["strays"] = found
        return found


class Held:
    """Text on its way out: what could be the start of a stop sequence waits until it is decided."""

    def __init__(self, stops: list[str]) -> None:
        self.stops = [stop for stop in stops if stop]
        self._starts = tuple({stop[:n] for stop in self.stops for n in range(1, len(stop))})
        self._letters = {stop[0] for stop in self.stops}
        self.text = ""
        self.logprobs: tuple[Logprob, ...] = ()
        self.tokens = 0

    def passes(self, token: str) -> bool:
        """Whether `token` can go out as it is: nothing waits, and no stop sequence can begin in it."""
        return not self.text and self._letters.isdisjoint(token)

    def add(self, token: str, logprobs: tuple[Logprob, ...]) -> Piece | None:
        self.text += token
        self.logprobs += logprobs
        self.tokens += 1
        for stop in self.stops:
            at = self.text.find(stop)
            if at >= 0:
                self.text = self.text[:at]
                return self.rest("stop")
        return None if self.text.endswith(self._starts) else self.rest("")

    def rest(self, done: str) -> Piece:
        piece = Piece(text=self.text, logprobs=self.logprobs, tokens=self.tokens, done=done)
        self.text, self.logprobs, self.tokens = "", (), 0
        return piece


@lru_cache(maxsize=4096)
def _said(token: str) -> Piece:
    return Piece(text=token, tokens=1)


def _shown(token: str, ask: Ask) -> str:
    """The first token of a text: where nothing stands before it, without the space before a word."""
    return token if ask.raw is not None else token.removeprefix(" ") or token


def _logprob(candidates: Candidates, token: str, top: int) -> Logprob:
    own = next((share for name, share in candidates if name.strip() == token.strip()), candidates[0][1])
    likeliest = [(name, math.log(share)) for name, share in candidates[:top]]
    return Logprob(token, math.log(own), likeliest)


def _certain(token: str, top: int) -> Logprob:
    """That of a token for which there is no other."""
    return Logprob(token, 0.0, [(token, 0.0)][:top])


# --- pictures, manners and fields ------------------------------------------------------------------


def _told_to(system: str, verbs: str) -> str:
    """What a system message wants every reply to begin or end with."""
    found = re.search(
        rf"\b(?:{verbs})s?\b[^.!?\n]{{0,40}}? (?:with|by saying)(?: the words?| the phrase)?\s*:?\s*"
        r"(?:[\"'“„](.{1,80}?)[\"'”“]|([^\"'“„.\n]{1,80}?[!?.]?)(?:\s|$))",
        system[:ASKED],
        re.IGNORECASE,
    )
    told = next((text for text in found.groups() if text), "") if found else ""
    return "" if told.lower() in ("a", "an", "the") else told


def _bulleted(text: str) -> str:
    return re.sub(r"(?<=[.!?]) (?=\S|$)", "\n- ", text)


_CHANGES = {"upper": str.upper, "lower": str.lower}
_FIELDS = re.compile(
    r"(?:json(?: object)?,? (?:with|containing|mit|avec|con)(?: the| these| a| an)*"
    r"(?: keys?| fields?| propert(?:y|ies)| attributes?)?"
    r"|keys?|fields?|propert(?:y|ies)|attributes?|schlüsseln?|feldern?|champs|claves|campos)"
    r"(?: named| called| the| are)*\s*:?\s*"
    r"((?:[\"'`]?\w+[\"'`]?(?:\s*\([^)]*\))?(?:\s*,\s*(?:and\s+)?|\s+(?:and|und|et|y|e)\s+))*[\"'`]?\w+[\"'`]?)",
    re.IGNORECASE,
)


def _fields(shown: str, told: str) -> list[str]:
    """The names of fields a message wants in its JSON: those of an object it shows, or those it names."""
    example = re.search(r"\{\s*\"\w+\"\s*:.*?\}", shown, re.DOTALL)
    if example and (keys := re.findall(r"\"(\w+)\"\s*:", example[0])):
        return list(dict.fromkeys(keys))[:20]
    found = _FIELDS.search(told)
    if not found:
        return []
    listed = re.sub(r"\([^)]*\)", "", found[1])
    keys = re.split(r"\s*,\s*(?:and\s+)?|\s+(?:and|und|et|y|e)\s+", listed)
    keys = [key.strip(" \"'`") for key in keys]
    return [key for key in dict.fromkeys(keys) if key and key.lower() not in _NO_FIELDS][:20]


_NO_FIELDS = {"a", "of", "the", "your", "only", "no", "any", "this", "following", "reply", "answer"}
