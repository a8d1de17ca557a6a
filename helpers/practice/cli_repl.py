"""The interactive session of `ollama run MODEL`: messages, commands that begin with a slash, and answers.

What is typed is read by cli_readline. Its history is kept in the course's own folder, where the real command
keeps ~/.ollama/history: practising leaves no trace in the learner's own.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from helpers.errors import CourseError

from . import modelfile, names, process
from .cli_answer import Answer, summary
from .cli_client import Ollama, variable
from .cli_files import attach, paths
from .cli_format import quote, value_text
from .cli_list import list_models
from .cli_models import is_cloud, load
from .cli_parse import Given
from .cli_progress import Progress, Spinner, say
from .cli_readline import END_PASTE, START_PASTE, Edit, Interrupted, Reader
from .cli_repl_texts import (
    HELP,
    HELP_FILES,
    HELP_PARAMETERS,
    HELP_SET,
    HELP_SHORTCUTS,
    HELP_SHOW,
    SAYS,
    WARNINGS,
)
from .cli_run import response_format
from .cli_show import sections, show_request

QUOTES = '"""'
EDITOR = "edit" if sys.platform == "win32" else "vi"
FALSE = ("0", "f", "F", "FALSE", "false", "False", "")


@dataclass
class Session:
    """What a session is set to. `messages` are what was said in it, `loaded` what the model came with."""

    model: str
    parent: str = ""
    loaded: list[dict[str, Any]] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    system: str = ""
    options: dict[str, Any] = field(default_factory=dict)
    format: str = ""
    keep_alive: str | int | None = None
    think: bool | str | None = None
    think_said: bool = False
    hide_thinking: bool = False
    takes_files: bool = False
    wrap: bool = True
    verbose: bool = False

    def take(self, info: dict[str, Any]) -> None:
        """Take over what /api/show says of the model."""
        self.parent = (info.get("details") or {}).get("parent_model", "")
        self.loaded = list(info.get("messages") or [])
        if not self.think_said:
            self.think = True if "thinking" in (info.get("capabilities") or []) else None

    def restore(self, before: Session) -> None:
        for one in fields(self):
            setattr(self, one.name, getattr(before, one.name))


@dataclass
class Talk:
    """A session as it runs: `text` is what has been typed of a message, `open` what its quotes enclose."""

    ollama: Ollama
    session: Session
    reader: Reader
    text: str = ""
    open: str = ""


def talk(ollama: Ollama, session: Session) -> None:
    """Holds the session until its end. Raises CourseError, also where there is no terminal."""
    for message in session.loaded:
        if message["role"] == "user":
            say(f">>> {message['content']}\n")
        elif message["role"] == "assistant":
            answer = Answer(session.wrap, hide_thinking=False, coloured=True)
            say("".join(answer.add({"response": message["content"]})) + "\n\n")
    try:
        reader = Reader(process.course_home() / "history")
    except OSError as error:
        raise CourseError(f"open {error.filename or 'terminal'}: {(error.strerror or '').lower()}") from None
    reader.history.enabled = variable("OLLAMA_NOHISTORY") in FALSE
    say(START_PASTE)
    try:
        _hold(Talk(ollama, session, reader))
    finally:
        say(END_PASTE)


def _hold(talk: Talk) -> None:
    while True:
        try:
            line = talk.reader.read()
        except EOFError:
            _out("")
            return
        except Interrupted:
            _out(SAYS["leave"])
            talk.reader.alt = False
            talk.text = ""
            continue
        except Edit as given:
            talk.text = ""
            talk.reader.prefill = _edited(given.text)
            continue
        if talk.open or line.startswith(QUOTES):
            _quoted(talk, line)
        elif talk.reader.pasting:
            talk.text += f"{line}\n"
            continue
        elif line.startswith(("/exit", "/bye")):
            return
        elif command := next((c for name, c in COMMANDS.items() if line.startswith(name)), None):
            if not command(talk, line):
                continue
        elif line.startswith("/") and not _starts_with_file(talk, line):
            _out(SAYS["unknown"].format(command=line.split()[0]))
            continue
        else:
            talk.text += line
        if talk.text and not talk.open:
            _send(talk)


