"""The command line read by Cobra's rules: which command, which flags, which help, and Cobra's own complaints.

Find and parse are two steps, as in Cobra: a command is looked for among the words that are neither flags nor
their values, and only then are its flags read. That is why `ollama --foo ls` complains of --foo, not of ls.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from helpers.errors import CourseError

from .cli_format import quote, quote_letter
from .command_texts import COMMANDS, ENVIRONMENT, ERRORS, HELP, NAME_WIDTH, ROOT, Command, Flag

HELP_FLAG = "help"
_TRUE = frozenset({"1", "t", "T", "TRUE", "true", "True"})
_FALSE = frozenset({"0", "f", "F", "FALSE", "false", "False"})
_INTEGER = r"[+-]?(0[xX]_?[0-9a-fA-F]+|0[bB]_?[01]+|0[oO]?_?[0-7]+|0|[1-9][0-9]*)(_[0-9a-fA-F]+)*"


class Given(NamedTuple):
    """The flags that were set, the other words, and how many of them stood before a `--`."""

    flags: dict[str, Any]
    words: list[str]
    before_dash: int | None


def find(argv: list[str]) -> tuple[Command, list[str]]:
    """The command that `argv` names (ROOT if none) and the words left for it. Raises CourseError."""
    words = _words(argv, ROOT)
    if not words:
        return ROOT, argv
    for command in COMMANDS:
        if words[0] == command.name or words[0] in command.aliases:
            return command, _without(argv, words[0])
    text = ERRORS["unknown command"].format(name=quote(words[0]), suggestions=_suggestions(words[0]))
    raise CourseError(text)


def parse(command: Command, words: list[str]) -> Given:
    """Reads `words` by the flags of `command`. Raises CourseError in pflag's words."""
    flags: dict[str, Any] = {}
    plain: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return Given(flags, plain + rest, len(plain))
        if word.startswith("--"):
            _long(command, word, rest, flags)
        elif word.startswith("-") and word != "-":
            _shorts(command, word[1:], rest, flags)
        else:
            plain.append(word)
    return Given(flags, plain, None)


def check_count(command: Command, words: list[str]) -> None:
    """Raises CourseError if `command` does not take that many words."""
    if command.arity is None:
        return
    rule, wanted = command.arity
    received = len(words)
    if received < wanted or (rule == "exactly" and received > wanted):
        raise CourseError(ERRORS[rule].format(wanted=wanted, received=received))


def help_text(command: Command) -> str:
    """What `--help` prints."""
    return f"{command.long or command.short}\n\n{usage_text(command, _flags(command))}"


def usage_text(command: Command, flags: list[Flag]) -> str:
    """The part of the help from `Usage:` on, with these flags."""
    path = command.name if command is ROOT else f"ollama {command.use}"
    lines = ["Usage:", f"  {path} [flags]"]
    if command is ROOT:
        lines += ["  ollama [command]", "", "Available Commands:"]
        lines += [f"  {c.name:<{NAME_WIDTH}} {c.short}" for c in COMMANDS if not c.hidden]
    if command.aliases:
        lines += ["", "Aliases:", f"  {', '.join((command.name, *command.aliases))}"]
    lines += ["", "Flags:", *_flag_lines(flags)]
    if command is ROOT:
        lines += ["", 'Use "ollama [command] --help" for more information about a command.']
    if command.env:
        lines += ["", "Environment Variables:"]
        lines += [f"      {name:<27}   {ENVIRONMENT[name]}" for name in command.env]
    return "\n".join(lines) + "\n"


def _flags(command: Command) -> list[Flag]:
    help_flag = Flag(HELP_FLAG, f"help for {command.name}", "bool", "h", "true")
    return sorted((*command.flags, help_flag), key=lambda flag: flag.name)


def _flag_lines(flags: list[Flag]) -> list[str]:
    heads = []
    for flag in flags:
        head = f"  -{flag.short}, --{flag.name}" if flag.short else f"      --{flag.name}"
        if flag.kind != "bool":
            head += f" {flag.kind}"
        if flag.kind == "string" and flag.bare:
            head += f'[="{flag.bare}"]'
        heads.append(head)
    width = max(map(len, heads))
    return [f"{head:<{width}}   {flag.usage}" for head, flag in zip(heads, flags, strict=True)]


