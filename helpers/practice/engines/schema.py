"""A JSON schema as a grammar: every text the grammar makes is JSON that fits the schema.

Objects, arrays, texts, numbers, enum, const, anyOf, $ref and their limits are built so that nothing else can
come out. Where keywords bear on one another (allOf, oneOf, not, if, contains, uniqueItems ...), texts are
made the same way, checked with jsonschema, and only those that fit are kept. Required properties come
first, as llama.cpp's own grammar has them (common/json-schema-to-grammar.cpp).
"""

from __future__ import annotations

import json
import math
import re
import warnings
from collections.abc import Callable, Iterator
from copy import copy
from random import Random
from typing import Any

from .grammar import Choice, Symbol, drawn, mapped, one_of
from .keywords import (
    FORMATS,
    SCALARS,
    allows,
    as_dict,
    as_list,
    bounds,
    expand,
    is_kind,
    kind_of,
    numbers_between,
)
from .regex import matching

Found = Callable[[str, dict[str, Any]], list[Any]]  # what the conversation gives for a property, best first
Words = Callable[[str], Symbol]  # plain words for a property of that name

DEEP = 3  # from this nesting on only what must be there is written
KEPT, TRIES = 6, 60  # how many checked texts are kept at most, out of how many made
LONGEST = 20_000  # characters of a checked text
ENDLESS = 5  # how many texts that do not end it takes to give up

_CHECKED = frozenset(
    "allOf oneOf not if contains uniqueItems propertyNames dependentRequired dependentSchemas dependencies "  # noqa: SIM905
    "unevaluatedProperties unevaluatedItems minProperties maxProperties patternProperties".split()
)
_STOCK: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    2,
    0.5,
    1000,
    "",
    "a",
    "octopus",
    "honey!",
    [],
    [0],
    {},
    {"a": 1},
]
_FILLING = "octopus hearts and honey "


def symbol(schema: Any, found: Found, words: Words) -> Symbol:
    """The grammar of `schema`; what nothing fits is the empty text."""
    return _Schema(schema, found, words).root_symbol()