def _quoted(talk: Talk, line: str) -> None:
    """A line that opens, continues or closes what stands between three quotes."""
    opening = not talk.open
    line = line.removeprefix(QUOTES) if opening else line
    closed = line.endswith(QUOTES)
    talk.text += line.removesuffix(QUOTES)
    if not closed:
        talk.text += "\n"
        talk.open = talk.open or "prompt"
        talk.reader.alt = True
    elif not opening:
        if talk.open == "system":
            talk.session.system = talk.text
            talk.session.messages.append({"role": "system", "content": talk.text})
            _out(SAYS["system"])
            talk.text = ""
        talk.open = ""
        talk.reader.alt = False


def _starts_with_file(talk: Talk, line: str) -> bool:
    first = line.split()[0]
    return talk.session.takes_files and any(path.startswith(first) for path in paths(line))


# --- answers ------------------------------------------------------------------------------------------------


def _send(talk: Talk) -> None:
    """Sends what was typed. Raises CourseError, but for what a change of the session can mend."""
    text, images = attach(talk.text) if talk.session.takes_files else (talk.text, [])
    message = {"role": "user", "content": text, **({"images": images} if images else {})}
    talk.session.messages.append(message)
    talk.text = ""
    try:
        reply = _answer(talk.ollama, talk.session)
    except CourseError as error:
        if "does not support thinking" not in str(error) and "invalid think value" not in str(error):
            raise
        _out(SAYS["error"].format(error=error))
        return
    if reply:
        talk.session.messages.append(reply)


def _answer(ollama: Ollama, session: Session) -> dict[str, Any] | None:
    """Writes the answer to the messages and returns it as one of them; None if Ctrl-C stopped it."""
    answer = Answer(session.wrap, session.hide_thinking, coloured=True)
    reply = {"role": "assistant", "content": "", "thinking": ""}
    last: dict[str, Any] = {}
    with Progress(erase=True) as progress:
        progress.add(Spinner(""))
        body = _chat_request(session)
        try:
            with _stoppable():
                for last in ollama.stream("/api/chat", body):
                    message = last.get("message") or {}
                    content = message.get("content", "")
                    if content or not session.hide_thinking:
                        progress.clear()
                    reply["role"] = message.get("role", "")
                    reply["content"] += content
                    if not session.hide_thinking:
                        reply["thinking"] += message.get("thinking", "")
                    calls = {"thinking": message.get("thinking", ""), "tool_calls": message.get("tool_calls")}
                    say("".join([*answer.add(calls), *answer.add({"response": content})]))
        except KeyboardInterrupt:
            return None
        except CourseError as error:
            if "upstream error" not in str(error):
                raise
            progress.clear()
            _out(SAYS["upstream"])
            return None
        say("\n\n")
        if session.verbose:
            sys.stderr.write(summary(last))
    thinking = {"thinking": reply["thinking"]} if reply["thinking"] else {}
    return {"role": reply["role"], "content": reply["content"], **thinking}


def _chat_request(session: Session) -> dict[str, Any]:
    """The body of a POST to /api/chat, its fields in the order in which the command sends them."""
    optional = {"format": response_format(session.format), "keep_alive": session.keep_alive}
    body: dict[str, Any] = {"model": session.model, "messages": session.messages}
    body |= {name: value for name, value in optional.items() if value is not None}
    body |= {"options": session.options}
    return body if session.think is None else body | {"think": session.think}


@contextmanager
def _stoppable() -> Iterator[None]:
    """Ctrl-C raises KeyboardInterrupt once; afterwards it is passed over, as in the real command."""

    def stop(*_: Any) -> None:
        signal.signal(signal.SIGINT, _pass)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, _pass)


def _pass(*_: Any) -> None:
    pass


# --- commands: each says whether what was pasted before it is sent now --------------------------------------


def _list(talk: Talk, line: str) -> bool:
    list_models(Given({}, line.split()[1:], None), talk.ollama)
    return True


