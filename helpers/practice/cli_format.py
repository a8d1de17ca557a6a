"""How the `ollama` command writes things down: sizes, ages, durations, numbers, quoted text and tables.

Every function here is pure. They follow Go's own spelling and the table layout of Ollama 0.32.15.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

HOUR = 3600
YEARS = 24 * 365  # hours in a year


# --- sizes, numbers, ages -----------------------------------------------------------------------------------


def human_bytes(size: int) -> str:
    """A size in decimal units: `999 B`, `4.9 GB`, `12 GB`."""
    for unit, factor in (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("KB", 10**3)):
        if size >= factor:
            value = size / factor
            if value >= 10 or value == int(value):
                return f"{int(value)} {unit}"
            return f"{value:.1f} {unit}"
    return f"{size} B"


def human_number(count: int) -> str:
    """A parameter count: `3.2B`, `133.70M`, `8B`."""
    for unit, factor, digits in (("B", 10**9, 1), ("M", 10**6, 2)):
        if count >= factor:
            return f"{count / factor:.{0 if count % factor == 0 else digits}f}{unit}"
    return f"{count / 1000:.0f}K" if count >= 1000 else str(count)


def human_time(stamp: float | None, now: float) -> str:
    """A moment (seconds since 1970, None for Go's zero time) seen from `now`: `2 weeks ago`, `Forever`."""
    if stamp is None:
        return "Never"
    ago = now - stamp
    if int(ago / HOUR / YEARS) < -20:
        return "Forever"
    return f"{_human_duration(-ago)} from now" if ago < 0 else f"{_human_duration(ago)} ago"


def _human_duration(seconds: float) -> str:
    if seconds < 1:
        return "Less than a second"
    if seconds < 60:
        return "1 second" if int(seconds) == 1 else f"{int(seconds)} seconds"
    if seconds < HOUR:
        minutes = int(seconds / 60)
        return "About a minute" if minutes == 1 else f"{minutes} minutes"
    hours = int(seconds / HOUR + 0.5)
    if hours == 1:
        return "About an hour"
    for below, unit, name in ((48, 1, "hours"), (24 * 14, 24, "days"), (24 * 60, 24 * 7, "weeks")):
        if hours < below:
            return f"{hours // unit} {name}"
    if hours < 2 * YEARS:
        return f"{hours // (24 * 30)} months"
    return f"{int(seconds / HOUR) // YEARS} years"


def timestamp(text: str) -> float | None:
    """An RFC 3339 time in seconds since 1970; None for Go's zero time. Raises ValueError for other text."""
    from datetime import datetime, timedelta, timezone

    match = re.fullmatch(r"(\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d)(\.\d+)?(?:[Zz]|([+-])(\d\d):(\d\d))", text)
    if not match:
        raise ValueError(f"not an RFC 3339 time: {text!r}")
    whole, fraction, sign, hours, minutes = match.groups()
    local = datetime.fromisoformat(f"{whole.upper()}+00:00")
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0))
    seconds = (local - datetime(1970, 1, 1, tzinfo=timezone.utc)) / timedelta(seconds=1)
    seconds -= offset.total_seconds() * (-1 if sign == "-" else 1)
    return None if seconds == -62135596800 else seconds + float(fraction or 0)


# --- Go's durations -----------------------------------------------------------------------------------------

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_LONGEST = 2**63 - 1


def duration(nanoseconds: int) -> str:
    """A duration as Go writes it: `1.5s`, `291.851547ms`, `5m0s`, `0s`."""
    sign, left = ("-" if nanoseconds < 0 else ""), abs(nanoseconds)
    if left == 0:
        return "0s"
    for unit, factor in (("ns", 1), ("µs", 10**3), ("ms", 10**6)):
        if left < factor * 1000:
            return f"{sign}{_decimal(left, factor)}{unit}"
    minutes, rest = divmod(left, 60 * 10**9)
    text = f"{_decimal(rest, 10**9)}s"
    if minutes:
        hours, minutes = divmod(minutes, 60)
        text = f"{hours}h{minutes}m{text}" if hours else f"{minutes}m{text}"
    return sign + text


def _decimal(value: int, factor: int) -> str:
    whole, rest = divmod(value, factor)
    if not rest:
        return str(whole)
    return f"{whole}.{str(rest).zfill(len(str(factor)) - 1)}".rstrip("0")


def parse_duration(text: str) -> int:
    """Nanoseconds of a duration such as `1h30m` or `-1.5s`. Raises ValueError with Go's text."""
    sign, rest = (-1, text[1:]) if text[:1] == "-" else (1, text.removeprefix("+"))
    if rest == "0":
        return 0
    if not rest:
        raise ValueError(f"time: invalid duration {_plain_quote(text)}")
    total = 0
    while rest:
        number = re.match(r"[0-9]*(\.[0-9]*)?", rest)
        digits = number.group() if number else ""
        if digits in ("", "."):
            raise ValueError(f"time: invalid duration {_plain_quote(text)}")
        whole, _, fraction = digits.partition(".")
        if int(whole or 0) > _LONGEST:
            raise ValueError(f"time: invalid duration {_plain_quote(text)}")
        rest = rest[len(digits) :]
        unit = re.match(r"[^.0-9]*", rest)
        name = unit.group() if unit else ""
        if not name:
            raise ValueError(f"time: missing unit in duration {_plain_quote(text)}")
        if name not in _UNITS:
            raise ValueError(f"time: unknown unit {_plain_quote(name)} in duration {_plain_quote(text)}")
        total += int(whole or 0) * _UNITS[name]
        total += int(fraction or 0) * _UNITS[name] // 10 ** len(fraction)
        if total > _LONGEST + (sign < 0):
            raise ValueError(f"time: invalid duration {_plain_quote(text)}")
        rest = rest[len(name) :]
    return sign * total


