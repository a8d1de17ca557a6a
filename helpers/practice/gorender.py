"""What Ollama does with a Go template: the names it uses, what they make a model able to do, and the prompt
it gives for a conversation.

Sources: text/template of Go 1.26 (exec.go, funcs.go); ollama template/template.go and thinking/template.go,
v0.32.15. Values are Python's own; a Record is a Go struct, a Shown is a value that prints itself as JSON.
Left out: methods, call, complex numbers, and complaints about types that a chat cannot hold.
"""

from __future__ import annotations

import base64
import html
import json
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from functools import lru_cache
from typing import Any, NoReturn
from urllib.parse import quote_plus

from .cli_format import general, quote
from .gojson import encode
from .gotemplate import (
    Action,
    BadTemplate,
    Branch,
    Chain,
    Command,
    Dot,
    Field,
    Function,
    Jump,
    Node,
    Pipe,
    Template,
    Text,
    Tree,
    Value,
    Variable,
    parse,
)

OLLAMA_FUNCTIONS = ("json", "currentDate", "yesterdayDate", "toTypeScriptType")
_NONE = object()  # no final argument


class Record(dict[str, Any]):
    """A Go struct: fields, type as complaints spell it, its JSON, and whether it prints itself as that."""

    def __init__(self, go: str, fields: dict[str, Any], json_value: Any = None, prints: bool = False) -> None:
        super().__init__(fields)
        self.go = go
        self.json_value = json_value
        self.prints = prints


class Shown(dict[str, Any]):
    """A Go map that prints itself as JSON; what it does not hold is `missing`."""

    missing: Any = None


class ShownList(list[Any]):
    """A Go slice that prints itself as JSON."""


# --- what a template is ---------------------------------------------------------------------------


@lru_cache(maxsize=64)
def read(text: str) -> Tree:
    """The tree of a template; `{{ .Response }}` is put at its end where it names neither messages nor that.

    Raises BadTemplate.
    """
    tree = parse(text)
    if not {"messages", "response"} & names(tree):
        at = len(text)
        tree.nodes.append(Action(at, Pipe(at, [Command(at, [Field(at, ["Response"])])])))
    return tree


def names(tree: Tree) -> set[str]:
    """The names a template uses, in lower case. Raises BadTemplate."""
    found = [_names(node) for nodes in (tree.nodes, *tree.defined.values()) for node in nodes]
    return {name.lower() for more in found for name in more}


def _names(node: Node | None) -> list[str]:
    if isinstance(node, (Field, Variable)):
        return node.names
    if isinstance(node, Pipe):
        return [name for command in node.commands for arg in command.args for name in _names(arg)]
    if isinstance(node, Action):
        return _names(node.pipe)
    if isinstance(node, Template):
        if node.pipe is None:
            raise BadTemplate("undefined template specified")
        return _names(node.pipe)
    if isinstance(node, Branch):
        inside = [*node.nodes, *(node.otherwise or [])]
        return [*_names(node.pipe), *(name for one in inside for name in _names(one))]
    return []


def capabilities(text: str) -> list[str]:
    """What a Go template makes a model able to do: tools, insert, thinking. A broken one gives nothing."""
    try:
        tree = read(text)
    except BadTemplate:
        return []
    used = names(tree)
    found = [able for able, name in (("tools", "tools"), ("insert", "suffix")) if name in used]
    return [*found, *(["thinking"] if all(thinking_tags(tree)) else [])]


