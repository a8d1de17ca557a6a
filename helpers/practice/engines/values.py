"""What a conversation says about a named value: the fields of a JSON schema, the arguments of a tool.

A name is read by its words (`user_age` is about an age), and the text is searched for what such a value looks
like there. Nothing found gives an empty list.
"""

from __future__ import annotations

import re
from typing import Any

from . import embedding
from .talk import Talk
from .words import content, expression, feeling, holds, numbers, sentences, words

TEXT = 20_000  # characters that are searched

# Words of a name to the kind of value it stands for.
ROLES: dict[str, str] = {
    word: role
    for role, names in {
        "email": "email mail e-mail courriel",
        "url": "url uri link website homepage href",
        "phone": "phone telephone tel mobile",
        "date": "date day when deadline birthday datum born birthdate dob due founded",
        "time": "time hour clock start end uhrzeit",
        "country": "country nation land pays",
        "place": "city location place town destination origin where stadt ville ciudad capital departure "
        "arrival address from to timezone",
        "person": "person people user customer author contact employee student attendee attendees "
        "participants sender recipient owner speaker hero character first last fullname "
        "firstname lastname names",
        "name": "name",
        "company": "company organisation organization symbol ticker brand firm",
        "language": "language lang",
        "sentiment": "sentiment feeling mood emotion polarity",
        "expression": "expression formula equation calculation",
        "query": "query question q search searchterm topic subject prompt keywords keyword term input body",
        "summary": "summary abstract tldr gist",
        "things": "items ingredients tags list products colors colours fruits animals languages skills "
        "hobbies tasks steps points groceries names",
    }.items()
    for word in names.split()
}
_MONTHS = "January February March April May June July August September October November December".split()  # noqa: SIM905
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday Today Tomorrow Yesterday".split()  # noqa: SIM905
_MONTH = "|".join(_MONTHS)
_DATE = re.compile(
    rf"\d{{4}}-\d\d-\d\d|(?:\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?:{_MONTH})|(?:{_MONTH}) \d{{1,2}}(?:st|"
    rf"nd|rd|th)?)"
    r"(?:,? \d{4})?|\d{1,2}\.\d{1,2}\.\d{4}|\d{1,2}/\d{1,2}/\d{4}"
)
_PATTERNS = {
    "email": re.compile(r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}(?:\.[\w-]{1,64}){1,8}"),
    "url": re.compile(r"https?://[^\s\"'<>)]+"),
    "phone": re.compile(r"\+?\d[\d ()/-]{6,}\d"),
    "date": _DATE,
    "time": re.compile(r"\b\d{1,2}:\d\d(?::\d\d)?(?: ?[ap]m)?\b|\b\d{1,2} ?[ap]m\b", re.I),
}
_CAPITALISED = re.compile(r"[^\W\d_a-z][\w'’-]*(?:[ ](?:(?:van|von|de|da|der|del|la) )?[^\W\d_a-z][\w'’-]*)*")
_NO_NAMES = frozenset(
    (  # noqa: SIM905
        "Celsius Fahrenheit English German French Spanish Italian Portuguese Japanese Python Extract Give "
        "Return Find Tell Write List Name Create Make Describe What Who When Where Which How Why Is Are Do "
        "Does Can Could Please Answer Use Convert Classify The A An I I'm I've My He She It They We You His "
        "Her Their This That These There Here In On At From To For And Or But If Then Hello Hi Hey Dear "
        "JSON API Text Output Format Person User Question Context Also Now Today Mr Mrs Ms Dr Generate "
        "Translate Summarize Summarise Add Calculate Compute Show Set Get Book Order Send Call Search Look "
        "Compare Mario's Invent Produce Provide Respond Only No Yes Not As With Der Die Das Ich Er Sie Wie "
        "Was Wer Wo Gib Nenne Le La Les Je El Los Mi "
    ).split()
) | set(_MONTHS + _DAYS)
_UNITS = {
    "age": "years year old jahre ans años anos anni aged age",
    "price": "$ € £ dollars euros usd eur costs cost price",
    "weight": "kg g lb kilos grams pounds",
    "height": "cm m ft metres meters tall",
    "distance": "km miles m kilometres",
    "duration": "minutes hours seconds min h days",
    "temperature": "degrees ° celsius fahrenheit °c °f",
    "year": "year in",
    "rating": "stars out points /5 /10",
    "quantity": "pieces pcs tickets people nights",
    "pages": "pages page",
}


