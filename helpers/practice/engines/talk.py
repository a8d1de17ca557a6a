"""What a conversation gives a scripted model to say: its language, names, earlier words, tools, pictures.

Each finding is a pattern over the words of the messages; nothing is guessed. A finding becomes a {word} of
the phrase file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from textwrap import shorten
from typing import Any

from . import Ask, tasks
from .grammar import Symbol
from .phrases import Phrases
from .vision import Look
from .words import ASKED, holds, sentences, words

MATERIAL = 40_000  # characters of a given text
REMEMBERED = 60  # user messages that are looked at
_NAME = re.compile(
    r"(?:my name is|my name's|the user's name is|i am called|i'm called|call me|mein name ist|ich heiße|"
    r"ich heisse|je m'appelle"
    r"|mon nom est|me llamo|mi nombre es|meu nome é|me chamo|mi chiamo|il mio nome è)\s+([^\W\d_][\w-]*)"
    r"|(?:私の名前は|僕の名前は)(\w+?)(?:です|。|$)",
    re.IGNORECASE,
)
_AGE = re.compile(
    r"\bi(?:'m| am)\s+(\d{1,3}) years old|ich bin (\d{1,3}) jahre|j'ai (\d{1,3}) ans", re.IGNORECASE
)
_LIVES = re.compile(
    r"\b(?:i live in|i'm from|i am from|ich wohne in|j'habite à|vivo en|moro em|abito a)\s+([^\W\d_][\w -]*?)"
    r"(?=[.,!?\n]| and |$)",
    re.IGNORECASE,
)
_OWN = re.compile(
    r"\bmy ((?:\w+ ){0,2}\w+?)(?:'s name)? (?:is|are) (?:called |named )?([^.,!?\n]{1,60}?)(?=[.,!?\n]| "
    r"and my |$)",
    re.IGNORECASE,
)
_OWN_ASKED = re.compile(
    r"\b(?:what|who|which|how old)(?:'s| is| are| was)? (?:is |are )?my (?!first |last |previous )"
    r"((?:\w+ ){0,2}?\w+?)(?:'s name| called| named)?\s*[?.!]*$",
    re.IGNORECASE,
)
_KEPT = r"(number|word|code|city|colour|color|animal|password|date|letter)"
_REMEMBER = re.compile(
    rf"\b(?:remember|keep in mind|memori[sz]e)(?: that)?(?: the| this)? {_KEPT}(?: is|:)? [\"'“]?([\w-]+)",
    re.IGNORECASE,
)
_KEPT_ASKED = re.compile(
    rf"\b(?:what|which)(?: was| is)?(?: the)? {_KEPT} (?:did|do|should|had|was|is|have|were|to|that|you)\b"
    rf"|\b(?:what|which)(?: was| is)(?: the)? {_KEPT}\W*$",
    re.IGNORECASE,
)
_AGAIN = re.compile(
    r"(?:tell me |give me |and |now )?(?:another(?: one)?|one more|again|once more|noch einen?)\W*", re.I
)
_AND_OF = re.compile(r"(?:and|what about|how about|und)(?: (?:of|in|for|von))? ([^?!.]{2,40})\W*", re.I)
_STATED = re.compile(
    r"(?:i|we|my|our|ich|wir|mein|meine)(?:'m| am| live| like| love| have| was| were| work| come| study"
    r"| moved| own| hate| prefer| bin| wohne| mag| habe|(?: [\w-]+){1,3} (?:is|are|was|ist|sind))\b[^?]*",
    re.IGNORECASE,
)
_NO_THING = re.compile(  # a task that begins so is told in quotes, because it names no thing
    r"(?:a|add|an|and|another|answer|are|as|ask|big|build|calculate|can|change|choose|compare|complete"
    r"|continue|convert|correct|could|create|decide|deep|describe|did|do|does|draw|explain|extract|far"
    r"|fast|fill|find|fix|from|generate|give|go|has|have|he|heavy|high|how|i|if|imagine|improve|in|is|it"
    r"|let|list|long|longer|make|many|may|me|much|must|name|no|now|of|often|ok|old|on|or|paraphrase|pick"
    r"|plan|please|pretend|proofread|read|remove|repeat|replace|reverse|rewrite|say|she|shorten|shorter"
    r"|should|show|solve|sort|spell|suggest|tall|tell|that|then|they|this|times|to|translate|try|turn|use"
    r"|was|we|were|what|when|where|which|who|whom|whose|why|will|with|would|write|yes|you|your)\b|\W*$",
    re.IGNORECASE,
)
_TOLD = re.compile(
    r"(?:please |bitte )?(?:summari[sz]e|sum up|translate|classify|shorten|fasse|fass|résume|resuma|"
    r"riassumi)\b[^:]{0,80}$",
    re.IGNORECASE,
)
_MANNER = re.compile(
    r",?\s*(?:\b(?:in|with|using|of|as|auf|en|mit)\b (?:about |exactly |only |just |at most |under |"
    r"valid |a |an )*"
    r"(?:[\w-]+ )?(?:words?|sentences?|paragraphs?|lines?|bullet points?|bullets|json|haiku|uppercase|"
    r"lowercase|sätzen?"
    r"|phrases?|frases?|stichpunkten)|like (?:i'm|i am|a|an) [\w ]+|step by step|briefly|please|bitte)\W*$",
    re.IGNORECASE,
)
_PLAIN_PERSONA = {
    "assistant",
    "helpful",
    "model",
    "ai",
    "concise",
    "bot",
    "assistent",
    "terse",
    "brief",
    "system",
}


@dataclass
class Talk:
    """A conversation read. `facts` are the {words} of the phrase file that it gives."""

    phrases: Phrases
    asked: str  # the last user message
    task: str  # of that, what is to be done; the rest, if any, is `material`
    material: str
    system: str
    users: list[str]
    language: str
    results: list[tuple[str, str]]  # tools and what they returned, if those are what is to be answered
    looks: list[Look | None]
    facts: dict[str, Symbol] = field(default_factory=dict)

    def holds(self, phrase: str, text: str | None = None) -> bool:
        """Whether `phrase` stands in the task, whole words, any case."""
        return holds(self.task if text is None else text, phrase)


def read(ask: Ask, phrases: Phrases, looks: list[Look | None]) -> Talk:
    """What `ask` gives; `looks` are the last message's pictures, None for one that cannot be read."""
    users = [m["content"] for m in ask.messages if m["role"] == "user"][-REMEMBERED:]
    asked = (ask.raw if ask.raw is not None else users[-1] if users else "")[:MATERIAL]
    asked = re.sub(r"(\s{3})\s+", r"\1", asked)
    if ask.raw is None and len(users) > 1:
        asked = _followed_up(asked, users[-2][:MATERIAL], phrases.data["capitals"])
    task, material = split_task(asked)
    system = "\n".join(m["content"] for m in ask.messages if m["role"] in ("system", "developer"))[:MATERIAL]
    language = _language(asked[:ASKED], system[:ASKED], users[:-1], phrases.data["language"])
    results = _results(ask.messages)
    talk = Talk(phrases, asked, task[:ASKED], material, system, users, language, results, looks)
    said = [m["content"] for m in ask.messages if m["role"] == "assistant" and m["content"]]
    for find in _FINDERS:
        talk.facts |= {name: fact for name, fact in find(talk).items() if fact}
    talk.facts |= _before(users, said)
    if learnt := tasks.learnt(talk, ask.messages):
        talk.facts["choice"] = learnt
    return talk