def thinking_tags(tree: Tree) -> tuple[str, str]:
    """The texts around `.Thinking` in a range over the messages: the tags a reply's thinking stands in."""
    tags = ("", "")

    def visit(node: Node, near: list[Node], ranged: bool) -> None:
        nonlocal tags
        if isinstance(node, Field) and node.names[0] == "Thinking" and ranged:
            first, last = near[0], near[-1]
            opening = first.text.strip() if isinstance(first, Text) else tags[0]
            tags = (opening, last.text.strip() if isinstance(last, Text) else tags[1])
        elif isinstance(node, (Action, Template)) and node.pipe:
            visit(node.pipe, near, ranged)
        elif isinstance(node, Pipe):
            for command in node.commands:
                for arg in command.args:
                    visit(arg, near, ranged)
        elif isinstance(node, Branch):
            if node.kind == "range":
                ranged = "Messages" in _first_names(node.pipe)
            visit(node.pipe, near, ranged)
            for nodes in (node.nodes, node.otherwise or []):
                for one in nodes:
                    visit(one, nodes, ranged)

    for node in tree.nodes:
        visit(node, tree.nodes, False)
    return tags


def _first_names(pipe: Pipe) -> list[str]:
    args = [arg for command in pipe.commands for arg in command.args]
    inner = [name for arg in args if isinstance(arg, Pipe) for name in _first_names(arg)]
    return [arg.names[0] for arg in args if isinstance(arg, Field)] + inner


# --- the prompt of a conversation -----------------------------------------------------------------


def prompt(
    text: str,
    messages: list[dict[str, Any]],
    tools: list[dict[str, Any]] = (),  # type: ignore[assignment]
    think: Any = None,
) -> str:
    """The prompt that the template makes of the messages. `think` is None where nobody set it.

    Raises BadTemplate.
    """
    tree = read(text)
    system, merged = _collate(messages)
    level = think if isinstance(think, str) else "true" if think else "false" if think is False else ""
    thinking = {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}
    if "messages" in names(tree):
        data = {
            "System": system,
            "Messages": [_message(message) for message in merged],
            "Tools": ShownList(map(_tool, tools)),
            "Response": "",
        }
        return execute(tree, data | thinking)
    return _turn_by_turn(tree, merged, thinking)


def insertion(text: str, before: str, after: str, think: Any = None) -> str:
    """The prompt that asks for what stands between `before` and `after`. Raises BadTemplate."""
    level = think if isinstance(think, str) else "true" if think else "false" if think is False else ""
    thinking = {"Think": bool(think), "ThinkLevel": level, "IsThinkSet": think is not None}
    return execute(read(text), {"Prompt": before, "Suffix": after, "Response": "", **thinking})


def _turn_by_turn(tree: Tree, messages: list[dict[str, Any]], thinking: dict[str, Any]) -> str:
    """A template of one turn (.System, .Prompt, .Response), run for each; the last one stops at .Response."""
    written: list[str] = []
    turn = {"System": "", "Prompt": "", "Response": ""}

    def run() -> None:
        written.append(execute(tree, turn | thinking))
        turn.update(System="", Prompt="", Response="")

    for message in messages:
        role = message["role"]
        if role == "system":
            if turn["Prompt"] or turn["Response"]:
                run()
            turn["System"] = message["content"]
        elif role == "user":
            if turn["Response"]:
                run()
            turn["Prompt"] = message["content"]
        elif role == "assistant":
            turn["Response"] = message["content"]
    cut = Tree(tree.text, _until_response(deepcopy(tree.nodes)), {})
    return "".join(written) + execute(cut, turn | thinking, bare=True)


def _until_response(nodes: list[Node]) -> list[Node]:
    cut = False

    def keep(node: Node) -> bool:
        nonlocal cut
        if cut:
            return False
        if isinstance(node, Field) and "Response" in node.names:
            cut = True
            return False
        if isinstance(node, Branch):
            node.nodes = list(filter(keep, node.nodes))
            if node.otherwise is not None:
                node.otherwise = list(filter(keep, node.otherwise))
        if isinstance(node, Action):
            return keep(node.pipe)
        if isinstance(node, Pipe):
            for command in node.commands:
                command.args = list(filter(keep, command.args))
                if not command.args:
                    return False
        return True

    return list(filter(keep, nodes))