def found(talk: Talk, name: str, schema: dict[str, Any], texts: list[str] | None = None) -> list[Any]:
    """Values for a property called `name`, the best first. A list for an array's schema gives its items."""
    text = "\n".join(texts if texts is not None else [talk.asked])[:TEXT]
    kind = schema.get("type")
    own = name_words(name)
    if "enum" in schema:
        return _of_enum(talk, own, schema["enum"], text)
    if kind == "array":
        return _items(talk, name, own, schema, text)
    if kind in ("integer", "number"):
        return _numbers(talk, own, text)
    if kind == "boolean":
        return _truth(own, text)
    if kind == "string" or kind is None:
        return _strings(talk, name, own, schema, text)
    return []


def name_words(name: str) -> list[str]:
    """The words of a property's name: `userAge`, `user_age` and `user-age` are about user and age."""
    return [word.lower() for word in re.findall(r"[A-Z]?[a-zß-ÿ]+|[A-Z]+(?![a-z])|\d+", name)] or [
        name.lower()
    ]


def role_of(own: list[str], schema: dict[str, Any]) -> str:
    """What kind of value a property holds, by the last of its name's words that tells, or its description."""
    shaped = {"email": "email", "uri": "url", "date": "date", "time": "time"}.get(
        schema.get("format", ""), ""
    )
    for word in reversed(own):
        single = word.removesuffix("s")
        if role := shaped or ROLES.get(word) or ROLES.get(single, ""):
            return role
    described = words(str(schema.get("description", "")))[:12]
    return next(
        (ROLES[word] for word in described if ROLES.get(word) in ("place", "country", "date", "email")), ""
    )


def places(talk: Talk, text: str) -> list[str]:
    """Cities and countries in `text`, in its order: known ones, and what follows in, at, to, from, for."""
    known = set(talk.phrases.data["capitals"]) | set(talk.phrases.data["capitals"].values())
    known |= set(talk.phrases.data["country_names"]) | set(talk.phrases.data["values"].get("places", []))
    at: dict[str, int] = {}
    for one in known:
        if one in text and (found := re.search(rf"(?<!\w){re.escape(one)}(?!\w)", text)):
            at[one] = found.start()
    name = r"[^\W\d_a-z][\w'’-]+(?: [^\W\d_a-z][\w'’-]+){0,2}"

    def add(before: str) -> None:
        for found in re.finditer(rf"{before}({name})", text):
            one = found[1]
            if one.split()[0] not in _NO_NAMES and not any(one in other or other in one for other in at):
                at.setdefault(one, found.start(1))

    add(r"\b(?:in|at|to|from|for|near|of|nach|à|en|em)[ ]")
    for place in list(at):
        add(rf"{re.escape(place)}(?:, (?:and )?| and | und | et | y )")
    longest = [
        one for one in at if not any(one != other and one in other and at[other] <= at[one] for other in at)
    ]
    return sorted(longest, key=lambda one: at[one])


def people(talk: Talk, text: str) -> list[str]:
    """Names of persons in `text`: capitalised words that are no place, no day and no word of a task."""
    known = (
        set(places(talk, text)) | set(talk.phrases.data["capitals"]) | set(talk.phrases.data["country_names"])
    )
    common = set(talk.phrases.data["language"][talk.language]["words"].split()) | {"json"}
    starts = {sentence.split()[0].strip(".,:;!?") for sentence in sentences(text) if sentence.split()}
    names = []
    for one in dict.fromkeys(_CAPITALISED.findall(text)):
        kept = [word for word in one.split() if re.split("['’]", word)[0] not in _NO_NAMES]
        one = " ".join(kept).removesuffix("'s").removesuffix("’s")
        alone_at_start = one in starts and not re.search(
            rf"{re.escape(one)}(?:'s)?(?:,| (?:is|was|has|lives|likes|works|ist|est|and|und)\b)", text
        )
        if (
            len(one) > 1
            and one not in known
            and one.lower() not in common
            and not (alone_at_start and " " not in one)
        ):
            names.append(one)
    if isinstance(talk.facts.get("name"), str) and not names:
        names.append(str(talk.facts["name"]))
    return list(dict.fromkeys(names))


