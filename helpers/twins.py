"""The same request elsewhere: as curl, as an httpx program, by the openai client, with the ollama command.

Each is in terms of the course's three variables, so that no key and no address stands in it.
"""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from helpers import redact

if TYPE_CHECKING:
    from helpers.wire import Exchange

SENT_BY_ITSELF = {"accept", "accept-encoding", "connection", "content-length", "host", "user-agent"}
SENT_BY_CLIENT = {"authorization", "content-type"}

CHAT = "/chat/completions"
FLAGS = {  # field of /api/generate: the flag of `ollama run` that sets it
    "format": "--format",
    "think": "--think",
    "keep_alive": "--keepalive",
}
NOT_ASKED = {"model", "messages", "prompt", "stream", "stream_options"}  # in the command's own words or ways


def curl(seen: Exchange) -> str:
    """The request as a POSIX shell command."""
    path = quote(seen.request.path, safe="/?&=:@!$'()*+,;%[]")
    address = f'"${variable(path)}{_in_double_quotes(path)}"'
    data = json.dumps(seen.request.payload, ensure_ascii=False, indent=2)
    return " \\\n".join(
        [
            f"curl -sS{'N' if _streams(seen) else ''} {address}",
            *(f"  -H {_shell_header(f'{name}: {value}')}" for name, value in _chosen_headers(seen)),
            f"  -d {shlex.quote(data)}",
        ]
    )


def python(seen: Exchange) -> str:
    """The request as a Python program that needs httpx."""
    request = seen.request
    headers = [f"    {name!r}: {_python_header(value)},\n" for name, value in _chosen_headers(seen)]
    address = f"os.environ[{variable(request.path)!r}] + {request.path!r}"
    if _streams(seen):
        run = (
            'with httpx.stream("POST", url, headers=headers, json=payload, timeout=600) as reply:\n'
            "    for line in reply.iter_lines():\n        print(line)\n"
        )
    else:
        run = (
            "reply = httpx.post(url, headers=headers, json=payload, timeout=600)\n"
            "print(reply.status_code, reply.text)\n"
        )
    return (
        f"import os\n\nimport httpx\n\nurl = {address}\nheaders = {{\n{''.join(headers)}}}\n"
        f"payload = {_python_literal(request.payload)}\n\n{run}"
    )


def openai(seen: Exchange) -> str:
    """The request as a Python program that needs the openai client, or a comment that says why not."""
    from helpers import fields

    path, payload = seen.request.path, seen.request.payload
    if path != CHAT or not isinstance(payload, dict):
        return f"# The client's chat.completions.create() asks {CHAT}, not {path}.\n"
    taken = fields.request("openai", CHAT)
    known = {name: value for name, value in payload.items() if name in taken}
    extra = {name: value for name, value in payload.items() if name not in taken}
    arguments = [f"    {name}={_python_literal(value, '    ')},\n" for name, value in known.items()]
    headers = [pair for pair in _chosen_headers(seen) if pair[0] not in SENT_BY_CLIENT]
    if headers:
        pairs = "".join(f"        {name!r}: {_python_header(value)},\n" for name, value in headers)
        arguments.append(f"    extra_headers={{\n{pairs}    }},\n")
    if extra:
        arguments.append(f"    extra_body={_python_literal(extra, '    ')},\n")
    call = f"client.chat.completions.create(\n{''.join(arguments)})"
    run = f"for chunk in {call}:\n    print(chunk)\n" if payload.get("stream") is True else f"print({call})\n"
    return (
        "import os\n\nfrom openai import OpenAI\n\nclient = OpenAI(\n"
        '    base_url=os.environ["OPENAI_BASE_URL"], api_key=os.environ["OPENAI_API_KEY"], max_retries=0\n'
        f")\n{run}"
    )


def ollama(seen: Exchange) -> str:
    """The question as an `ollama run` line, with comments that say what the command cannot pass on."""
    payload = seen.request.payload
    question = _question(payload) if isinstance(payload, dict) else None
    if question is None:
        return "# `ollama run` sends one question; this request has none, or more than that.\n"
    flags = [
        f"{flag}={shlex.quote(value if isinstance(value, str) else json.dumps(value))}"
        for field, flag in FLAGS.items()
        if (value := payload.get(field)) is not None
    ]
    words = ["ollama", "run", shlex.quote(str(payload.get("model", ""))), *flags, shlex.quote(question)]
    left = [name for name in payload if name not in NOT_ASKED and name not in FLAGS]
    said = f"# No flag says {', '.join(left)}; a Modelfile can.\n" if left else ""
    asked = "" if seen.request.path == "/api/generate" else "# The command asks /api/generate instead.\n"
    return f"{said}{asked}{' '.join(words)}\n"


def variable(path: str) -> str:
    """The name of the variable that a path is appended to."""
    return "OLLAMA_HOST" if path.startswith("/api/") else "OPENAI_BASE_URL"


def _streams(seen: Exchange) -> bool:
    return seen._kind is not None


def _chosen_headers(seen: Exchange) -> list[tuple[str, str]]:
    return [(name, value) for name, value in seen.request.headers.items() if name not in SENT_BY_ITSELF]


def _question(payload: dict[str, Any]) -> str | None:
    """The one text that is asked, if there is no more to the conversation."""
    prompt, messages = payload.get("prompt"), payload.get("messages")
    if isinstance(prompt, str):
        return prompt
    if isinstance(messages, list) and len(messages) == 1 and isinstance(messages[0], dict):
        content = messages[0].get("content")
        if messages[0].get("role") == "user" and isinstance(content, str) and len(messages[0]) == 2:
            return content
    return None


def _shell_header(line: str) -> str:
    if redact.KEY_MARK not in line:
        return shlex.quote(line)
    return '"' + _in_double_quotes(line).replace(redact.KEY_MARK, "$OPENAI_API_KEY") + '"'


def _in_double_quotes(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def _python_header(value: str) -> str:
    pieces = [repr(piece) for piece in value.split(redact.KEY_MARK)]
    return " + os.environ['OPENAI_API_KEY'] + ".join(pieces).removesuffix(" + ''")


def _python_literal(value: Any, margin: str = "") -> str:
    """The value as one would write it by hand: on one line if it fits, else a line for each item."""
    inner = margin + "    "
    if len(repr(value)) <= 80 - len(margin) or not isinstance(value, (dict, list)):
        return repr(value)
    if isinstance(value, dict):
        items = [f"{inner}{key!r}: {_python_literal(item, inner)},\n" for key, item in value.items()]
        return f"{{\n{''.join(items)}{margin}}}"
    items = [f"{inner}{_python_literal(item, inner)},\n" for item in value]
    return f"[\n{''.join(items)}{margin}]"