def _followed_up(asked: str, before: str, countries: dict[str, str]) -> str:
    """The question that a message goes on with: the one before, again or of another country."""
    if _AGAIN.fullmatch(asked.strip()):
        return before
    found = _AND_OF.fullmatch(asked.strip())
    country = found[1].strip().removeprefix("the ") if found else ""
    was = next((one for one in countries if holds(before, one)), "") if country in countries else ""
    return before.replace(was, country) if was else asked


def split_task(asked: str) -> tuple[str, str]:
    """A message as the task and the text it is about: after a colon, in quotes, or on lines of its own."""
    whole = sentences(asked)
    for told, others in ((whole[-1:], whole[:-1]), (whole[:1], whole[1:])):
        if others and _TOLD.match(told[0]):
            return told[0].rstrip(":"), " ".join(others)
    lines = [line.strip() for line in asked.strip().splitlines() if line.strip()]
    if len(lines) > 1:
        for at in (0, -1):
            line = lines[at]
            rest = "\n".join(lines[1:] if at == 0 else lines[:-1])
            if re.match(r"(question|frage|pregunta)\s*:", line, re.I):
                return line.partition(":")[2].strip(), rest
            if len(line) < 200 and (line.endswith((":", "?")) or at == 0 and len(rest) > len(line)):
                return line.rstrip(":"), rest
        if len(lines[-1]) < 120 < len(asked):
            return lines[-1], "\n".join(lines[:-1])
    if '{"' in asked:  # an object shown, not a text given
        return asked.strip(), ""
    if re.match(r"(?:yes or no|true or false|ja oder nein)\s*:", asked, re.I):
        return asked.strip(), ""
    if found := re.search(r"^([^:\n]{3,160}):\s+(\S.*)$", asked.strip(), re.DOTALL):
        return found[1], found[2].strip(" \"'")
    if found := re.search(r"[\"“„«](.{12,})[\"”“»]", asked, re.DOTALL):
        rest = (asked[: found.start()] + asked[found.end() :]).strip()
        if rest:
            return rest, found[1]
    return asked.strip(), ""