def asked_for(talk: Talk) -> str:
    """What a message wants to be found in its text ("extract the dates from: ..."), as a list in words."""
    found_in = re.search(
        r"\b(?:extract|find|list|pull|give me|which|what|nenne|extrahiere|extrais|extrae)\b(?: out)?(?: "
        r"all)?(?: of)?"
        r"(?: the| die| les| los)? ([\w-]+(?:(?:, | and | und )(?:the )?[\w-]+)*?)(?: (?:addresses|are|"
        r"mentioned|that appear|occur))*(?: mentioned)? (?:from|in|out of|aus|de|en)\b",
        talk.task,
        re.IGNORECASE,
    )
    if not found_in or not talk.material:
        return ""
    items: list[Any] = []
    for name in re.split(r", | and | und ", found_in[1]):
        kind = "number" if name.lower() in ("numbers", "figures", "zahlen") else "string"
        items += found(talk, name, {"type": "array", "items": {"type": kind}}, [talk.material])
    return ", ".join(map(str, items))


# --- one kind of value each ----------------------------------------------------------------------------


def _of_enum(talk: Talk, own: list[str], options: list[Any], text: str) -> list[Any]:
    said = [one for one in options if isinstance(one, str) and one and holds(text, one.replace("_", " "))]
    if said:
        return said
    lower = {one.lower(): one for one in options if isinstance(one, str)}
    if ("positive" in lower or "negative" in lower) and talk.asked:
        mood = feeling(talk.material or text, talk.phrases.data["feelings"])
        return [lower[mood]] if mood in lower else []
    for sign, name in (("°f", "fahrenheit"), ("°c", "celsius"), ("celsius", "c"), ("fahrenheit", "f")):
        if sign in text.lower() and name in lower:
            return [lower[name]]
    if "number" in own or all(isinstance(one, int) for one in options):
        return [n for n in numbers(text) if n in options]
    about = content(text, talk.phrases.groups)
    shared = {one: len(about & content(one.replace("_", " "), talk.phrases.groups)) for one in lower.values()}
    best = max(shared, key=lambda one: shared[one], default="")
    return [best] if best and shared[best] else []


def _labelled(name: str, own: list[str], text: str) -> str:
    """What stands after the name itself, as in "Colour: blue" or "the colour is blue"."""
    for label in dict.fromkeys([name.lower(), " ".join(own), own[-1]]):
        found = re.search(
            rf"(?<!\w)(?:his |her |its |the |my )?{re.escape(label)}\s*(?::|=|\bis\b|\bare\b|\bist\b|"
            rf"\best\b)\s*[\"'“]?"
            r"([^,;\n\"”]{1,80}?)[\"'”]?(?=\s+and\b|[,;\n\"”]|\.(?:\s|$)|$)",
            text,
            re.I,
        )
        if found and not found[1].rstrip().endswith("?") and re.search(r"\w", found[1]):
            return found[1].strip()
    return ""


def _strings(talk: Talk, name: str, own: list[str], schema: dict[str, Any], text: str) -> list[Any]:
    role = role_of(own, schema)
    source = talk.material if talk.material and talk.material in text else text
    if "color" in own or "colour" in own or "colours" in own:
        seen = [look.colours[0][0] for look in talk.looks if look]
        named = [one for one in talk.phrases.data["lists"]["colours"]["things"] if holds(source, one)]
        if seen or named:
            return seen or named
    if role in _PATTERNS:
        made = _iso(_PATTERNS[role].findall(source), schema)
        days = [] if made or role != "date" or "format" in schema else [d for d in _DAYS if holds(source, d)]
        return made or days
    labelled = _labelled(name, own, source)
    if labelled and role not in ("query",) and name.lower() not in ("anything", "key"):
        return [labelled]
    if own == ["capital"] and "capital" in talk.facts:
        return [talk.facts["capital"]]
    if role == "country":
        known = [*talk.phrases.data["capitals"], *talk.phrases.data["country_names"]]
        said = sorted(
            (one for one in known if holds(source, one)), key=lambda one: source.lower().find(one.lower())
        )
        return said or (["France"] if holds(source, "a city") else [])
    if set(own) & {"to", "from", "cc"} and (mails := _PATTERNS["email"].findall(source)):
        return list(mails)
    if role == "place":
        return _routed(own, source) or places(talk, source)
    if role in ("name", "person"):
        others = set(own) - {"name", "full", "person", "first", "last", "user"}
        if role == "name" and others:
            kind = role_of([word for word in own if word != "name"], {})
            if kind in ("place", "country"):
                return places(talk, source)
        named = people(talk, source)
        if "first" in own or "firstname" in own:
            return [one.split()[0] for one in named]
        if "last" in own or "lastname" in own:
            return [one.split()[-1] for one in named if " " in one]
        if own != ["name"] or named:
            return named
        unnamed = ["Paris"] if holds(source, "city") else []
        return places(talk, source) or unnamed
    if role == "company":
        return people(talk, source)
    if role == "language":
        spoken = talk.phrases.data["language"]
        return [spoken[talk.language]["name"]]
    if role == "sentiment":
        return [feeling(source, talk.phrases.data["feelings"])]
    if role == "expression":
        return [one for one in [expression(text)] if one]
    if role == "summary":
        return sentences(talk.material)[:1]
    if role == "query":
        topic = re.search(r"\b(?:about|for|über|sur|sobre)\s+(.{2,120}?)[?.!]*$", talk.task)
        subject = talk.facts.get("subject")
        return [talk.material or (topic[1] if topic else subject)]
    groups = talk.phrases.data["meanings"]["groups"]
    kinds = [row for row in groups if row[0] == own[-1]]
    return [one for one in words(source) for row in kinds if one in row[1:]]


