"""Go's text/template as far as it reads a template: text to a tree, or what is said of one it cannot read.

Source of the grammar and of every complaint: text/template/parse of Go 1.26 (lex.go, parse.go). Complex
numbers are the one thing left out. gorender.py fills a tree in.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, NoReturn

from .cli_format import quote

FUNCTIONS = {
    "and", "call", "html", "index", "slice", "js", "len", "not", "or", "print", "printf", "println",
    "urlquery", "eq", "ge", "gt", "le", "lt", "ne", "json", "currentDate", "yesterdayDate",
    "toTypeScriptType",
}  # fmt: skip
KEYWORDS = {
    "block", "break", "continue", "define", "else", "end", "if", "nil", "range", "template", "with",
}  # fmt: skip

_SPACE = " \t\r\n"
_NUMBER = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?"
    r"|0[bB][01_]*(?:\.[01_]*)?|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?"
)
_ESCAPED = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))|([^\\])",
    re.DOTALL,
)
_PLAIN_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_DEEPEST = 100  # nested parentheses or clauses; Go allows more, Python's stack does not


class BadTemplate(ValueError):
    """The template cannot be read or filled in; the text is Go's own."""


# --- the tree -------------------------------------------------------------------------------------


@dataclass
class Node:
    """`at` is where it stands in the text, which complaints at run time name."""

    at: int


@dataclass
class Text(Node):
    text: str


@dataclass
class Value(Node):
    """A constant: a bool, an int, a float, a text, or nil (None); `written` as it stands in the template."""

    value: Any
    written: str

    def __str__(self) -> str:
        return self.written


@dataclass
class Dot(Node):
    def __str__(self) -> str:
        return "."


@dataclass
class Field(Node):
    """`.A.B`"""

    names: list[str]

    def __str__(self) -> str:
        return "".join(f".{name}" for name in self.names)


@dataclass
class Variable(Node):
    """`$x.A.B`: names[0] is `$x`."""

    names: list[str]

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass
class Function(Node):
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass
class Chain(Node):
    """`(pipeline).A.B`"""

    node: Node
    names: list[str]

    def __str__(self) -> str:
        inner = f"({self.node})" if isinstance(self.node, Pipe) else str(self.node)
        return inner + "".join(f".{name}" for name in self.names)


@dataclass
class Command(Node):
    args: list[Node]

    def __str__(self) -> str:
        return " ".join(f"({arg})" if isinstance(arg, Pipe) else str(arg) for arg in self.args)


@dataclass
class Pipe(Node):
    commands: list[Command] = field(default_factory=list)
    variables: list[Variable] = field(default_factory=list)
    assigns: bool = False

    def __str__(self) -> str:
        named = ", ".join(map(str, self.variables)) + (" = " if self.assigns else " := ")
        return (named if self.variables else "") + " | ".join(map(str, self.commands))


@dataclass
class Action(Node):
    pipe: Pipe

    def __str__(self) -> str:
        return f"{{{{{self.pipe}}}}}"


@dataclass
class Branch(Node):
    """`if`, `range` or `with`."""

    kind: str
    pipe: Pipe
    nodes: list[Node]
    otherwise: list[Node] | None


@dataclass
class Template(Node):
    """`{{ template "name" pipeline }}`"""

    name: str
    pipe: Pipe | None

    def __str__(self) -> str:
        return f"{{{{template {quote(self.name)}{f' {self.pipe}' if self.pipe else ''}}}}}"


@dataclass
class Jump(Node):
    """`break` or `continue`."""

    kind: str


@dataclass
class _Closing(Node):
    kind: str  # end or else

    def __str__(self) -> str:
        return f"{{{{{self.kind}}}}}"


@dataclass
class Tree:
    """A template that was read: its own nodes, the templates defined in it by name, and its text."""

    text: str
    nodes: list[Node]
    defined: dict[str, list[Node]]


def parse(text: str) -> Tree:
    """The tree of a template. Raises BadTemplate."""
    defined: dict[str, list[Node]] = {}
    parser = _Parser(_Lexer(text), defined)
    nodes = parser.top()
    return Tree(text, nodes, defined)


# --- words ----------------------------------------------------------------------------------------