def _language(asked: str, system: str, before: list[str], languages: dict[str, Any]) -> str:
    for text in (asked, system, *reversed(before[-20:])):
        for code, language in languages.items():
            if any(holds(text[:ASKED], phrase) for phrase in language["asks"]):
                return code
    for text in (asked, *reversed(before[-3:])):
        if re.search(r"[\u3040-\u30ff]", text):
            return "ja"
        own = set(words(text[:ASKED]))
        scores = {code: len(own & set(language["words"].split())) for code, language in languages.items()}
        best = max(scores, key=lambda code: (scores[code], code == "en"))
        if scores[best]:
            return best
    return "en"


def _subject(talk: Talk) -> dict[str, Symbol]:
    text = _MANNER.sub("", talk.task.strip())
    openers = talk.phrases.data["language"][talk.language]["openers"]
    if talk.language != "en":
        openers = openers + talk.phrases.data["language"]["en"]["openers"]
    for _ in range(3):
        for opener in openers:
            if (
                text.lower().startswith(opener)
                and len(text) > len(opener) + 1
                and _ends_word(text, len(opener))
            ):
                text = text[len(opener) :].lstrip(" ,:")
                if opener in ("how do i", "how do you", "how do we", "how can i", "how to"):
                    text = "how to " + text
                break
    first = (sentences(text) or [""])[0]
    subject = first.strip(" .?!。？\n\"'")
    if len(subject) > 80:
        subject = subject[:80].rsplit(" ", 1)[0]
    facts: dict[str, Symbol] = {"subject": subject or "that", "asked": talk.task[:200]}
    if talk.language == "en" and _NO_THING.match(subject):
        facts["whole"] = shorten(talk.asked if talk.material else talk.task, 200, placeholder=" …")
    if not talk.material and _STATED.fullmatch(talk.task.strip()):
        facts["stated"] = "yes"
    return facts


def _ends_word(text: str, at: int) -> bool:
    return not (text[at - 1].isascii() and text[at - 1].isalnum() and text[at].isalnum())


def _memory(talk: Talk) -> dict[str, Symbol]:
    facts: dict[str, Symbol] = {}
    known: dict[str, str] = {}
    for text in [talk.system, *talk.users]:
        text = text[:ASKED]
        if found := _NAME.search(text):
            facts["name"] = (found[1] or found[2]).rstrip(".")
        for pattern, what in ((_AGE, "age"), (_LIVES, "home")):
            if found := pattern.search(text):
                known[what] = next(filter(None, found.groups())).strip()
        known |= {what.lower(): value for what, value in _REMEMBER.findall(text)}
        if not text.rstrip().endswith("?"):
            known |= {what.lower(): value.strip() for what, value in _OWN.findall(text)}
    task = talk.task
    wanted = ""
    if re.search(r"how old am i|wie alt bin ich|quel âge ai-je", task, re.I):
        wanted = "age"
    elif re.search(r"where do i live|where am i from|wo wohne ich|où est-ce que j'habite", task, re.I):
        wanted = "home"
    elif (found := _OWN_ASKED.search(task)) and found[1].lower() != "name":
        wanted = found[1].lower()
    elif (found := _KEPT_ASKED.search(task)) and (found[1] or found[2]).lower() in known:
        wanted = (found[1] or found[2]).lower()
    if wanted:
        facts["memory_of"] = {"age": "age", "home": "home"}.get(wanted, wanted)
        value = known.get(wanted) or next((v for k, v in known.items() if k.endswith(" " + wanted)), "")
        facts["memory"] = value + (" years" if wanted == "age" and value and value.isdigit() else "")
    return facts