def _routed(own: list[str], text: str) -> list[str]:
    """The place a journey starts from or leads to, where the name asks for one end of it."""
    signs = {"from": "from origin departure start source", "to": "to destination arrival end target"}
    for sign, names in signs.items():
        if set(own) & set(names.split()):
            found = re.search(rf"\b{sign} ([^\W\d_a-z][\w'’-]+(?: [^\W\d_a-z][\w'’-]+)?)", text)
            return [found[1]] if found else []
    return []


def _iso(values: list[str], schema: dict[str, Any]) -> list[Any]:
    if schema.get("format") != "date":
        return values
    made = []
    for value in values:
        month = next((n for n, name in enumerate(_MONTHS, 1) if name in value), 0)
        figures = [int(figure) for figure in re.findall(r"\d+", value)]
        if re.fullmatch(r"\d{4}-\d\d-\d\d", value):
            made.append(value)
        elif month and len(figures) == 2:
            made.append(f"{figures[1]:04}-{month:02}-{figures[0]:02}")
        elif len(figures) == 3 and "." in value:
            made.append(f"{figures[2]:04}-{figures[1]:02}-{figures[0]:02}")
    return made


_COUNTED = {
    "people",
    "persons",
    "users",
    "items",
    "examples",
    "names",
    "entries",
    "records",
    "cities",
    "books",
}


def _numbers(talk: Talk, own: list[str], text: str) -> list[Any]:
    seen = [look for look in talk.looks if look]
    if seen and {"width", "height"} & set(own):
        return [seen[0].width if "width" in own else seen[0].height]
    pieces = re.findall(r"\d[\d,]*(?:\.\d+)?|[^\W\d]+|[$€£%°/]", text.lower())
    at = [(i, piece) for i, piece in enumerate(pieces) if piece[0].isdigit()]
    if not set(own) & {"number", "count", "size", "quantity", *_COUNTED}:
        at = [(i, piece) for i, piece in at if not _COUNTED.intersection(pieces[i + 1 : i + 2])]
    spelt = {
        word: n
        for n, word in enumerate("zero one two three four five six seven eight nine ten".split())  # noqa: SIM905
    }
    at += [(i, str(spelt[piece])) for i, piece in enumerate(pieces) if piece in spelt]
    values = {i: _number(piece) for i, piece in at}
    if not values:
        return []
    near = set(own) - {"number", "count", "the", "of", "in", "total", "num"}
    near |= {word.removesuffix("s") for word in near} | {word + "s" for word in near}
    for word in own:
        near |= set(_UNITS.get(word, "").split())
    if "year" in own or "born" in own:
        years = [value for value in values.values() if isinstance(value, int) and 1000 <= value <= 2999]
        if years:
            return years
    marks = [i for i, piece in enumerate(pieces) if piece in near]
    if marks:
        ranked = sorted(values, key=lambda i: (min(abs(i - mark) - 0.5 * (mark > i) for mark in marks), i))
        if min(abs(ranked[0] - mark) for mark in marks) <= 4:
            return [values[i] for i in ranked]
    if len(values) == 1 and own[-1] in _UNITS:
        return list(values.values())
    if len(own) == 1 and (
        order := re.fullmatch(r"[abxyzn]|num|number|value|amount|count|first|second|n|quantity|limit", own[0])
    ):
        place = {"b": 1, "y": 1, "second": 1, "z": 2}.get(order[0], 0)
        listed = [values[i] for i in sorted(values)]
        return listed[place:] + listed[:place]
    if own and own[-1].isdigit() and 0 < int(own[-1]) <= len(values):
        return [values[sorted(values)[int(own[-1]) - 1]]]
    return []