def _load(talk: Talk, line: str) -> bool:
    words = line.split()
    if len(words) != 2:
        _out(SAYS["usage"].format(command="/load"))
        return False
    session, model = talk.session, words[1]
    before = replace(session)
    session.model, session.messages, session.loaded = model, [], []
    _out(SAYS["loading"].format(model=model))
    try:
        session.take(talk.ollama.call("POST", "/api/show", show_request(model=model)))
        load(talk.ollama, model, session.keep_alive, session.think, announce=True)
    except CourseError as error:
        if "not found" in str(error):
            _out(SAYS["not found"].format(model=model))
            session.restore(before)
        elif "does not support thinking" in str(error):
            _out(SAYS["error"].format(error=error))
        else:
            raise
    return False


def _save(talk: Talk, line: str) -> bool:
    words = line.split()
    if len(words) != 2:
        _out(SAYS["usage"].format(command="/save"))
        return False
    session, name = talk.session, words[1]
    parent = session.parent if names.parse(session.parent) else ""
    if is_cloud(session.model) and not is_cloud(parent):
        parent = ""
    body: dict[str, Any] = {"model": name, "from": parent or session.model, "system": session.system}
    body |= {"parameters": session.options, "messages": [*session.loaded, *session.messages]}
    try:
        for _ in talk.ollama.stream("/api/create", {k: v for k, v in body.items() if v} | {"name": ""}):
            pass
    except CourseError as error:
        if "invalid model name" not in str(error):
            raise
        _out(SAYS["bad name"].format(model=name))
        return False
    _out(SAYS["created"].format(model=name))
    return False


def _clear(talk: Talk, line: str) -> bool:
    system = talk.session.system
    talk.session.messages = [{"role": "system", "content": system}] if system else []
    _out(SAYS["cleared"])
    return False


def _help(talk: Talk, line: str) -> bool:
    words = line.split()
    if len(words) > 1:
        _err(HELP_TOPICS.get(words[1], ""))
        return True
    files = HELP_FILES.format(path=f"{os.sep}path{os.sep}to{os.sep}file") if talk.session.takes_files else ""
    _err(f"{HELP}{files}\n")
    return True


# --- /set


def _set(talk: Talk, line: str) -> bool:
    words = line.split()
    if len(words) < 2:
        _err(HELP_SET)
        return True
    setting = SETTINGS.get(words[1])
    if setting is None:
        _out(SAYS["unknown"].format(command=f"/set {words[1]}"))
        return True
    return setting(talk, words[1], words[2:])


def _set_history(talk: Talk, name: str, words: list[str]) -> bool:
    talk.reader.history.enabled = name == "history"
    return True


def _set_mode(talk: Talk, name: str, words: list[str]) -> bool:
    if name in ("wordwrap", "nowordwrap"):
        talk.session.wrap = name == "wordwrap"
    else:
        talk.session.verbose = name == "verbose"
    _out(SAYS["mode"].format(mode=name))
    return True


def _set_think(talk: Talk, name: str, words: list[str]) -> bool:
    level = words[0] if words and name == "think" else ""
    talk.session.think = level or name == "think"
    talk.session.think_said = True
    try:
        info = talk.ollama.call("POST", "/api/show", show_request(model=talk.session.model))
        if "thinking" not in (info.get("capabilities") or []):
            _err(WARNINGS["no thinking"].format(model=quote(talk.session.model)) + "\n")
    except CourseError:
        pass  # it is a warning only
    _out(SAYS["think level"].format(level=level) if level else SAYS["mode"].format(mode=name))
    return True


def _set_format(talk: Talk, name: str, words: list[str]) -> bool:
    if name == "noformat":
        talk.session.format = ""
    elif words[:1] != ["json"]:
        _out(SAYS["bad format"])
        return True
    else:
        talk.session.format = "json"
    _out(SAYS[name])
    return True


def _set_parameter(talk: Talk, name: str, words: list[str]) -> bool:
    if len(words) < 2:
        _err(HELP_PARAMETERS)
        return False
    option, values = words[0], words[1:]
    try:
        value = modelfile.parameters(option, values[0])
    except CourseError as error:
        text = str(error).replace(f"[{values[0]}]", f"[{' '.join(values)}]")
        _out(SAYS["bad parameter"].format(error=quote(text)))
        return False
    _out(SAYS["parameter"].format(name=option, value=", ".join(values)))
    talk.session.options[option] = values if isinstance(value, list) else value
    return True