def _before(users: list[str], said: list[str]) -> dict[str, Symbol]:
    facts: dict[str, Symbol] = {}
    if len(users) > 1:
        last = users[-1].lower()
        facts["asked_before"] = users[0 if "first" in last else -2].strip()[:300]
    if said:
        facts["said_before"] = said[-1].strip()[:2000]
    return facts


def _places(talk: Talk) -> dict[str, Symbol]:
    capitals, elsewhere = talk.phrases.data["capitals"], talk.phrases.data["country_names"]
    names = {**{country: country for country in capitals}, **elsewhere}
    found = [name for name in names if holds(talk.asked[:ASKED], name)]
    if not found:
        return {}
    name = max(found, key=len)
    return {"city": name, "capital": capitals[names[name]]}


def _persona(talk: Talk) -> dict[str, Symbol]:
    found = re.search(
        r"\b(?:you are|you're|act as|pretend to be|your name is|du bist|tu es|vous êtes|eres|sei)\s+(?:now )?"
        r"([^.,;:!\n]{2,80})",
        talk.system,
        re.I,
    )
    if not found:
        return {}
    persona = re.split(r" (?:who|that|which|from|and (?:you|always)|acting|working|answering) ", found[1])[
        0
    ].strip()
    return {"persona": persona}


def speaking_persona(talk: Talk) -> bool:
    """Whether the system message gives a part to play, not only manners."""
    persona = talk.facts.get("persona")
    return isinstance(persona, str) and not _PLAIN_PERSONA & set(words(persona))


def _results(messages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        found.insert(0, (message.get("tool_name") or "the tool", message.get("content", "")[:2000]))
    return found


def _tools(talk: Talk) -> dict[str, Symbol]:
    if not talk.results:
        return {}
    names = list(dict.fromkeys(name for name, _ in talk.results))
    return {"tool": " and ".join(names), "answer": "; ".join(told(text) for _, text in talk.results)}


def told(text: str) -> str:
    """What a tool returned, in words: an object's fields one by one, anything else as it stands."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    if isinstance(value, dict) and value:
        named = [f"{key.replace('_', ' ')} {_plain(item)}" for key, item in value.items()]
        return ", ".join(named)
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return ", ".join(_plain(item) for item in value)
    return json.dumps(value, ensure_ascii=False)


def _pictures(talk: Talk) -> dict[str, Symbol]:
    if not talk.looks:
        return {}
    seen = [look for look in talk.looks if look]
    facts: dict[str, Symbol] = {
        "pictures": "a picture" if len(talk.looks) == 1 else f"{len(talk.looks)} pictures"
    }
    if not seen:
        return facts | {"bad_picture": "yes"}
    spoken = talk.phrases.data["language"][talk.language].get("picture", {})

    def word(text: str) -> str:
        return spoken.get(text, text)

    def shares(look: Look) -> str:
        return ", ".join(f"{word(name)} ({round(100 * share)} %)" for name, share in look.colours[:4])

    def place(look: Look) -> str:
        told = [f"{word(area.colour)}: {word(f'{area.down} {area.across}')}" for area in look.areas[:4]]
        return "; ".join(told)

    many = len(seen) > 1

    def each(tell: Callable[[Look], str]) -> str:
        return "; ".join((f"{n}: " if many else "") + tell(look) for n, look in enumerate(seen, 1))

    sizes = each(lambda look: f"{look.width} x {look.height} {word('pixels')} ({look.kind})")
    facts |= {
        "picture": each(lambda look: f"{look.kind}, {look.width} x {look.height} {word('pixels')}"),
        "picture_size": sizes,
        "picture_colours": each(shares),
        "picture_colour": each(lambda look: word(look.colours[0][0])),
        "picture_light": each(
            lambda look: f"{word(_light(look.brightness))} ({round(100 * look.brightness)} %)"
        ),
        "picture_texture": each(lambda look: word(look.texture)),
    }
    if places := "; ".join(filter(None, map(place, seen))):
        facts["picture_places"] = places
    return facts


def _light(brightness: float) -> str:
    return "dark" if brightness < 0.33 else "bright" if brightness > 0.67 else "neither dark nor bright"


_FINDERS = (_subject, _memory, _places, _persona, *tasks.FINDERS, _tools, _pictures)