# --- finding the command ------------------------------------------------------------------------------------


def _takes_next(word: str, command: Command) -> bool:
    """Whether the word is a flag that eats the next word, as far as this command's flags tell."""
    if word.startswith("--"):
        return "=" not in word and not any(f.name == word[2:] and f.bare for f in command.flags)
    if len(word) == 2 and word[0] == "-" and "=" not in word:
        return not any(f.short == word[1] and f.bare for f in command.flags)
    return False


def _words(argv: list[str], command: Command) -> list[str]:
    words, rest = [], list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            break
        if _takes_next(word, command):
            if len(rest) <= 1:
                break
            rest.pop(0)
        elif word and not word.startswith("-"):
            words.append(word)
    return words


def _without(argv: list[str], name: str) -> list[str]:
    """`argv` without the word that named the command."""
    position = 0
    while position < len(argv):
        word = argv[position]
        if word == "--":
            break
        if _takes_next(word, ROOT):
            position += 1
        elif word == name:
            return argv[:position] + argv[position + 1 :]
        position += 1
    return argv


def _suggestions(typed: str) -> str:
    typed = typed.lower()
    names = [c.name for c in COMMANDS if not c.hidden and c is not HELP]
    close = [name for name in names if _distance(typed, name) <= 2 or name.startswith(typed)]
    if not close:
        return ""
    return "\n\nDid you mean this?\n" + "".join(f"\t{name}\n" for name in close)


def _distance(one: str, other: str) -> int:
    """Levenshtein's distance."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], previous if a == b else 1 + min(previous, row[j], row[j - 1])
    return row[-1]


# --- reading the flags --------------------------------------------------------------------------------------


def _long(command: Command, word: str, rest: list[str], flags: dict[str, Any]) -> None:
    name, equals, value = word[2:].partition("=")
    if not name or name[0] == "-":
        raise CourseError(ERRORS["bad flag"].format(word=word))
    flag = next((f for f in _flags(command) if f.name == name), None)
    if flag is None:
        raise CourseError(ERRORS["unknown flag"].format(name=name))
    if not equals:
        if flag.bare:
            value = flag.bare
        elif rest:
            value = rest.pop(0)
        else:
            raise CourseError(ERRORS["flag without value"].format(word=word))
    flags[flag.name] = _value(flag, value)


def _shorts(command: Command, letters: str, rest: list[str], flags: dict[str, Any]) -> None:
    while letters:
        letter, after = letters[0], letters[1:]
        shown = quote_letter(chr(letter.encode()[0]))  # pflag looks at one byte
        flag = next((f for f in _flags(command) if f.short == letter), None)
        if flag is None:
            raise CourseError(ERRORS["unknown short flag"].format(letter=shown, letters=letters))
        if len(after) > 1 and after[0] == "=":
            value, after = after[1:], ""
        elif flag.bare:
            value = flag.bare
        elif after:
            value, after = after, ""
        elif rest:
            value = rest.pop(0)
        else:
            raise CourseError(ERRORS["short flag without value"].format(letter=shown, letters=letters))
        flags[flag.name] = _value(flag, value)
        letters = after


def _value(flag: Flag, text: str) -> Any:
    reason = ""
    if flag.kind == "bool":
        if text in _TRUE | _FALSE:
            return text in _TRUE
        reason = f"strconv.ParseBool: parsing {quote(text)}: invalid syntax"
    elif flag.kind == "int":
        if not re.fullmatch(_INTEGER, text):
            reason = f"strconv.ParseInt: parsing {quote(text)}: invalid syntax"
        else:
            number = _integer(text)
            if -(2**63) <= number < 2**63:
                return number
            reason = f"strconv.ParseInt: parsing {quote(text)}: value out of range"
    else:
        return text
    name = f"-{flag.short}, --{flag.name}" if flag.short else f"--{flag.name}"
    raise CourseError(ERRORS["flag value"].format(value=quote(text), flag=quote(name), reason=reason))


def _integer(text: str) -> int:
    digits = text.lstrip("+-").replace("_", "").lower()
    octal = len(digits) > 1 and digits[0] == "0" and digits[1].isdigit()
    number = int(digits, 8) if octal else int(digits, 0)
    return -number if text[0] == "-" else number