class _Item(NamedTuple):
    kind: str  # the character itself, a keyword, or one of the words below
    text: str
    at: int
    line: int

    def __str__(self) -> str:
        if self.kind == "EOF":
            return "EOF"
        if self.kind == "error":
            return self.text
        if self.kind in KEYWORDS or self.kind == "dot":
            return f"<{self.text}>"
        return quote(self.text[:10]) + "..." if len(self.text.encode()) > 10 else quote(self.text)


_TERMS = (
    "bool",
    "char constant",
    "dot",
    "field",
    "identifier",
    "number",
    "nil",
    "raw",
    "string",
    "variable",
    "(",
)


class _Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.line = 1  # of the item that was read last, whoever reads it
        self._counted = (0, 1)
        self._items = self._scan()

    def next(self) -> _Item:
        item = next(self._items, None) or _Item("EOF", "", len(self.text), self._line_of(len(self.text)))
        self.line = item.line
        return item

    def _line_of(self, at: int) -> int:
        seen, line = self._counted
        if at < seen:
            seen, line = 0, 1
        self._counted = (at, line + self.text.count("\n", seen, at))
        return self._counted[1]

    def _item(self, kind: str, start: int, end: int) -> _Item:
        return _Item(kind, self.text[start:end], start, self._line_of(start))

    def _error(self, start: int, text: str) -> _Item:
        return _Item("error", text, start, self._line_of(start))

    def _scan(self) -> Iterator[_Item]:
        text, at = self.text, 0
        while True:
            opening = text.find("{{", at)
            if opening < 0:
                if at < len(text):
                    yield self._item("text", at, len(text))
                return
            trims = text[opening + 2 : opening + 3] == "-" and _space_at(text, opening + 3)
            end = len(text[:opening].rstrip(_SPACE)) if trims else opening
            if end > at:
                yield self._item("text", at, end)
            inside = opening + 2 + (2 if trims else 0)
            start_comment = inside if text.startswith("/*", inside) else None
            if start_comment is not None:
                closing = text.find("*/", start_comment + 2)
                if closing < 0:
                    yield self._error(start_comment, "unclosed comment")
                    return
                right = self._right(closing + 2)
                if right is None:
                    yield self._error(start_comment, "comment ends before closing delimiter")
                    return
                at = right
                continue
            yield self._item("{{", opening, opening + 2)
            found = yield from self._action(inside)
            if found is None:
                return
            at = found

    def _right(self, at: int) -> int | None:
        """Where the text goes on after a `}}` or ` -}}` at `at`; None if there is none."""
        if self.text.startswith("}}", at):
            return at + 2
        if _space_at(self.text, at) and self.text.startswith("-}}", at + 1):
            at += 4
            while _space_at(self.text, at):
                at += 1
            return at
        return None

    def _action(self, at: int) -> Any:
        """The items of one action; returns where the text goes on, None after an error."""
        text, depth = self.text, 0
        while True:
            right = self._right(at)
            if right is not None:
                if depth:
                    yield self._error(at, "unclosed left paren")
                    return None
                closing = at if text[at] == "}" else at + 2
                yield self._item("}}", closing, closing + 2)
                return right
            if at >= len(text):
                yield self._error(at, "unclosed action")
                return None
            start, letter = at, text[at]
            if letter in _SPACE:
                while _space_at(text, at):
                    at += 1
                if text.startswith("-}}", at):
                    at -= 1  # the last space belongs to the closing delimiter
                if at > start:
                    yield self._item("space", start, at)
                continue
            at += 1
            if letter in "=|":
                kind = letter
            elif letter == ":":
                at += 1
                if text[at - 1 : at] != "=":
                    yield self._error(start, "expected :=")
                    return None
                kind = ":="
            elif letter in "\"'`":
                closed = self._quoted(at, letter)
                if closed is None:
                    word = {'"': "quoted string", "'": "character constant", "`": "raw quoted string"}[letter]
                    yield self._error(start, f"unterminated {word}")
                    return None
                kind, at = {'"': "string", "'": "char constant", "`": "raw"}[letter], closed
            elif letter in "()":
                depth += 1 if letter == "(" else -1
                if depth < 0:
                    yield self._error(start, "unexpected right paren")
                    return None
                kind = letter
            elif letter == "$" or (letter == "." and not "0" <= text[at : at + 1] <= "9" and at < len(text)):
                kind = "variable" if letter == "$" else "dot"
                if not self._terminated(at):
                    while _alphanumeric(text[at : at + 1]):
                        at += 1
                    kind = "variable" if letter == "$" else "field"
                    if not self._terminated(at):
                        yield self._error(start, f"bad character {unicode_of(text[at])}")
                        return None
            elif letter in "+-." or "0" <= letter <= "9":
                found = _NUMBER.match(text, start)
                at = found.end() if found else start
                if _alphanumeric(text[at : at + 1]) or text[at : at + 1] in ("+", "-"):
                    if text[at] in "+-":
                        more = _NUMBER.match(text, at)
                        at = more.end() if more else at
                    at += _alphanumeric(text[at : at + 1])
                    yield self._error(start, f"bad number syntax: {quote(text[start:at])}")
                    return None
                kind = "number"
            elif _alphanumeric(letter):
                while _alphanumeric(text[at : at + 1]):
                    at += 1
                if not self._terminated(at):
                    yield self._error(start, f"bad character {unicode_of(text[at])}")
                    return None
                word = text[start:at]
                kind = word if word in KEYWORDS else "bool" if word in ("true", "false") else "identifier"
            elif " " < letter < "\x7f":
                kind = "char"
            else:
                yield self._error(start, f"unrecognized character in action: {unicode_of(letter)}")
                return None
            yield self._item(kind, start, at)

    def _quoted(self, at: int, mark: str) -> int | None:
        text = self.text
        while at < len(text):
            letter = text[at]
            at += 1
            if letter == mark:
                return at
            if mark != "`" and letter == "\n":
                return None
            if mark != "`" and letter == "\\":
                if text[at : at + 1] in ("", "\n"):
                    return None
                at += 1
        return None

    def _terminated(self, at: int) -> bool:
        return at >= len(self.text) or self.text[at] in " \t\r\n.,|:)(" or self.text.startswith("}}", at)


