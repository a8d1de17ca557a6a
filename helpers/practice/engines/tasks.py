"""Tasks that a rule can do: sums, counting, repeating, translating, listing, summing up, labelling.

Each finding gives some of the {words} of the phrase file, or none where the task is another one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import embedding, tokens
from .grammar import Choice, Symbol
from .words import ASKED, calculated, content, expression, feeling, holds, numbers, sentences, words

if TYPE_CHECKING:
    from .talk import Talk

ENDLESS = 10**9


def _arithmetic(talk: Talk) -> dict[str, Symbol]:
    text = talk.asked[:ASKED]
    made = calculated(expression(text))
    if not made and (found := re.search(r"(?:square root of|wurzel aus|√)\s*(\d{1,15})", text, re.I)):
        root = int(found[1]) ** 0.5
        made = str(int(root)) if root == int(root) else f"{root:.6g}"
    if not made and (
        found := re.search(
            r"\b(\d{1,15}(?:\.\d{1,6})?) ?(?:%|percent|prozent) (?:of|von) (\d{1,15}(?:\.\d{1,6})?)",
            text,
            re.I,
        )
    ):
        made = calculated(f"{found[1]}/100*{found[2]}")
    facts: dict[str, Symbol] = {}
    if found := re.search(r"\bis (\d{1,12}) (?:a )?(prime|even|odd)", text, re.I):
        n, kind = int(found[1]), found[2].lower()
        holding = _is_prime(n) if kind == "prime" else n % 2 == (kind == "odd")
        facts = {"verdict": "Yes" if holding else "No", "claim": f"{n} is {'' if holding else 'not '}{kind}"}
    found_numbers = numbers(text)
    return facts | {"result": made, "number": str(found_numbers[-1]) if found_numbers else ""}


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % divisor for divisor in range(2, int(n**0.5) + 1))


def _count(talk: Talk) -> dict[str, Symbol]:
    if not re.search(
        r"\bcount|\bnumbers\b.*\d|\d.*\bnumbers\b|zähl|compte|cuenta|conta|数え", talk.task, re.I
    ):
        return {}
    given = numbers(talk.task)
    if not given:
        return {}
    first, last = (given[0], given[1]) if len(given) > 1 else (1, given[0])
    if re.search(r"backward|down|rückwärts", talk.task, re.I) and len(given) == 1:
        first, last = last, 1
    step = 1 if last >= first else -1

    def counted(n: int) -> Symbol:
        after: Symbol = "" if n == last else lambda: (", ", counted(n + step))
        return (str(n), after)

    return {"count": counted(first)}


def _letters(talk: Talk) -> dict[str, Symbol]:
    text = " ".join(talk.asked[:ASKED].split())
    in_word = (
        r"(?:the word |the text |the sentence |wort |dem wort |le mot )?"
        r"[\"'“„]?([^\"'”“?]+?)[\"'”“]?\s*[?.!]*$"
    )
    if found := re.search(
        r"(?:how many|count the|count)(?: times does(?: the letter)?)?(?: letters?)? "
        r"[\"'“]?(\w)[\"'”]?(?:'s|s)?"
        r"(?: letters?)?(?: are there| are| occur| appear)?(?: there)? in " + in_word,
        text,
        re.I,
    ):
        number = found[2].lower().count(found[1].lower())
        return {"letters": str(number), "word": f'"{found[1]}" in "{found[2].strip()}"'}
    if found := re.search(
        r"wie viele (\w)(?:'s|s)?(?: sind| gibt es| stecken)? (?:in|im) " + in_word, text, re.I
    ):
        return {
            "letters": str(found[2].lower().count(found[1].lower())),
            "word": f'"{found[1]}" in "{found[2]}"',
        }
    if found := re.search(
        r"(?:how many|count the|count) (letters|characters|words|sentences|tokens)(?: are)?(?: "
        r"there)?(?: does)?"
        r"(?: in|:)?\s+" + in_word,
        text,
        re.I,
    ):
        what, inside = found[1].lower(), (talk.material or found[2]).strip()
        count = {
            "letters": sum(letter.isalpha() for letter in inside),
            "characters": len(inside),
            "words": len(words(inside)),
            "sentences": len(sentences(inside)),
            "tokens": tokens.count(inside),
        }[what]
        return {"letters": str(count), "word": f'{what} in "{inside[:80]}"'}
    if re.search(r"\b(?:function|program|script|code|class|method|funktion|programm)\b", text, re.I):
        return {}
    if found := re.search(r"(?:reverse|spell)(?: out)?(?: backwards)? " + in_word, text, re.I):
        backwards = "reverse" in text.lower() or "backward" in text.lower()
        return {"echo": found[1][::-1] if backwards else "-".join(found[1].strip().upper())}
    return {}


def _echo(talk: Talk) -> dict[str, Symbol]:
    found = re.search(
        r"^(?:please )?(?:repeat after me|repeat|echo|say exactly|reply (?:only )?with|respond "
        r"(?:only )?with|"
        r"answer (?:only )?with|reply exactly|write exactly|say|output|wiederhole|antworte mit|répète|repite)"
        r"(?: back)?(?: only| just)?(?: the (?:word|text|sentence|following))?(?: "
        r"exactly)?\s*:?\s+[\"'“„]?(.+?)[\"'”“]?\s*$",
        talk.asked.strip()[:ASKED],
        re.I | re.DOTALL,
    )
    if (
        not found
        or re.fullmatch(r"(hi|hello|hallo|hey)\b[\w ]*\W*", found[1], re.I)
        or found[1]
        .lower()
        .startswith(
            (
                "a ",
                "an ",
                "one word",
                "one sentence",
                "something",
                "that",
                "json",
                "only",
                "in ",
                "your",
                "yes or",
                "the ",
                "it ",
            )
        )
    ):
        return {}
    times = re.search(r"^(.+?)[\"'”]? (\d{1,6}|\w+) times\W*$", found[1], re.I)
    if times and (numbers(times[2]) or times[2].isdigit()):
        return {"echo": _repeated(times[1].strip(" \"'"), numbers(times[2])[0])}
    return {"echo": found[1]}


def _repeated(text: str, times: int) -> Symbol:
    if times <= 1:
        return text if times else ""
    return (text, " ", lambda: _repeated(text, times - 1))


def _long(talk: Talk) -> dict[str, Symbol]:
    """How many sentences are wanted, where more than one or two are."""
    text = talk.task
    found = re.search(
        r"\b(\d[\d,.]{0,12}|[^\W\d]{1,15})[ -](words?|sentences?|paragraphs?|lines?|tokens?|pages?|"
        r"wörter|sätze)",
        text,
        re.I,
    )
    if found and (given := numbers(found[1].replace(",", "").replace(".", ""))):
        share = {"w": 12, "t": 14, "l": 1, "s": 1, "p": 0.25}[found[2][0].lower()]
        share = 1 / 40 if found[2].lower().startswith("page") else share
        return {"words_wanted": str(max(1, round(given[0] / share)))}
    if re.search(
        r"endless|never (?:stop|end)|forever|infinite|without end|don't stop|do not stop|endlos", text, re.I
    ):
        return {"words_wanted": str(ENDLESS)}
    if re.search(r"very,? (?:very )?long|extremely long|as long as|sehr lang|très long|muy larg", text, re.I):
        return {"words_wanted": "120"}
    if re.search(r"\b(?:long|longer|detail|detailed|in depth|essay|ausführlich|lange|aufsatz)\b", text, re.I):
        return {"words_wanted": "12"}
    return {}


def _context(talk: Talk) -> dict[str, Symbol]:
    """The sentence of a given text or the system message that a question is about."""
    question = talk.task
    source = talk.material if len(talk.material) > 30 else ""
    source = f"{source}\n{talk.system}".strip()
    if not source or not (
        question.endswith("?")
        or re.match(r"(what|when|where|who|how|which|does|is|wann|wer|wo|was)\b", question, re.I)
    ):
        return {}
    groups = talk.phrases.groups
    about = content(question, groups) - {"answer", "context", "question", "following", "text"}
    best, score = "", 0.0
    for sentence in sentences(source):
        if re.match(
            r"(you are|you're|answer|always|never|use |reply|respond|du bist|context:$)", sentence, re.I
        ):
            continue
        shared = sum(0.4 if " " in one else 1.0 for one in about & content(sentence, groups))
        if shared > score:
            best, score = sentence, shared
    enough = score >= 2 or score >= 1 and len(about) <= 3
    return {"context": re.sub(r"^(context|text|kontext):\s*", "", best, flags=re.I)} if enough else {}


def _summary(talk: Talk) -> dict[str, Symbol]:
    if not re.search(
        r"summar|tl;?dr|zusammenfass|fasse|résum|resum|riassum|要約|in short|key point", talk.task, re.I
    ):
        return {}
    source = talk.material
    own = sentences(source)
    if not own:
        return {}
    wanted = numbers(re.sub(r"\bone\b", "1", talk.task)) or [1]
    counts = Counter(word for word in words(source) if word not in embedding.LITTLE)

    def weight(sentence: str) -> float:
        kept = [word for word in words(sentence) if word not in embedding.LITTLE]
        return sum(counts[word] for word in kept) / (len(kept) + 3)

    chosen = sorted(range(len(own)), key=lambda i: (-weight(own[i]), i))[: max(1, min(wanted[0], 10))]
    return {"summary": " ".join(own[i] for i in sorted(chosen))}


def _choice(talk: Talk) -> dict[str, Symbol]:
    """A label for a text: by feeling, or the label whose meaning is nearest."""
    if not re.search(
        r"sentiment|classif|stimmung|categor|positive or negative|klassifizier|spam|feeling", talk.task, re.I
    ):
        return {}
    source = talk.material or talk.task
    mood = feeling(source, talk.phrases.data["feelings"])
    labels = _labels(talk.task + " " + talk.system[:ASKED])
    if (
        "sentiment" in talk.task.lower()
        or not labels
        or {"positive", "negative"} <= {label.lower() for label in labels}
    ):
        own = next((label for label in labels if label.lower() == mood), mood.capitalize())
        return {"choice": own, "sentiment": mood} if talk.material or "sentiment" in talk.task.lower() else {}
    groups = talk.phrases.groups
    return {"choice": max(labels, key=lambda label: embedding.alike(label, source, groups))}


def _labels(text: str) -> list[str]:
    found = re.search(
        r"(?:as|into|in|be|is|this|it|one of|als|:|\()\s*((?:[\w\"'-]+(?:,\s*|\s*/\s*))*[\w\"'-]+,?\s+"
        r"(?:or|oder|ou|o)\s+[\w\"'-]+)",
        text,
    )
    if not found:
        return []
    return [
        label.strip(" \"'")
        for label in re.split(r",\s*(?:or |oder )?|\s*/\s*|\s+(?:or|oder|ou|o)\s+", found[1])
        if label.strip()
    ]


def learnt(talk: Talk, messages: list[dict[str, Any]]) -> str:
    """The answer of the most similar example, where earlier turns are short examples of one task."""
    turns = [m for m in messages if m["role"] in ("user", "assistant")]
    pairs = [
        (one["content"], other["content"])
        for one, other in zip(turns, turns[1:], strict=False)
        if (one["role"], other["role"]) == ("user", "assistant")
    ]
    answers = {answer for _, answer in pairs}
    if (
        len(pairs) < 2
        or len(answers) < 2
        or any(len(words(answer)) > 2 or answer.endswith(("!", "?")) for answer in answers)
    ):
        return ""
    moods = {answer.lower(): answer for answer in answers}
    mood = feeling(talk.asked, talk.phrases.data["feelings"])
    if {"positive", "negative"} <= set(moods):
        return moods.get(mood, "")
    groups = talk.phrases.groups
    return max(pairs, key=lambda pair: embedding.alike(pair[0], talk.asked, groups))[1]


def _translation(talk: Talk) -> dict[str, Symbol]:
    names = {"english": 0, "german": 1, "french": 2, "spanish": 3, "portuguese": 4, "italian": 5,
             "japanese": 6,
             "englisch": 0, "englische": 0, "deutsch": 1, "deutsche": 1, "französisch": 2, "französische": 2,
             "spanisch": 3, "spanische": 3, "italienisch": 5, "italienische": 5, "japanisch": 6,
             "anglais": 0, "allemand": 1, "espagnol": 3, "inglés": 0, "alemán": 1, "francés": 2}  # fmt: skip
    found = re.search(
        r"(?:translate|übersetze|traduis|traduce|traduza)\s+[\"'“„]?(.+?)[\"'”“]?\s+(?:in|into|to|ins|en|"
        r"al|para o)\s+(\w+)",
        talk.asked[:ASKED],
        re.I,
    ) or re.search(r"how (?:do you|to) say [\"'“]?(.+?)[\"'”]? in (\w+)", talk.asked[:ASKED], re.I)
    if found:
        text, into = found[1], found[2]
    elif (
        swapped := re.search(r"translate (?:this |the following )?(?:in|into|to) (\w+)", talk.task, re.I)
    ) and talk.material:
        text, into = talk.material, swapped[1]
    else:
        return {}
    if into.lower() not in names:
        return {}
    column, rows = names[into.lower()], talk.phrases.data["translations"]
    by_word = {word.lower(): row for row in rows for word in row}
    whole = text.strip(" .!?\"'").lower()
    whole = re.sub(r"^(?:the (?:word|phrase|sentence) )", "", whole).strip("\"' ")
    if whole in by_word:
        return {"translation": by_word[whole][column]}
    made = [by_word[word][column] if word in by_word else "" for word in words(whole)]
    if made and all(made):
        return {"translation": " ".join(made) if column != 6 else "".join(made)}
    known = [f"{word} = {one}" for word, one in zip(words(whole), made, strict=True) if one]
    return {"translation": ", ".join(known)} if known else {}


def _items(talk: Talk) -> dict[str, Symbol]:
    """A list of things of one kind: as many as wanted, each once."""
    kinds = talk.phrases.data["lists"]
    if not re.search(
        r"\b(?:list|name|give|tell|suggest|write|nenne|liste|cite|nombra|three|five|\d+)\b", talk.task, re.I
    ):
        return {}
    names = {word: kind for kind in kinds for word in (kind, *kinds[kind].get("names", []))}
    kind = next((names[name] for name in sorted(names, key=len, reverse=True) if holds(talk.task, name)), "")
    if not kind:
        return {}
    one = re.search(
        rf"\b(?:a|an|one|ein|eine|einen|une?|una) {kind.removesuffix('s')}\b|\bcity\b", talk.task, re.I
    )
    wanted = max(1, min((numbers(talk.task) or [1 if one else 3])[0], 20))
    things = kinds[kind].get(talk.language) or kinds[kind]["things"]
    separated = bool(re.search(r"comma|komma|one line|single line", talk.task, re.I))
    bulleted = bool(re.search(r"bullet|stichpunkt", talk.task, re.I))

    def listed(n: int, left: tuple[str, ...]) -> Symbol:
        if n > wanted or not left:
            return ""
        head = (
            ("" if n == 1 else ", ")
            if separated
            else ("" if n == 1 else "\n") + ("- " if bulleted else f"{n}. ")
        )
        options = tuple(
            (1 / (rank + 1), (head + thing, _later(listed, n + 1, tuple(t for t in left if t != thing))))
            for rank, thing in enumerate(left)
        )
        return Choice(options)

    if wanted == 1:
        return {"items": Choice(tuple((1 / (rank + 1), thing) for rank, thing in enumerate(things)))}
    return {"items": lambda: listed(1, tuple(things))}


def _later(build: Callable[..., Symbol], *arguments: Any) -> Symbol:
    return lambda: build(*arguments)


FINDERS = (
    _arithmetic, _count, _letters, _echo, _long, _context, _summary, _choice, _translation, _items,
)  # fmt: skip