def _collate(messages: list[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """The system texts together, and the messages with neighbours of one role made into one."""
    system = [message["content"] for message in messages if message["role"] == "system"]
    merged: list[dict[str, Any]] = []
    for message in messages:
        if merged and message["role"] == merged[-1]["role"] != "tool":
            merged[-1]["content"] += "\n\n" + message["content"]
        else:
            merged.append(dict(message))
    return "\n\n".join(system), merged


def tagged(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], int]:
    """The messages with `[img-N]` where their pictures belong, and how many pictures there are."""
    made, count = [], 0
    for message in messages:
        content, prefix = message.get("content", ""), ""
        for _ in message.get("images") or []:
            tag = f"[img-{count}]"
            count += 1
            if "[img]" in content:
                content = content.replace("[img]", tag, 1)
            else:
                prefix += tag
        made.append({**message, "content": prefix + content})
    return made, count


def _floats(value: Any) -> Any:
    """Numbers as Go reads them out of JSON: all of them floats."""
    if isinstance(value, dict):
        return {key: _floats(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_floats(one) for one in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _message(message: dict[str, Any]) -> Record:
    calls = []
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        inner = {
            "Index": function.get("index", 0),
            "Name": function.get("name", ""),
            "Arguments": Shown(_floats(function.get("arguments") or {})),
        }
        fields = {"ID": call.get("id", ""), "Function": Record("template.templateToolCallFunction", inner)}
        calls.append(Record("template.templateToolCall", fields))
    fields = {
        "Role": message["role"],
        "Content": message["content"],
        "Thinking": message.get("thinking", ""),
        "Images": message.get("images") or [],
        "ToolCalls": calls,
        "ToolName": message.get("tool_name", ""),
        "ToolCallID": message.get("tool_call_id", ""),
    }
    as_json = {key: None if value == [] else plain(value) for key, value in fields.items()}
    return Record("*template.templateMessage", fields, as_json)


PROPERTY_FIELDS = ("AnyOf", "Type", "Items", "Description", "Enum", "Properties", "Required")


class _Properties(Shown):
    missing = Record("api.ToolProperty", dict.fromkeys(PROPERTY_FIELDS, ""))


def _tool(tool: dict[str, Any]) -> Record:
    function = tool.get("function") or {}
    given = function.get("parameters") or {}
    properties = {name: property_of(one) for name, one in sorted((given.get("properties") or {}).items())}
    plain = {
        "type": given.get("type", ""),
        **_given(given, "$defs", "items", "required"),
        "properties": {name: one.json_value for name, one in properties.items()}
        if "properties" in given
        else None,
    }
    parameters = {
        "Type": plain["type"],
        "Defs": given.get("$defs"),
        "Items": given.get("items"),
        "Required": given.get("required") or [],
        "Properties": _Properties(properties),
    }
    inner = {
        "Name": function.get("name", ""),
        "Description": function.get("description", ""),
        "Parameters": Record("template.templateToolFunctionParameters", parameters, plain),
    }
    plain_function = {"name": inner["Name"], "description": inner["Description"], "parameters": plain}
    whole = {"type": tool.get("type", ""), **_given(tool, "items"), "function": plain_function}
    fields = {
        "Type": whole["type"],
        "Items": tool.get("items"),
        "Function": Record("template.templateToolFunction", inner, plain_function),
    }
    return Record("template.templateTool", fields, whole, prints=True)


def property_of(given: dict[str, Any]) -> Record:
    """A property of a tool, with only the keys that Ollama keeps, in its order."""
    kinds = given.get("type") or []
    kinds = [kinds] if isinstance(kinds, str) else kinds
    inner = {name: property_of(one) for name, one in (given.get("properties") or {}).items()}
    plain: dict[str, Any] = {}
    if given.get("anyOf"):
        plain["anyOf"] = [property_of(one).json_value for one in given["anyOf"]]
    if kinds:
        plain["type"] = kinds[0] if len(kinds) == 1 else kinds
    plain |= _given(given, "items", "description", "enum")
    if "properties" in given:
        plain["properties"] = {name: one.json_value for name, one in inner.items()}
    plain |= _given(given, "required")
    fields = {
        "AnyOf": [property_of(one) for one in given.get("anyOf") or []],
        "Type": kinds[0] if len(kinds) == 1 else f"[{' '.join(kinds)}]" if kinds else "",
        "Items": given.get("items"),
        "Description": given.get("description", ""),
        "Enum": given.get("enum") or [],
        "Properties": inner or None,
        "Required": given.get("required") or [],
    }
    return Record("api.ToolProperty", fields, plain)


def _given(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value[key] for key in keys if value.get(key) not in (None, "", [])}


# --- filling in -----------------------------------------------------------------------------------


class _Break(Exception):
    pass


class _Continue(Exception):
    pass


def execute(tree: Tree, data: dict[str, Any], bare: bool = False) -> str:
    """The text that the template makes of `data`. Raises BadTemplate in Go's words.

    `bare` is how Ollama runs a template's last turn: without its own functions, and a missing name is no nil.
    """
    run = _Run(tree, bare)
    try:
        run.walk(tree.nodes, data, [("$", data)], 0)
    except RecursionError:
        raise BadTemplate("template: : exceeded maximum template depth (100000)") from None
    return "".join(run.written)


Scope = list[tuple[str, Any]]


class _Run:
    def __init__(self, tree: Tree, bare: bool) -> None:
        self.tree = tree
        self.bare = bare
        self.written: list[str] = []

    def fail(self, node: Node, text: str) -> NoReturn:
        before = self.tree.text[: node.at]
        column = len(before.encode()) - len(before[: before.rfind("\n") + 1].encode())
        where = f":{before.count(chr(10)) + 1}:{column}"
        raise BadTemplate(f'template: {where}: executing "" at <{node}>: {text}')

    def walk(self, nodes: list[Node], dot: Any, scope: Scope, depth: int) -> None:
        for node in nodes:
            if isinstance(node, Text):
                self.written.append(node.text)
            elif isinstance(node, Action):
                value = self.pipeline(node.pipe, dot, scope)
                if not node.pipe.variables:
                    self.written.append(shown(value, "<no value>"))
            elif isinstance(node, Jump):
                raise _Break if node.kind == "break" else _Continue
            elif isinstance(node, Template):
                if node.name not in self.tree.defined:
                    self.fail(node, f"template {quote(node.name)} not defined")
                if depth > 100:
                    self.fail(node, "exceeded maximum template depth (100000)")
                inner = self.pipeline(node.pipe, dot, scope) if node.pipe else None
                self.walk(self.tree.defined[node.name], inner, [("$", inner)], depth + 1)
            elif isinstance(node, Branch):
                known = len(scope)
                if node.kind == "range":
                    self.loop(node, dot, scope, depth)
                else:
                    value = self.pipeline(node.pipe, dot, scope)
                    if truth(value):
                        self.walk(node.nodes, value if node.kind == "with" else dot, scope, depth)
                    else:
                        self.walk(node.otherwise or [], dot, scope, depth)
                del scope[known:]

    def loop(self, node: Branch, dot: Any, scope: Scope, depth: int) -> None:
        pipe = node.pipe
        over = self.pipeline(pipe, dot, scope)
        pairs = list(self.pairs(node, over))
        known = len(scope)
        first = known - len(pipe.variables)
        for index, item in pairs:
            values = [item] if len(pipe.variables) == 1 else [index, item]
            for number, (variable, value) in enumerate(zip(pipe.variables, values, strict=False)):
                if pipe.assigns:
                    self.assign(scope, variable.names[0], value)
                else:
                    scope[first + number] = (variable.names[0], value)
            try:
                self.walk(node.nodes, item, scope, depth)
            except _Continue:
                pass
            except _Break:
                break
            finally:
                del scope[known:]
        if not pairs:
            self.walk(node.otherwise or [], dot, scope, depth)

    def pairs(self, node: Branch, over: Any) -> Iterator[tuple[Any, Any]]:
        if isinstance(over, dict) and not isinstance(over, Record):
            return iter(sorted(over.items()))
        if isinstance(over, list):
            return iter(enumerate(over))
        if over is None:
            return iter(())
        if isinstance(over, int) and not isinstance(over, bool) and over < 1_000_000:
            return ((None, number) for number in range(over))
        self.fail(node.pipe, f"range can't iterate over {shown(over)}")

    def assign(self, scope: Scope, name: str, value: Any) -> None:
        for at in reversed(range(len(scope))):
            if scope[at][0] == name:
                scope[at] = (name, value)
                return

    def pipeline(self, pipe: Pipe, dot: Any, scope: Scope) -> Any:
        value: Any = _NONE
        for command in pipe.commands:
            value = self.command(command, dot, scope, value)
        for variable in pipe.variables:
            if pipe.assigns:
                self.assign(scope, variable.names[0], value)
            else:
                scope.append((variable.names[0], value))
        return value

    def command(self, command: Command, dot: Any, scope: Scope, final: Any) -> Any:
        first, *rest = command.args
        if isinstance(first, Function):
            return self.call(command, first, rest, dot, scope, final)
        if rest or final is not _NONE:
            if isinstance(first, Field):
                holder = self.member(first, dot, first.names[:-1])
                why = "has arguments but cannot be invoked as function"
                if not isinstance(holder, Record):
                    why = "is not a method but has arguments"
                elif first.names[-1] not in holder:
                    self.member(first, holder, first.names[-1:])
                self.fail(first, f"{first.names[-1]} {why}")
            self.fail(first, f"can't give argument to non-function {first}")
        if isinstance(first, Value) and first.value is None:
            self.fail(first, "nil is not a command")
        return self.value(first, dot, scope)

    def value(self, node: Node, dot: Any, scope: Scope) -> Any:
        if isinstance(node, Value):
            return node.value
        if isinstance(node, Dot):
            return dot
        if isinstance(node, Field):
            return self.member(node, dot, node.names)
        if isinstance(node, Variable):
            known = dict(scope)  # the latest of a name wins
            if node.names[0] not in known:
                self.fail(node, f"undefined variable: {node.names[0]}")
            held = known[node.names[0]]
            return self.member(node, held, node.names[1:])
        if isinstance(node, Chain):
            return self.member(node, self.value(node.node, dot, scope), node.names)
        if isinstance(node, Pipe):
            return self.pipeline(node, dot, scope)
        assert isinstance(node, Function)
        return self.call(node, node, [], dot, scope, _NONE)

    def member(self, node: Node, value: Any, path: list[str]) -> Any:
        loose = False  # out of a map of anything, where Go knows no type
        for name in path:
            if value is None and self.bare:
                return None
            if value is None:
                self.fail(node, f"nil pointer evaluating interface {{}}.{name}")
            if isinstance(value, Record):
                if name not in value:
                    self.fail(node, f"can't evaluate field {name} in type {value.go}")
                value, loose = value[name], False
            elif isinstance(value, dict):
                loose = True
                value = value.get(name, getattr(value, "missing", None))
            else:
                self.fail(
                    node, f"can't evaluate field {name} in type {'interface {}' if loose else go_type(value)}"
                )
        return value

    def call(self, at: Node, function: Function, args: list[Node], dot: Any, scope: Scope, final: Any) -> Any:
        name = function.name
        if self.bare and name in OLLAMA_FUNCTIONS:
            self.fail(function, f"{quote(name)} is not a defined function")
        more = [] if final is _NONE else [final]
        if name in ("and", "or"):
            if not args and not more:
                self.fail(function, f"wrong number of args for {name}: want at least 1 got 0")
            value: Any = None
            for arg in args:
                value = self.value(arg, dot, scope)
                if truth(value) is (name == "or"):
                    return value
            return more[0] if more else value
        values = [self.value(arg, dot, scope) for arg in args] + more
        run, fewest, most = _FUNCTIONS[name]
        if most is None and len(values) < fewest:
            self.fail(function, f"wrong number of args for {name}: want at least {fewest} got {len(args)}")
        if most is not None and len(values) != most:
            self.fail(function, f"wrong number of args for {name}: want {most} got {len(values)}")
        try:
            return run(*values)
        except _Wrong as error:
            self.fail(at, f"error calling {name}: {error}")


def truth(value: Any) -> bool:
    return True if isinstance(value, Record) else bool(value)


def shown(value: Any, nothing: str = "<nil>") -> str:
    """A value as fmt.Fprint writes it."""
    if value is None:
        return nothing
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return general(value)
    if isinstance(value, bytes):
        return "[" + " ".join(map(str, value)) + "]"
    if isinstance(value, (Shown, ShownList)) or (isinstance(value, Record) and value.prints):
        return encode(plain(value)).decode()
    if isinstance(value, Record):
        inner = " ".join(map(shown, value.values()))
        return f"&{{{inner}}}" if value.go.startswith("*") else f"{{{inner}}}"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{shown(one)}" for key, one in sorted(value.items())) + "]"
    return "[" + " ".join(map(shown, value)) + "]" if isinstance(value, list) else str(value)


def plain(value: Any) -> Any:
    """A value as encoding/json sees it: structs with their own keys, maps sorted."""
    if isinstance(value, Record):
        if value.json_value is not None:
            return value.json_value
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, dict):
        return {key: plain(one) for key, one in sorted(value.items())}
    if isinstance(value, list):
        return [plain(one) for one in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def go_type(value: Any) -> str:
    if isinstance(value, Record):
        return value.go
    names_of = {str: "string", bool: "bool", int: "int", float: "float64", dict: "map[string]interface {}"}
    return names_of.get(type(value), "interface {}")


# --- functions ------------------------------------------------------------------------------------


class _Wrong(ValueError):
    pass


def _length(value: Any) -> int:
    if value is None:
        raise _Wrong("len of nil pointer")
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, (list, dict)) and not isinstance(value, Record):
        return len(value)
    raise _Wrong(f"len of type {go_type(value)}")


def _index(value: Any, *keys: Any) -> Any:
    for key in keys:
        if value is None:
            raise _Wrong("index of untyped nil")
        if isinstance(value, (list, str)):
            whole = isinstance(key, int) and not isinstance(key, bool)
            if not whole:
                raise _Wrong(f"cannot index slice/array with type {go_type(key)}")
            held: Any = value.encode() if isinstance(value, str) else value
            if not 0 <= key < len(held):
                raise _Wrong(f"index out of range: {key}")
            value = held[key]
        elif isinstance(value, dict) and not isinstance(value, Record):
            value = value.get(key, getattr(value, "missing", None))
        else:
            raise _Wrong(f"can't index item of type {go_type(value)}")
    return value


def _slice(value: Any, *bounds: Any) -> Any:
    if value is None:
        raise _Wrong("slice of untyped nil")
    if not isinstance(value, (list, str)):
        raise _Wrong(f"can't slice item of type {go_type(value)}")
    if len(bounds) > 3:
        raise _Wrong(f"too many slice indexes: {len(bounds)}")
    held: Any = value.encode() if isinstance(value, str) else value
    for bound in bounds:
        if not isinstance(bound, int) or isinstance(bound, bool):
            raise _Wrong(f"cannot index slice/array with type {go_type(bound)}")
        if not 0 <= bound <= len(held):
            raise _Wrong(f"index out of range: {bound}")
    start, end = (*bounds, 0)[0], bounds[1] if len(bounds) > 1 else len(held)
    if start > end:
        raise _Wrong(f"invalid slice index: {start} > {end}")
    cut = held[start:end]
    return cut.decode("utf-8", "replace") if isinstance(value, str) else type(value)(cut)


_KINDS = {bool: "bool", int: "int", float: "float64", str: "string"}


def _equal(first: Any, *others: Any) -> bool:
    if not others:
        raise _Wrong("missing argument for comparison")
    for other in others:
        if first is None or other is None:
            if first is other:
                return True
        elif _KINDS.get(type(first)) != _KINDS.get(type(other)):
            raise _Wrong(f"incompatible types for comparison: {go_type(first)} and {go_type(other)}")
        elif type(first) not in _KINDS:
            raise _Wrong(
                f"non-comparable types {shown(first)}: {go_type(first)}, {go_type(other)}: {shown(other)}"
            )
        elif first == other:
            return True
    return False


def _less(first: Any, second: Any) -> bool:
    if type(first) not in _KINDS or type(second) not in _KINDS or type(first) is type(second) is bool:
        raise _Wrong("invalid type for comparison")
    if type(first) is not type(second):
        raise _Wrong(f"incompatible types for comparison: {go_type(first)} and {go_type(second)}")
    return bool(first < second)


def _print(*values: Any) -> str:
    made, last = "", ""
    for number, value in enumerate(values):
        spaced = number and not isinstance(value, str) and not isinstance(last, str)
        made += (" " if spaced else "") + shown(value)
        last = value
    return made


def _printf(layout: str, *values: Any) -> str:
    """The verbs a template uses: %s %v %d %q %t %f and %%."""
    made, rest, parts = "", list(values), layout.split("%")
    made, at = parts[0], 1
    while at < len(parts):
        part = parts[at]
        at += 1
        if not part:  # %%
            made += "%" + (parts[at] if at < len(parts) else "")
            at += 1
            continue
        verb = part[0]
        value = rest.pop(0) if rest else _NONE
        if value is _NONE:
            made += f"%!{verb}(MISSING)"
        elif verb == "q":
            made += quote(shown(value))
        elif verb == "f" and isinstance(value, float):
            made += f"{value:f}"
        else:
            made += shown(value)
        made += part[1:]
    return made


def _date(days: int) -> Callable[..., str]:
    return lambda *_: time.strftime("%Y-%m-%d", time.localtime(time.time() + 86_400 * days))


_TYPESCRIPT = {
    "string": "string", "number": "number", "integer": "number", "boolean": "boolean", "array": "any[]",
    "object": "Record<string, any>", "null": "null",
}  # fmt: skip


def _typescript(value: Any) -> str:
    if not isinstance(value, Record) or value.go != "api.ToolProperty":
        return "any"
    if value["AnyOf"]:
        return " | ".join(map(_typescript, value["AnyOf"]))
    kinds = value["Type"].strip("[]").split()
    return " | ".join(_TYPESCRIPT.get(kind, "any") for kind in kinds) or "any"


def _json(value: Any) -> str:
    return encode(plain(value)).decode()


# function, fewest arguments, and how many exactly (None: any number above)
_FUNCTIONS: dict[str, tuple[Callable[..., Any], int, int | None]] = {
    "eq": (_equal, 1, None),
    "ne": (lambda a, b: not _equal(a, b), 2, 2),
    "lt": (_less, 2, 2),
    "le": (lambda a, b: _less(a, b) or _equal(a, b), 2, 2),
    "gt": (lambda a, b: not (_less(a, b) or _equal(a, b)), 2, 2),
    "ge": (lambda a, b: not _less(a, b), 2, 2),
    "not": (lambda value: not truth(value), 1, 1),
    "len": (_length, 1, 1),
    "index": (_index, 1, None),
    "slice": (_slice, 1, None),
    "print": (_print, 0, None),
    "println": (lambda *values: " ".join(map(shown, values)) + "\n", 0, None),
    "printf": (_printf, 1, None),
    "html": (
        lambda *values: html.escape(_print(*values)).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),
        0,
        None,
    ),
    "js": (lambda *values: json.dumps(_print(*values))[1:-1], 0, None),
    "urlquery": (lambda *values: quote_plus(_print(*values)), 0, None),
    "json": (_json, 1, 1),
    "currentDate": (_date(0), 0, None),
    "yesterdayDate": (_date(-1), 0, None),
    "toTypeScriptType": (_typescript, 1, 1),
    "call": (lambda *_: "", 1, None),
}