def _space_at(text: str, at: int) -> bool:
    return at < len(text) and text[at] in _SPACE


def _alphanumeric(letter: str) -> bool:
    return bool(letter) and (letter == "_" or letter.isalpha() or letter.isdecimal())


def unicode_of(letter: str) -> str:
    """A letter as Go's %#U shows it."""
    shown = f" '{letter}'" if letter.isprintable() else ""
    return f"U+{ord(letter):04X}{shown}"


def unquote(written: str) -> str:
    """The text in a Go string or character literal. Raises ValueError."""
    mark, inner = written[0], written[1:-1]
    if mark == "`":
        return inner.replace("\r", "")
    made, at = [], 0
    while at < len(inner):
        found = _ESCAPED.match(inner, at)
        if not found or (found[1] and found[1] in "'\"" and found[1] != mark):
            raise ValueError("invalid syntax")
        plain, x, u, long, octal, other = found.groups()
        if plain:
            made.append(_PLAIN_ESCAPES.get(plain, plain))
        elif other:
            made.append(other)
        else:
            number = int(octal, 8) if octal else int(x or u or long, 16)
            if number > 0x10FFFF or 0xD800 <= number < 0xE000:
                raise ValueError("invalid syntax")
            made.append(chr(number))
        at = found.end()
    if mark == "'" and len(made) != 1:
        raise ValueError("invalid syntax")
    return "".join(made)


# --- grammar --------------------------------------------------------------------------------------