class _Schema:
    def __init__(self, root: Any, found: Found, words: Words) -> None:
        self.root = root
        self.found = found
        self.words = words
        self._validator: Any = None
        self._unreadable = False  # what jsonschema cannot read is not checked

    def root_symbol(self) -> Symbol:
        if self.root is True or self.root == {}:
            return self.any({"type": "object"}, "anything", 0)
        if self.root is False or isinstance(self.root, dict) and self.root.get("enum") == []:
            return ""
        return self.any(self.root, "anything", 0)

    def any(self, schema: Any, name: str, depth: int) -> Symbol:
        """The grammar of one value; of a schema that cannot be read, null."""
        if not isinstance(schema, dict):
            return json_text(self.words(name)) if schema is not False else "null"
        try:
            made = self.alternatives(schema, name, depth)
            if _CHECKED.intersection(schema) or len(schema) > 1 and {"$ref", "anyOf"}.intersection(schema):
                return self.checked(schema, made)
        except (TypeError, ValueError, AttributeError, KeyError, ArithmeticError, RecursionError):
            return "null"
        return made

    def alternatives(self, schema: dict[str, Any], name: str, depth: int) -> Symbol:
        ways = expand(schema, self.root)
        if depth >= DEEP and len(ways) > 1:
            heights = [self.height(way, DEEP) for way in ways]
            ways = [way for way, height in zip(ways, heights, strict=True) if height == min(heights)]
        preferred = [way for way in ways if self.given(way, name)]
        made = [self.plain(way, name, depth) for way in preferred or ways]
        made = [one for one in made if one]
        if not made:  # llama.cpp lets a format go before every other limit
            made = [_falling(FORMATS[way["format"]]) for way in ways if way.get("format") in FORMATS]
        if not made:
            return "" if depth == 0 else "null"
        return made[0] if len(made) == 1 else one_of(*made)

    def given(self, way: dict[str, Any], name: str) -> bool:
        scalar = kind_of(way) in SCALARS - {"null"}
        return scalar and any(allows(way, value) for value in self.found(name, way))

    # --- one schema without in-place parts ---------------------------------------------------------------

    def plain(self, schema: dict[str, Any], name: str, depth: int) -> Symbol:
        if "const" in schema:
            return literal(schema["const"]) if is_kind(schema["const"], schema.get("type")) else ""
        if "enum" in schema:
            return self.enum(schema, name)
        kind = kind_of(schema)
        if kind == "object":
            return self.object(schema, name, depth)
        if kind == "array":
            return self.array(schema, name, depth)
        if kind == "null":
            return "null"
        stated = [schema[key] for key in ("default",) if key in schema] + as_list(schema.get("examples"))
        best = [value for value in self.found(name, schema) if allows(schema, value)]
        if best:
            return literal(best[0])
        stated = [value for value in stated if is_kind(value, kind) and allows(schema, value)]
        if stated:
            return _falling(stated)
        if kind == "boolean":
            return one_of("true", "false")
        return self.string(schema, name) if kind == "string" else self.number(schema, name, kind)

    def enum(self, schema: dict[str, Any], name: str) -> Symbol:
        values = [value for value in as_list(schema["enum"]) if is_kind(value, schema.get("type"))]
        best = [value for value in self.found(name, schema) if value in values]
        return literal(best[0]) if best else one_of(*map(literal, values)) if values else ""

    def object(self, schema: dict[str, Any], name: str, depth: int) -> Symbol:
        properties = as_dict(schema.get("properties"))
        named = [key for key in as_list(schema.get("required")) if isinstance(key, str)]
        wanted = [key for key in properties if key in named]
        wanted += [key for key in dict.fromkeys(named) if key not in properties]
        for key in wanted:
            wanted += [
                k for k in as_list(as_dict(schema.get("dependentRequired")).get(key)) if k not in wanted
            ]
        most = schema.get("maxProperties", math.inf)
        optional = [key for key in properties if key not in wanted and properties[key] is not False]
        optional = optional[: int(max(0, min(most - len(wanted), len(optional))))]
        least = schema.get("minProperties", 0)
        short = max(0, min(least, 1000) - len(wanted))
        wanted, optional = wanted + optional[:short], optional[short:]
        wanted += self.more_keys(schema, wanted + optional, least - len(wanted), depth)
        if depth >= DEEP:
            optional = []
        if depth == 0 and not wanted and not optional and set(schema) <= {"type", "title", "description"}:
            properties, wanted = {"reply": {"type": "string"}}, ["reply"]
        line = "\n" + "  " * (depth + 1)

        def pair(key: str, comma: bool) -> Symbol:
            inner = self.of_property(schema, key)
            head = ("," if comma else "") + line + literal(key) + ": "
            return (head, lambda: self.any(inner, key, depth + 1))

        schema = {**schema, "properties": properties}
        parts: list[Symbol] = [pair(key, i > 0) for i, key in enumerate(wanted)]
        ending = "\n" + "  " * depth + "}"

        def rest(i: int, written: bool) -> Symbol:
            if i == len(optional):
                return ending if written else "}"
            take: Symbol = (pair(optional[i], written), lambda: rest(i + 1, True))
            keep = 3.0 if "required" in schema else 1.0
            skip: Symbol = lambda: rest(i + 1, written)  # noqa: E731
            return Choice(((keep, take), (1.0, skip))) if "required" in schema else take

        return ("{", *parts, rest(0, bool(parts)))

    def of_property(self, schema: dict[str, Any], key: str) -> Any:
        """What the value under `key` must fit."""
        properties = as_dict(schema.get("properties"))
        rules = [properties[key]] if key in properties else []
        rules += [
            rule
            for pattern, rule in as_dict(schema.get("patternProperties")).items()
            if re.search(pattern, key)
        ]
        if not rules:
            return schema.get("additionalProperties", True)
        return rules[0] if len(rules) == 1 else {"allOf": rules}

    def more_keys(self, schema: dict[str, Any], taken: list[str], least: int, depth: int) -> list[str]:
        """Names beside the stated ones: as many as must be, and two where only their values are described."""
        others = schema.get("additionalProperties")
        patterns = list(as_dict(schema.get("patternProperties")))
        wanted = max(least, 2 if (isinstance(others, dict) or patterns) and not taken and depth < DEEP else 0)
        wanted = min(wanted, schema.get("maxProperties", wanted), 1000)
        random, made = Random(0), list[str]()
        for n in range(20 * wanted):
            if len(made) >= wanted:
                break
            if "propertyNames" in schema:
                rule = schema["propertyNames"]
                text = drawn(self.any({**as_dict(rule), "type": "string"}, "name", DEEP), random)
                key = json.loads(text)
            elif patterns and (others is False or n % 2 == 0):
                key = matching(random.choice(patterns), random)
            else:
                key = drawn(self.words("key"), random) if n < 8 else f"key{n}"
            if isinstance(key, str) and key not in taken + made:
                made.append(key)
        return made

    def array(self, schema: dict[str, Any], name: str, depth: int) -> Symbol:
        given = schema.get("items", True)
        prefix = given if isinstance(given, list) else as_list(schema.get("prefixItems"))
        item = schema.get("additionalItems", True) if isinstance(given, list) else given
        single = name[:-3] + "y" if name.endswith("ies") else name.removesuffix("s")
        least = max(0, schema.get("minItems", 0))
        most = schema.get("maxItems", math.inf)
        if item is False:
            most = min(most, len(prefix))
        contains = schema.get("contains")
        if contains is not None:
            times = max(schema.get("minContains", 1), 0)
            inner = contains if item is True else {"allOf": [item, contains]}
            prefix, least = [*prefix, *[inner] * min(times, 50)], max(least, len(prefix) + times)
        usual = 0 if depth >= DEEP else 1
        kinds = expand(item, self.root) if isinstance(item, dict) else []
        found = self.found(name, {**schema, "items": kinds[0]} if kinds else schema)
        fitting = [value for value in found if self.is_valid(item, value)] if found and not prefix else []
        if fitting and least <= len(fitting):
            texts = list(dict.fromkeys(map(literal, fitting)))[: int(min(most, len(fitting)))]
            if isinstance(fitting[0], dict):
                whole = json.dumps([json.loads(text) for text in texts], ensure_ascii=False, indent=2)
                return whole.replace("\n", "\n" + "  " * depth)
            return "[" + ", ".join(texts) + "]"
        if schema.get("uniqueItems"):
            slots = lambda n: prefix[n] if n < len(prefix) else item  # noqa: E731
            return self.unique(slots, single, depth, least, most)
        low = max(least, min(len(prefix) or usual, most))
        high = max(low, min(most, low + 2 if depth < DEEP else low))
        broken = any(kind_of(way) == "object" for way in kinds)
        line = "\n" + "  " * (depth + 1) if broken else ""
        ending = ("\n" + "  " * depth if broken and high else "") + "]"

        def items(made: int) -> Symbol:
            if made >= high:
                return ending
            inner = prefix[made] if made < len(prefix) else item
            one = self.at_turn(made, high).any(inner, single, depth + 1)
            comma = ("," if broken else ", ") if made else ""
            more: Symbol = (comma + line, one, lambda: items(made + 1))
            return more if made < low else Choice(((1.0, more), (2.0, ending)))

        return ("[", lambda: items(0)) if low or high else "[]"

    def at_turn(self, made: int, of: int) -> _Schema:
        """The same, with its own share of the words, so that the items of one list are not all alike."""
        other = copy(self)
        other.words = lambda name: _share(self.words(name), made, of)
        return other

    def unique(self, slots: Callable[[int], Any], name: str, depth: int, least: int, most: float) -> Symbol:
        """Whole arrays without two equal values; `slots` says what the value at each place must fit."""
        random, lists = Random(0), []
        wanted = int(min(most, max(least, 3)))
        for n in range(KEPT):
            size, taken = random.randint(min(least or 1, wanted), wanted), {}
            for place in range(wanted if n == 0 else size):
                for text in self.several(slots(place), name, depth, random):
                    same = repr(_same(json.loads(text)))
                    if same not in taken:
                        taken[same] = text
                        break
                else:
                    break
            if len(taken) >= least:
                lists.append("[" + ", ".join(taken.values()) + "]")
            elif not lists:
                break
        return one_of(*dict.fromkeys(lists)) if lists else "[]"

    def several(self, schema: Any, name: str, depth: int, random: Random) -> Iterator[str]:
        """Texts of one schema, made or out of stock, many of them different."""
        made = self.any(schema, name, depth + 1)
        for _ in range(12):
            yield drawn(made, random, LONGEST)
        for value in [*_STOCK, *range(3, 100)]:
            if self.is_valid(schema, value):
                yield literal(value)

    def string(self, schema: dict[str, Any], name: str) -> Symbol:
        limits = {"minLength", "maxLength", "pattern"}.intersection(schema)
        shaped = FORMATS.get(schema.get("format", ""))
        if re.fullmatch("uuid[1-5]", schema.get("format", "")):
            shaped = FORMATS["uuid"]
        if not limits:
            return _falling(shaped) if shaped else json_text(self.words(name))
        random = Random(0)
        ready = shaped or _texts(self.words(name))
        fitting = [text for text in ready if allows(schema, text)]
        if fitting or shaped:
            return _falling(fitting) if fitting else ""
        least, most = max(0, schema.get("minLength", 0)), schema.get("maxLength", math.inf)
        if least > most:
            return ""
        if "pattern" not in schema:
            return ('"', _filling(int(max(least, min(7, most)))), '"')
        made = []
        for n in range(TRIES):
            text = matching(schema["pattern"], random, more=(3, least, 0, 1)[n % 4])
            if len(text) < least and not schema["pattern"].endswith("$"):
                text += "x" * (least - len(text))
            if allows(schema, text):
                made.append(text)
            if len(made) >= KEPT:
                break
        return one_of(*dict.fromkeys(map(literal, made))) if made else ""

    def number(self, schema: dict[str, Any], name: str, kind: str) -> Symbol:
        low, high = bounds(schema)
        ready: list[Any] = []
        for text in _texts(self.words(name)):
            if re.fullmatch(r"-?\d{1,15}(\.\d{1,6})?", text):
                ready.append(float(text) if "." in text else int(text))
        fitting = [value for value in ready if is_kind(value, kind) and allows(schema, value)]
        if fitting:
            return _falling(fitting)
        values = numbers_between(low, high, schema.get("multipleOf"), kind)
        values = [value for value in values if allows(schema, value)]
        return one_of(*dict.fromkeys(map(literal, values))) if values else ""

    # --- in-place parts ----------------------------------------------------------------------------------

    def height(self, schema: Any, fuel: int) -> int:
        """How deep the least value of `schema` is nested, at most `fuel`."""
        if fuel == 0:
            return 1
        heights = []
        for way in expand(schema, self.root):
            inner: list[Any] = []
            if kind_of(way) == "object":
                inner = [self.of_property(way, key) for key in as_list(way.get("required"))]
            elif kind_of(way) == "array" and way.get("minItems", 0) > 0:
                inner = [way.get("items", True)]
            nested = kind_of(way) in ("object", "array")
            heights.append(nested + max((self.height(one, fuel - 1) for one in inner), default=0))
        return min(heights, default=0)

    # --- checking ----------------------------------------------------------------------------------------

    def checked(self, schema: dict[str, Any], made: Symbol) -> Symbol:
        """Texts of `made` that fit `schema`; of stock values where none does."""
        random, kept, endless = Random(0), dict[str, None](), 0
        for n in range(TRIES):
            try:
                text = drawn(made, random if n else None, LONGEST)
                if text and self.is_valid(schema, json.loads(text)):
                    kept.setdefault(text)
            except ValueError:
                endless += 1
                if endless == ENDLESS:
                    break
            if len(kept) >= KEPT or n > TRIES / 2 and kept or self._unreadable:
                break
        if kept:
            return _weighted(list(kept))
        own = [schema[key] for key in ("default", "const") if key in schema]
        own += as_list(schema.get("examples")) + as_list(schema.get("enum")) + _STOCK
        stock = [literal(value) for value in own if self.is_valid(schema, value)]
        return one_of(*dict.fromkeys(stock)) if stock else made

    def is_valid(self, schema: Any, value: Any) -> bool:
        """Whether `value` fits `schema`, a part of the whole."""
        if schema is True or schema == {}:
            return True
        if self._unreadable:
            return False
        import jsonschema  # not before a schema needs it
        import referencing

        if self._validator is None:
            root = self.root if isinstance(self.root, dict) else {}
            kind = jsonschema.validators.validator_for(root, jsonschema.Draft202012Validator)
            self._validator = kind(root, registry=referencing.Registry(), format_checker=kind.FORMAT_CHECKER)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return bool(self._validator.evolve(schema=schema).is_valid(value))
        except Exception:  # jsonschema raises whatever it meets in a schema that makes no sense
            self._unreadable = True
            return False