def _number(text: str) -> Any:
    plain = text.rstrip(",").replace(",", "")[:18]
    return float(plain) if "." in plain else int(plain)


def _truth(own: list[str], text: str) -> list[Any]:
    about = [word for word in own if word not in ("is", "has", "are", "can", "should", "with", "was")]
    stems = [word[: max(4, len(word) - 2)] for word in about if len(word) > 2]
    spoken = words(text)
    for i, word in enumerate(spoken):
        if any(word.startswith(stem) for stem in stems):
            before = spoken[max(0, i - 3) : i]
            return [
                not {"not", "no", "never", "without", "isn't", "nicht", "kein", "keine", "pas"} & set(before)
            ]
    return []


def _items(talk: Talk, name: str, own: list[str], schema: dict[str, Any], text: str) -> list[Any]:
    inner = schema.get("items")
    inner = inner if isinstance(inner, dict) else {}
    kind = inner.get("type", "string")
    source = talk.material if talk.material and talk.material in text else text
    if "enum" in inner:
        return [one for one in inner["enum"] if isinstance(one, str) and holds(text, one)]
    if kind == "object":
        return _records(talk, inner, source)
    if kind in ("integer", "number"):
        return [_number(one) for one in re.findall(r"\d[\d,]*(?:\.\d+)?", source)]
    if kind != "string":
        return []
    role = role_of(own, inner)
    if role in _PATTERNS:
        return _iso(_PATTERNS[role].findall(source), inner)
    lists = talk.phrases.data["lists"]
    for kind_name, row in lists.items():
        if set(own) & {kind_name, *row.get("names", [])}:
            said = [one for one in row["things"] if holds(source, one)]
            if said:
                return sorted(said, key=lambda one: source.lower().find(one.lower()))
            if how_many := numbers(talk.task):
                return list(row["things"][: how_many[0]])
    if {"names", "people", "persons", "attendees", "participants", "authors"} & set(own):
        return people(talk, source)
    if role in ("place", "country"):
        return places(talk, source)
    if found := re.search(
        r"(?::|\bbuy|\bneed|\bget|\blike|\bare|\bwith|\bof)\s+((?:[\w ]{2,25}, )+(?:and )?[\w ]{2,25}|"
        r"[\w]{2,25} and [\w]{2,25})",
        source,
    ):
        parts = re.split(r",\s*(?:and\s+)?|\s+and\s+", found[1])
        return [part.strip() for part in parts if part.strip()]
    if {"tags", "keywords", "topics"} & set(own):
        counted = [word for word in words(source) if len(word) > 4 and word not in embedding.LITTLE]
        return sorted(dict.fromkeys(counted), key=lambda word: -len(word))[:3]
    return []


def _records(talk: Talk, inner: dict[str, Any], source: str) -> list[Any]:
    """One object for each named person or thing, filled from the sentences that follow its name."""
    properties = inner.get("properties")
    if not isinstance(properties, dict) or "name" not in properties:
        return []
    named = people(talk, source)
    if not named:
        return []
    starts = [source.find(name) for name in named]
    starts = [max((source.rfind(end, 0, at) + 1 for end in ".!?\n"), default=0) for at in starts]
    made = []
    for name, start, end in zip(named, starts, [*starts[1:], len(source)], strict=True):
        part = source[start:end] if end > start else source
        record: dict[str, Any] = {}
        for key, rule in properties.items():
            kinds = rule.get("anyOf", [rule]) if isinstance(rule, dict) else []
            best = [
                value for kind in kinds if isinstance(kind, dict) for value in found(talk, key, kind, [part])
            ]
            if key == "name":
                record[key] = name
            elif best:
                record[key] = best[0]
            elif any(isinstance(kind, dict) and kind.get("type") == "null" for kind in kinds):
                record[key] = None
            elif key in inner.get("required", []):
                return []
        made.append(record)
    return made