class _Parser:
    """One tree being read; a definition inside it is read by another over the same words."""

    def __init__(self, lexer: _Lexer, defined: dict[str, list[Node]]) -> None:
        self.lexer = lexer
        self.defined = defined
        self.ahead: list[_Item] = []
        self.variables = ["$"]
        self.action_line = 0
        self.ranges = 0
        self.depth = 0

    def fail(self, text: str) -> NoReturn:
        raise BadTemplate(f"template: :{self.lexer.line}: {text}")

    def next(self) -> _Item:
        return self.ahead.pop() if self.ahead else self.lexer.next()

    def peek(self) -> _Item:
        if not self.ahead:
            self.ahead.append(self.lexer.next())
        return self.ahead[-1]

    def next_word(self) -> _Item:
        while (item := self.next()).kind == "space":
            pass
        return item

    def peek_word(self) -> _Item:
        item = self.next_word()
        self.ahead.append(item)
        return item

    def expect(self, context: str, *kinds: str) -> _Item:
        item = self.next_word()
        if item.kind not in kinds:
            self.unexpected(item, context)
        return item

    def unexpected(self, item: _Item, context: str) -> NoReturn:
        if item.kind != "error":
            self.fail(f"unexpected {item} in {context}")
        extra = ""
        if self.action_line and self.action_line != item.line:
            extra = f" in action started at :{self.action_line}"
            if item.text.endswith(" action"):
                extra = extra.removeprefix(" in action")
        self.fail(item.text + extra)

    def deeper(self) -> None:
        self.depth += 1
        if self.depth > _DEEPEST:
            self.fail("max expression depth exceeded")

    def top(self) -> list[Node]:
        nodes: list[Node] = []
        while self.peek().kind != "EOF":
            if self.peek().kind == "{{":
                opening, word = self.next(), self.next_word()
                if word.kind == "define":
                    self.inner()._definition()
                    continue
                self.ahead += [word, opening]
            node = self.text_or_action()
            if isinstance(node, _Closing):
                self.fail(f"unexpected {node}")
            nodes.append(node)
        return nodes

    def inner(self) -> _Parser:
        parser = _Parser(self.lexer, self.defined)
        parser.depth = self.depth
        parser.deeper()
        return parser

    def _definition(self) -> None:
        context = "define clause"
        name = self.literal(self.expect(context, "string", "raw"))
        self.expect(context, "}}")
        self.define(name, context)

    def define(self, name: str, context: str) -> None:
        """Read to the `end` and keep what stood there under `name`."""
        nodes, end = self.items()
        if end.kind != "end":
            self.fail(f"unexpected {end} in {context}")
        if _blank(self.defined.get(name, [])):
            self.defined[name] = nodes
        elif not _blank(nodes):
            self.fail(f"template: multiple definition of template {quote(name)}")

    def literal(self, item: _Item) -> str:
        try:
            return unquote(item.text)
        except ValueError as error:
            self.fail(str(error))

    def items(self) -> tuple[list[Node], _Closing]:
        nodes: list[Node] = []
        while self.peek_word().kind != "EOF":
            node = self.text_or_action()
            if isinstance(node, _Closing):
                return nodes, node
            nodes.append(node)
        self.fail("unexpected EOF")

    def text_or_action(self) -> Node:
        item = self.next_word()
        if item.kind == "text":
            return Text(item.at, item.text)
        if item.kind != "{{":
            self.unexpected(item, "input")
        self.action_line = item.line
        node = self.action()
        self.action_line = 0
        return node

    def action(self) -> Node:
        item = self.next_word()
        kind = item.kind
        if kind in ("if", "range", "with"):
            return self.control(kind)
        if kind == "end":
            return _Closing(self.expect("end", "}}").at, "end")
        if kind == "else":
            following = self.peek_word()
            if following.kind not in ("if", "with"):
                following = self.expect("else", "}}")
            return _Closing(following.at, "else")
        if kind in ("break", "continue"):
            closing = self.next_word()
            if closing.kind != "}}":
                self.unexpected(closing, f"{{{{{kind}}}}}")
            if not self.ranges:
                self.fail(f"{{{{{kind}}}}} outside {{{{range}}}}")
            return Jump(item.at, kind)
        if kind in ("template", "block"):
            return self.template(kind)
        self.ahead.append(item)
        return Action(item.at, self.pipeline("command", "}}"))

    def template(self, kind: str) -> Template:
        context = f"{kind} clause"
        item = self.next_word()
        if item.kind not in ("string", "raw"):
            self.unexpected(item, context)
        name = self.literal(item)
        pipe = None
        if kind == "block":
            pipe = self.pipeline(context, "}}")
            self.inner().define(name, context)
        elif self.peek_word().kind == "}}":
            self.next_word()
        else:
            pipe = self.pipeline(context, "}}")
        return Template(item.at, name, pipe)

    def control(self, kind: str) -> Branch:
        self.deeper()
        known = len(self.variables)
        pipe = self.pipeline(kind, "}}")
        self.ranges += kind == "range"
        nodes, closing = self.items()
        self.ranges -= kind == "range"
        otherwise: list[Node] | None = None
        if closing.kind == "else":
            if kind in ("if", "with") and self.peek().kind == kind:
                self.next()
                otherwise = [self.control(kind)]
            else:
                otherwise, closing = self.items()
                if closing.kind != "end":
                    self.fail(f"expected end; found {closing}")
        del self.variables[known:]
        self.depth -= 1
        return Branch(pipe.at, kind, pipe, nodes, otherwise)

    def pipeline(self, context: str, end: str) -> Pipe:
        pipe = Pipe(self.peek_word().at)
        while self.peek_word().kind == "variable":
            variable = self.next()
            following = self.peek()
            word = self.peek_word()
            if word.kind in ("=", ":="):
                pipe.assigns = word.kind == "="
                self.declare(pipe, variable)
            elif word.kind == "char" and word.text == ",":
                self.declare(pipe, variable)
                if context == "range" and len(pipe.variables) < 2:
                    if self.peek_word().kind in ("variable", "}}", ")"):
                        continue
                    self.fail("range can only initialize variables")
                self.fail(f"too many declarations in {context}")
            else:
                if following.kind == "space":
                    self.ahead.append(following)
                self.ahead.append(variable)
            break
        while (item := self.next_word()).kind != end:
            if item.kind not in _TERMS:
                self.unexpected(item, context)
            self.ahead.append(item)
            pipe.commands.append(self.command())
        if not pipe.commands:
            self.fail(f"missing value for {context}")
        for stage, command in enumerate(pipe.commands[1:], 2):
            if isinstance(command.args[0], (Value, Dot)):
                self.fail(f"non executable command in pipeline stage {stage}")
        return pipe

    def declare(self, pipe: Pipe, variable: _Item) -> None:
        self.next_word()
        pipe.variables.append(Variable(variable.at, variable.text.split(".")))
        self.variables.append(variable.text)

    def command(self) -> Command:
        command = Command(self.peek_word().at, [])
        while True:
            self.peek_word()
            operand = self.operand()
            if operand is not None:
                command.args.append(operand)
            item = self.next()
            if item.kind == "space":
                continue
            if item.kind in ("}}", ")"):
                self.ahead.append(item)
            elif item.kind != "|":
                self.unexpected(item, "operand")
            break
        if not command.args:
            self.fail("empty command")
        return command

    def operand(self) -> Node | None:
        node = self.term()
        if node is None or self.peek().kind != "field":
            return node
        at, names = self.peek().at, []
        while self.peek().kind == "field":
            names.append(self.next().text[1:])
        if isinstance(node, (Field, Variable)):
            return type(node)(at, [*node.names, *names])
        if isinstance(node, (Value, Dot)):
            self.fail(f"unexpected . after term {quote(str(node))}")
        return Chain(at, node, names)

    def term(self) -> Node | None:
        item = self.next_word()
        at, text = item.at, item.text
        if item.kind == "identifier":
            if text not in FUNCTIONS:
                self.fail(f"function {quote(text)} not defined")
            return Function(at, text)
        if item.kind == "dot":
            return Dot(at)
        if item.kind == "nil":
            return Value(at, None, "nil")
        if item.kind == "variable":
            if text not in self.variables:
                self.fail(f"undefined variable {quote(text)}")
            return Variable(at, [text])
        if item.kind == "field":
            return Field(at, [text[1:]])
        if item.kind == "bool":
            return Value(at, text == "true", text)
        if item.kind in ("number", "char constant"):
            return Value(at, self.number(item), text)
        if item.kind == "(":
            self.deeper()
            pipe = self.pipeline("parenthesized pipeline", ")")
            self.depth -= 1
            return pipe
        if item.kind in ("string", "raw"):
            return Value(at, self.literal(item), text)
        self.ahead.append(item)
        return None

    def number(self, item: _Item) -> int | float:
        text = item.text
        if item.kind == "char constant":
            try:
                return ord(unquote(text))
            except (ValueError, TypeError):
                self.fail(f"malformed character constant: {text}")
        try:
            octal = re.fullmatch(r"([+-]?)0([0-7_]+)", text)
            number: int | float = int(f"{octal[1]}0o{octal[2]}" if octal else text, 0)
        except ValueError:
            try:
                number = float.fromhex(text) if "x" in text.lower() else float(text)
            except (ValueError, OverflowError):
                self.fail(f"illegal number syntax: {quote(text)}")
        if isinstance(number, int) and not -(2**63) <= number < 2**64:
            self.fail(f"integer overflow: {quote(text)}")
        return number


def _blank(nodes: list[Node]) -> bool:
    return all(isinstance(node, Text) and not node.text.strip() for node in nodes)