def _plain_quote(text: str) -> str:
    """As Go's time package quotes: bytes of what is not ASCII are spelt out."""
    plain = "".join(
        f"\\x{byte:02x}" if byte < 32 or byte > 127 else chr(byte) for byte in text.encode("utf-8", "replace")
    )
    return '"' + re.sub(r'(["\\])(?!x[0-9a-f]{2})', r"\\\1", plain) + '"'


# --- Go's %g, %v and %q -------------------------------------------------------------------------------------


def general(number: float) -> str:
    """A float as Go's %g writes it: shortest digits, an exponent below 1e-4 and from 1e6 on."""
    digits, exponent = _shortest(abs(number))
    sign = "-" if str(number)[0] == "-" else ""
    if -4 <= exponent < 6:
        if exponent < 0:
            return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
        whole = digits[: exponent + 1].ljust(exponent + 1, "0")
        part = digits[exponent + 1 :]
        return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"
    mantissa = f"{digits[0]}.{digits[1:]}" if len(digits) > 1 else digits
    return f"{sign}{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"


def _shortest(number: float) -> tuple[str, int]:
    """The shortest digits of a non-negative float, and the power of ten of the first."""
    if number == 0:
        return "0", 0
    mantissa, _, power = repr(number).partition("e")
    whole, _, part = mantissa.partition(".")
    part = "" if part == "0" else part
    exponent = int(power or 0) + len(whole) - 1
    digits = whole + part
    lead = len(digits) - len(digits.lstrip("0"))
    return digits.strip("0") or "0", exponent - lead


def value_text(value: object) -> str:
    """A decoded JSON value as Go's %v writes it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return general(float(value))
    if isinstance(value, list):
        return f"[{' '.join(map(value_text, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{k}:{value_text(value[k])}' for k in sorted(value))}]"
    return str(value)


_ESCAPES = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


def quote(text: str) -> str:
    """Text as Go's %q writes it: double quotes, escapes for what cannot be printed."""
    return f'"{"".join(_escape(letter, chr(34)) for letter in text)}"'


def quote_letter(letter: str) -> str:
    """One letter as Go's %q writes it, in single quotes."""
    return f"'{_escape(letter, chr(39))}'"


def quote_words(words: Iterable[str]) -> str:
    """Words as Go's %#q writes a list of them: in backquotes where that is possible."""
    return " ".join(quote(w) if re.search("[\0-\x08\n-\x1f`\x7f\ufeff]", w) else f"`{w}`" for w in words)


def _escape(letter: str, mark: str) -> str:
    if letter in (mark, "\\"):
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    if letter in _ESCAPES:
        return _ESCAPES[letter]
    code = ord(letter)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


# --- tables -------------------------------------------------------------------------------------------------


def width(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text) if text.isprintable() else sum(" " <= letter < "\x7f" for letter in text)
    return sum(map(letter_width, text))


def letter_width(letter: str) -> int:
    """How many columns of a terminal one letter takes: 0, 1 or 2."""
    if letter < "\x7f":
        return int(letter >= " ")
    import unicodedata

    if unicodedata.category(letter) in ("Mn", "Me", "Cf", "Cc", "Cs"):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def table(rows: Sequence[Sequence[str]], header: Sequence[str] = (), wrap: int = 30) -> str:
    """Left-aligned columns with four spaces after each cell; a header's last cell has one space after it.

    Cells wider than `wrap` are broken at spaces.
    """
    widths = {column: width(name) for column, name in enumerate(header)}
    cells: list[list[list[str]]] = []
    for row in rows:
        cells.append([])
        for column, cell in enumerate(row):
            limit = min(wrap, max(map(width, cell.split("\n"))))
            cells[-1].append(_wrap(cell, limit))
            widths[column] = max(widths.get(column, 0), limit, *map(width, cells[-1][-1]))
    text = ""
    if header:
        padded = [_pad(name, widths[column]) for column, name in enumerate(header)]
        text = "    ".join(padded) + " \n"
    for broken in cells:
        for line in range(max(map(len, broken))):
            for column, lines in enumerate(broken):
                text += _pad(lines[line] if line < len(lines) else "  ", widths[column]) + "    "
            text += "\n"
    return text


def _pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def _wrap(text: str, limit: int) -> list[str]:
    """Lines of at most `limit` columns (or the longest word), broken so that they are as even as possible."""
    words = text.replace("\n", " ").split(" ")
    sizes = [width(word) for word in words]
    limit = max(limit, *sizes)
    count = len(words)
    cost = [2**31 - 1] * count
    end = [0] * count
    for first in range(count - 1, -1, -1):
        length = sum(sizes[first:]) + count - 1 - first
        if length <= limit:
            cost[first], end[first] = 0, count
            continue
        length = -1
        for after in range(first + 1, count):
            length += 1 + sizes[after - 1]
            price = (limit - length) ** 2 + cost[after] + (100_000 if length > limit else 0)
            if price < cost[first]:
                cost[first], end[first] = price, after
    lines, first = [], 0
    while first < count:
        lines.append(" ".join(words[first : end[first]]))
        first = end[first]
    return lines
