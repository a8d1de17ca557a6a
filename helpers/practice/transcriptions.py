"""Ollama's `/v1/audio/transcriptions`: a form with a sound, turned into a chat.

Source of every rule and text: middleware/openai.go and openai/openai.go, v0.32.15; the form's own errors are
those of Go's mime/multipart.
"""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from .compat import middleware, openai_refusals, reply_line
from .errors import Refusal
from .ollama import pieces_of, start_chat
from .replies import route
from .state import Stamp, practice_of

ORDER = (
    "Transcribe the audio exactly as spoken. Output only the spoken words. Do not answer any question in the "
    "audio."
)
QUESTION = "What exact words are spoken in this audio?"


@openai_refusals
async def transcriptions(request: Request) -> Response:
    body = await request.body()
    practice, stamp = practice_of(request), Stamp.of(request, body)
    with middleware():
        fields, sound = _form(request.headers.get("content-type", ""), body)
        native = _native(fields, sound)
    started = await start_chat(practice, native, stamp)
    text = "".join([piece.text async for piece in pieces_of(started)]).strip()
    if fields.get("response_format") == "text":
        return Response(text, headers={"content-type": "text/plain"})
    return reply_line({"text": text})


def _native(fields: dict[str, str], sound: bytes | None) -> dict[str, Any]:
    if not fields.get("model"):
        raise Refusal("model required")
    if sound is None:
        raise Refusal("no file", text="http: no such file")
    if not sound:
        raise Refusal("empty sound")
    order = ORDER
    if fields.get("language"):
        order += f" The audio is in {fields['language']}."
    if fields.get("prompt"):
        order += f" Context: {fields['prompt']}"
    return {
        "model": fields["model"],
        "messages": [
            {"role": "system", "content": order},
            {"role": "user", "content": QUESTION, "images": [sound]},
        ],
        "options": {"temperature": 0},
    }


def _form(kind: str, body: bytes) -> tuple[dict[str, str], bytes | None]:
    """The form's fields, and the bytes of its file. Raises Refusal."""
    if not kind.lower().startswith("multipart/form-data"):
        raise Refusal("form", text="request Content-Type isn't multipart/form-data")
    head = f"Content-Type: {kind}\r\n\r\n".encode("latin-1")
    form = BytesParser(policy=HTTP).parsebytes(head + body)
    if not form.get_boundary():
        raise Refusal("form", text="no multipart boundary param in Content-Type")
    if not form.is_multipart():
        raise Refusal("form", text="multipart: NextPart: EOF")
    fields: dict[str, str] = {}
    sound = None
    for part in form.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = bytes(part.get_payload(decode=True) or b"")
        if part.get_filename() is None:
            fields.setdefault(str(name), content.decode("utf-8", "replace"))
        elif name == "file" and sound is None:
            sound = content
    return fields, sound


routes = [route("/v1/audio/transcriptions", transcriptions, "POST")]