# --- texts ------------------------------------------------------------------------------------------


def _filling(length: int) -> Symbol:
    if length <= len(_FILLING):
        return _FILLING[:length].rstrip().ljust(length, "y")
    return (_FILLING, lambda: _filling(length - len(_FILLING)))


def _texts(words: Symbol) -> list[str]:
    random = Random(0)
    return list(dict.fromkeys([drawn(words), *(drawn(words, random) for _ in range(8))]))


def _share(words: Symbol, turn: int, of: int) -> Symbol:
    if not isinstance(words, Choice):
        return words
    shares = min(of, len(words.options))
    return Choice(tuple(way for i, way in enumerate(words.options) if i % shares == turn % shares))


def _falling(values: list[Any]) -> Symbol:
    return _weighted([literal(value) for value in values])


def _weighted(texts: list[str]) -> Symbol:
    return Choice(tuple((1 / (rank + 1), text) for rank, text in enumerate(dict.fromkeys(texts))))


def _same(value: Any) -> Any:
    """What is equal for two JSON values that are: 1 and 1.0 are, 1 and true are not."""
    if isinstance(value, bool):
        return ("bool", value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list):
        return [_same(item) for item in value]
    return sorted((key, _same(item)) for key, item in value.items()) if isinstance(value, dict) else value


def literal(value: Any) -> str:
    """`value` as JSON."""
    text = json.dumps(value, ensure_ascii=False)
    return text if text.isprintable() or _encodes(text) else json.dumps(value)


def _encodes(text: str) -> bool:
    try:
        return bool(text.encode())
    except UnicodeEncodeError:
        return False


def json_text(words: Symbol) -> Symbol:
    """A JSON string that holds `words`."""
    return ('"', mapped(words, lambda text: literal(text)[1:-1]), '"')