def _set_system(talk: Talk, name: str, words: list[str]) -> bool:
    if not words:
        _err(HELP_SET)
        return False
    text = " ".join(words)
    if text.startswith(QUOTES):
        text = text.removeprefix(QUOTES)
        if not text.endswith(QUOTES):
            talk.text, talk.open, talk.reader.alt = talk.text + text, "system", True
            return False
        text = text.removesuffix(QUOTES)
    system = talk.text + text
    messages = talk.session.messages
    talk.session.system, talk.text = system, ""
    if messages and messages[-1]["role"] == "system":
        messages.pop()
    messages.append({"role": "system", "content": system})
    _out(SAYS["system"])
    return False


# --- /show


def _show(talk: Talk, line: str) -> bool:
    words = line.split()
    if len(words) < 2:
        _err(HELP_SHOW)
        return True
    session = talk.session
    try:
        request = show_request(name=session.model, system=session.system, options=session.options)
        info = talk.ollama.call("POST", "/api/show", request)
    except CourseError:
        _out(SAYS["no show"])
        raise
    what = words[1]
    if what == "info":
        _err(sections(info, verbose=False))
    elif what == "license":
        _out(info.get("license") or SAYS["no license"])
    elif what == "modelfile":
        _out(info.get("modelfile", ""))
    elif what == "parameters":
        _show_parameters(session, info.get("parameters", ""))
    elif what == "system":
        system = session.system or info.get("system", "")
        _out(f"{system}\n" if system else SAYS["no system"])
    elif what == "template":
        _out(info.get("template") or SAYS["no template"])
    else:
        _out(SAYS["unknown"].format(command=f"/show {what}"))
    return True


def _show_parameters(session: Session, parameters: str) -> None:
    _out(SAYS["model parameters"])
    if not parameters:
        _out(SAYS["no parameters"])
    for line in parameters.split("\n") if parameters else ():
        _out(f"  {line}")
    _out("")
    if session.options:
        _out(SAYS["own parameters"])
        for name, value in session.options.items():
            written = str(value) if type(value) is int else value_text(value)
            _out(f"  {name:<30} {written}")
        _out("")


HELP_TOPICS = {
    "set": HELP_SET,
    "/set": HELP_SET,
    "show": HELP_SHOW,
    "/show": HELP_SHOW,
    "shortcut": HELP_SHORTCUTS,
    "shortcuts": HELP_SHORTCUTS,
}
SETTINGS: dict[str, Callable[[Talk, str, list[str]], bool]] = {
    "history": _set_history,
    "nohistory": _set_history,
    "wordwrap": _set_mode,
    "nowordwrap": _set_mode,
    "verbose": _set_mode,
    "quiet": _set_mode,
    "think": _set_think,
    "nothink": _set_think,
    "format": _set_format,
    "noformat": _set_format,
    "parameter": _set_parameter,
    "system": _set_system,
}
COMMANDS: dict[str, Callable[[Talk, str], bool]] = {  # by what the line begins with
    "/list": _list,
    "/load": _load,
    "/save": _save,
    "/clear": _clear,
    "/set": _set,
    "/show": _show,
    "/help": _help,
    "/?": _help,
}


# --- the editor ---------------------------------------------------------------------------------------------


def _edited(text: str) -> str:
    """`text` after the learner's editor had it; "" if that failed, which is said, or if nothing is left."""
    chosen = variable("OLLAMA_EDITOR") or os.environ.get("VISUAL") or os.environ.get("EDITOR") or EDITOR
    command = chosen.split()
    if not shutil.which(command[0]):
        _err(SAYS["error"].format(error=WARNINGS["no editor"].format(name=quote(command[0]))) + "\n")
        return ""
    descriptor, name = tempfile.mkstemp(prefix="ollama-prompt-", suffix=".txt")
    try:
        with open(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
        status = subprocess.run([*command, name], check=False).returncode
        if status:
            _err(SAYS["error"].format(error=WARNINGS["editor"].format(status=status)) + "\n")
            return ""
        edited = Path(name).read_text("utf-8", "replace").rstrip("\n")
        return edited if edited.strip() else ""
    finally:
        os.unlink(name)


def _out(line: str) -> None:
    say(f"{line}\n")


def _err(text: str) -> None:
    sys.stdout.flush()
    sys.stderr.write(text)
    sys.stderr.flush()
