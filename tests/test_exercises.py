"""Every exercise: the untouched cell fails with a sentence, the solution passes, near misses are told."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from helpers import CourseError, lanes, lesson, providers, send
from helpers.exercises import grading, of_lesson, progress, seen
from helpers.practice import process
from helpers.terminal import Transcript, run, session

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
LESSONS = [path.stem for path in sorted(NOTEBOOKS.glob("*.ipynb")) if of_lesson(path.stem)]

# lesson: exercise: near misses. Each turns a piece of the solution into another, and the check says this.
Miss = tuple[str, str, str]
NEAR: dict[str, dict[str, list[Miss]]] = {
    "00_start_here": {
        "your_own": [
            ("Why is the sky blue?", "Tell me a fun fact", "still the one that was there"),
            ("Why is the sky blue?", " ", "there is no question"),
            ('"role": "user"', '"role": "system"', "No message has the role user"),
            ('here.models["chat"]', '""', "leave that line as it was"),
        ],
    },
    "01_what_is_ollama": {
        "faces": [
            ('"server"', '"command"', "keeps a model in memory is not 'command'"),
            ('"Modelfile"', '""', "Nothing stands behind “names the weights"),
            ('"HTTP API"', '"Modelfile"', "it sends a request"),
        ],
        "version": [
            ("/api/version", "/version", "The path is '/version'"),
            ("/api/version", "/", "There is no path yet"),
            ("httpx.get", "httpx.post", "The method is POST"),
        ],
        "by_http": [
            ('"prompt"', '"message"', "There is no `prompt`"),
            ("Name a colour.", "Hello", "not the question"),
            (', "stream": False', "", "it comes in pieces"),
            ("False", '"no"', "it comes in pieces"),
        ],
    },
    "02_run_interactively": {
        "character": [
            ("/set system You are a sailor of few words.", "/set quiet", "no /set system came before /save"),
            ("/set parameter temperature 0", "/set quiet", "No temperature was set"),
            ("temperature 0", "temperature 1", "The temperature is 1"),
        ],
        "three_lines": [
            ('"""', "", "You sent 3 messages"),
            ('    "violets are blue,",\n', "", "It has 2 lines"),
            ('"/save', '"Hello!",\n    "/save', "You sent 2 messages"),
        ],
        "afresh": [
            ("/clear", "/set quiet", "It still remembers the fun fact"),
            ("Why is the sky blue?", "Say hello.", "The question about the sky is not in it"),
            (
                '"/clear",\n    "Why is the sky blue?"',
                '"Why is the sky blue?",\n    "/clear"',
                "the sky is not in it",
            ),
        ],
    },
    "03_run_one_shot": {
        "json_answer": [
            (" --format json", "", "words in a prompt bind nobody"),
            (" --nowordwrap", "", "broken in two"),
            ("--format json", "--format yaml", "takes json or a schema"),
            ("--format json", "--json", "unknown flag: --json"),
        ],
        "form": [
            ('{"type": "integer"}', '{"type": "number"}', "has the type 'number'; it is to be integer"),
            ('"required": ["population", "capital"],', "", "may leave out population, capital"),
            ('"required": ["population", "capital"]', '"required": ["capital"]', "may leave out population"),
            ('"population": {"type": "integer"}, ', "", "no property `population`"),
            (
                'here.check("form"',
                'payload["format"] = json.dumps(payload["format"])\nhere.check("form"',
                "a text",
            ),
        ],
        "no_thoughts": [
            ("--think=false", "--think false", "the word false of the prompt"),
            ("--think=false", "--hidethinking", "the model still thinks"),
            ("--think=false", "--think=low", "--think is 'low'"),
            ("--think=false", "", "No flag speaks of thinking"),
        ],
        "half_an_hour": [
            ('"30m"', "30", "a bare number counts seconds"),
            ('"30m"', '"30"', "without a unit"),
            ("keep_alive", "keepalive", "ignores what it does not know"),
            ('"30m"', '"3m"', "not half an hour"),
            ('"keep_alive": "30m"', '"options": {"keep_alive": "30m"}', "not where the server looks"),
        ],
    },
    "04_images_and_embeddings": {
        "with_picture": [
            ('"images"', '"image"', "There is an s missing"),
            ("[packed]", "packed", "it has to be a list"),
            ("[packed]", '["./dot.png"]', "is a path"),
            ("[packed]", '["data:image/png;base64," + packed]', "That is a data URI"),
            ("[packed]", "[packed.encode()]", "These are bytes"),
            ("[packed]", '["aGVsbG8="]', "no PNG, JPEG or WebP"),
        ],
        "three_at_once": [
            ('"input": three', '"input": ", ".join(three)', "one text, and so one vector"),
            ('"input"', '"inputs"', "`inputs` is not a field of /api/embed"),
            ("three}", "three[:2]}", "not the three texts"),
            ("small", '"no-such"', "No three vectors came: model"),
        ],
        "sixty_four": [
            ("--dimensions 64", "--dimension 64", "unknown flag: --dimension"),
            ("--dimensions 64", "--dimensions 46", "there is room for 64"),
            ("--dimensions 64", "", "No flag speaks of the number"),
            ("{small}", "no-such", "They did not come: Error"),
        ],
        "cosine": [
            (" / (math.hypot(*one) * math.hypot(*other))", " / math.hypot(*one)", "it is 4.8, not 0.96"),
            ("* math.hypot(*other))", "+ math.hypot(*other))", "it is 0.48, not 0.96"),
            ("math.hypot(*one) *", "math.hypot(one) *", "it raised TypeError"),
            ('here.check("cosine", cosine)', 'here.check("cosine", cosine([1], [1]))', "the function itself"),
        ],
    },
    "05_manage_models": {
        "second_name": [
            ("cp {name} course-second", "cp course-second {name}", "the wrong way round"),
            ("course-second", "course-2nd", "it is to be course-second"),
            ("{name} ", "course-nobody ", "was not copied: Error: model"),
            ("cp {name} course-second", "show {name}", "gives no model a second name"),
        ],
        "only_licence": [
            (" --license", "", "of the licence two lines"),
            ("--license", "--licence", "unknown flag: --licence"),
            ("--license", "--system", "--system is another part"),
            ("--license", "--license --system", "Two parts at once"),
        ],
        "heaviest": [
            ("max(", "min(", "There is a larger one"),
            ('["name"]', '["size"]', "That is a size"),
            ('["name"]', "", "Hand in the name alone"),
            ('["name"]', '["digest"]', "is no model in /api/tags"),
        ],
        "removed": [
            ('"DELETE"', '"POST"', "The method is POST"),
            ("/api/delete", "/api/rm", "not the path that removes"),
            ('"model": "course-spare"', '"model": "course-other"', "names 'course-other'"),
            (', json={"model": "course-spare"}', "", "names no model"),
        ],
    },
    "06_modelfile_create_cp": {
        "style": [
            ("SYSTEM You answer like a calm news reader.\n", "", "there is no SYSTEM line"),
            ("temperature 0", "temperature 1", "temperature is 1; it is to be 0"),
            ("PARAMETER stop !\n", "", "it is to be !"),
            ("PARAMETER stop", "stop", "The command failed"),
            ("create course-style", "create course-mine", "it is to make course-style"),
        ],
        "mended": [
            ("FROM", "FORM", 'command must be one of "from"'),
            ('numerals."', "numerals.", "unexpected EOF"),
            ("0.2", "low", "invalid float value [low]"),
            ('SYSTEM "You count in Roman numerals."\n', "", "rather than take it out"),
            ("0.2", "0.8", "it is to be 0.2"),
        ],
        "example": [
            ("MESSAGE assistant ☀️\n", "", "comes the answer of assistant"),
            ("MESSAGE user How is the weather?\nMESSAGE assistant ☀️\n", "", "no MESSAGE line"),
            ("MESSAGE assistant", "MESSAGE bot", "message role must be one of"),
        ],
        "by_http": [
            ('"from": name,', "", "There is no `from`"),
            ('"parameters": {"temperature": 0.5}', '"temperature": 0.5', "where the server ignores it"),
            ("0.5", '"0.5"', "without quotes"),
            ("course-http", "http", "begin it with course-"),
            ('"from": name', '"modelfile": f"FROM {name}"', "which the server ignores"),
        ],
    },
    "07_serve_ps_stop": {
        "in_memory": [
            ("/api/ps", "/api/tags", "Not all of these are in memory"),
            ('[model["name"] for', "[model for", "each a text"),
            ("for model in models]", "for model in models[:0]]", "Your list is empty"),
        ],
        "room": [
            ("stop {name}", "stop course-nobody", "couldn't find model"),
            ("stop {name}", "run {name} --keepalive 0", "before it lets it go"),
            ("stop {name}", "rm course-nobody", "`ollama rm` frees no memory"),
        ],
        "for_ever": [
            ("-1", '"-1"', "a text without a unit"),
            ("-1", "0", "lets the model go at once"),
            ("-1", '"forever"', "no words for them"),
            ("-1", "86400", "that time runs out"),
        ],
        "elsewhere": [
            ("OLLAMA_HOST", "OLLAMA_PORT", "the variable is called OLLAMA_HOST"),
            ("127.0.0.1:11436", "127.0.0.1", "means http://127.0.0.1:11434"),
            ("127.0.0.1:11436", "http://127.0.0.1", "means http://127.0.0.1:80"),
        ],
    },
    "08_signin_signout": {
        "who": [
            ("httpx.post", "httpx.put", "The method is PUT"),
            ("/api/me", "/api/whoami", "does not tell who is signed in"),
            ('/api/me")', '/api/me").json()', "Hand in the reply itself"),
            ('httpx.post(server + "/api/me")', 'run("ollama signin")', "a payload (a dict) or the reply"),
        ],
        "public_part": [
            ("id_ed25519.pub", "id_ed25519", "That is the PRIVATE key"),
            (".strip()", ".split()[1]", "it is to begin with ssh-ed25519"),
            (".strip()", "[:60]", "A piece of the key is missing"),
            ('(home / "id_ed25519.pub").read_text().strip()', '"id_ed25519.pub"', "the name of the file"),
        ],
        "private": [
            ('names["ollama"]', 'names["ollama"] + ":cloud"', "run by ollama.com, and the note goes there"),
            ('names["ollama"]', '"course-helper"', "a cloud model under another name"),
            ('names["ollama"]', '"no-such"', "No answer came: model 'no-such' not found"),
            ('"Sum up: " + note', '"Sum up: note"', "The note is not in the request"),
            ('"private", reply', '"private", payload', "Hand in the reply itself"),
        ],
        "no_cloud": [
            ('"OLLAMA_NO_CLOUD": "1"', '"OLLAMA_CLOUD": "0"', "No server knows OLLAMA_CLOUD"),
            ('"1"', '"false"', "leaves it on"),
            ('"1"', "True", "put it in quotes"),
            (', "OLLAMA_NO_CLOUD": "1"', "", "No variable speaks of the cloud"),
        ],
    },
    "09_ollama_http_api": {
        "as_chat": [
            (
                '"options": {"temperature": 0, "num_predict": 5}',
                '"temperature": 0, "num_predict": 5',
                "stands outside `options`",
            ),
            ("num_predict", "max_tokens", "Ollama's is num_predict"),
            ('"stream": False,', "", "Nothing says `stream: False`"),
            ("messages", "prompt", "There are no `messages`"),
        ],
        "freed": [
            (', "keep_alive": 0', "", "there is no `keep_alive`"),
            ('"keep_alive": 0', '"keep_alive": 5', "so the model stays"),
            ("/api/generate", "/api/unload", "no path of Ollama's"),
            ('"keep_alive": 0', '"keep_alive": 0, "prompt": "Bye"', "makes the model answer first"),
        ],
        "joined": [
            ('"".join', '" ".join', "Something stands between"),
            ("for line in lines", "for line in lines[1:]", "the pieces together have"),
            ('"".join(json.loads(line)["response"] for line in lines)', "lines", "not a text"),
        ],
        "failed": [
            (
                "reply.text.splitlines()",
                "reply.text.splitlines()[:1]",
                "For a stream that fails it returned ''",
            ),
            ('.get("error")', '["error"]', "raised KeyError"),
            ('return ""', "return None", "it returned None"),
        ],
    },
    "10_raw_chat_request": {
        "pirate": [
            ('{"role": "system", "content": "Answer like a pirate."},', "", "no system message among them"),
            ('"role": "system"', '"role": "user"', "no system message among them"),
            ("like a pirate", "nicely", "nothing about a pirate"),
            ('{"role": "user", "content": "Tell me a fun fact"},', "", "The question is to stay"),
        ],
        "text_of": [
            ('reply["error"]["message"]', 'reply["error"]', "A refusal has an error and no choices"),
            ("status_code == 200", "status_code != 404", "404 is not the only refusal"),
            ("status_code == 200", "status_code == 404", "200 has choices"),
            ('["message"]["content"]', '["message"]', "the text is in the first"),
        ],
        "slips": [
            ("    url,", "    base_url,", "a path is missing"),
            ("Bearer {", "Bearer{", "the word Bearer, a space"),
            ('"messages"', '"message"', "There is no list `messages`"),
            ('"content"', '"text"', "The server said"),
            ('here.check("slips", response)', 'here.check("slips", {})', "what httpx.post returns"),
        ],
    },
    "11_response_anatomy": {
        "is_whole": [
            (' and bool(choice["message"]["content"])', "", "It was done, but there is no text"),
            ('choice["finish_reason"] == "stop" and ', "", "in mid-word"),
            ('== "stop"', 'in ("stop", "length")', "in mid-word"),
            ('reply["choices"][0]', "reply", "raised KeyError"),
        ],
        "readable": [
            (
                '.get("completion_tokens_details") or {}',
                '["completion_tokens_details"]',
                "may give no details",
            ),
            (" or {}", "", "may give no details"),
            ('details.get("reasoning_tokens", 0)', 'details["reasoning_tokens"]', "may give no details"),
            ("completion_tokens_details", "prompt_tokens_details", "64 of the 90 tokens"),
        ],
        "speed": [
            (" * 1_000_000_000", "", "30 tokens took two seconds"),
            ('own.get("eval_duration")', 'own["eval_duration"]', "only loaded the model"),
            ('not own.get("eval_duration")', '"eval_duration" not in own', "nothing to divide by"),
        ],
    },
    "12_roles_and_history": {
        "one_word": [
            ('"role": "system"', '"role": "assistant"', "What instructs has the role system or developer"),
            ("Answer in one word.", "Be nice.", "nothing about a word"),
            ("What colour is the sky at noon?", "What colour?", "to stay as it was"),
        ],
        "go_on": [
            ("talk.append(", "talk.insert(0, ", "A new question comes last"),
            ('{"role": "assistant", "content": "Oslo."},', "", "Only a part of the turn before"),
            ("And how many people live there?", "How many people?", "The new question is not in the list"),
        ],
        "mend": [
            (
                '{"role": "assistant", "content": "It is 11 °C in Oslo."},',
                '{"role": "tool", "tool_call_id": "call_7", "content": "11 °C"},',
                "whose call is not in the list",
            ),
            (
                '{"role": "assistant", "content": "It is 11 °C in Oslo."},',
                "",
                "The answer before has gone too",
            ),
            (
                '{"role": "system", "content": "Answer in one short sentence."},',
                "",
                "The instruction has gone too",
            ),
        ],
    },
    "13_parameters": {
        "likeliest": [
            ('"temperature": 0', '"temperature": 0.1', "still something to draw"),
            ('"temperature": 0', '"temperature": "0"', "a text"),
            ('"temperature": 0,', "", "`temperature` is gone"),
        ],
        "limit": [
            ("max_completion_tokens", "max_tokens", "`max_tokens` is still there"),
            ("500", "50", "it is to be the number 500"),
            ('"max_completion_tokens": 500,', "", "Nothing limits the reply"),
        ],
        "three": [
            ('"n": 3', '"n": 2', "it is to be the number 3"),
            ('"n": 3', '"best_of": 3', "Nothing asks for more than one"),
            ('"stop": ["."]', '"stop": [". "]', "a full stop and nothing around it"),
            ('"stop": ["."],', "", "Nothing ends a reply"),
            ('"temperature": 1', '"temperature": 0', "all three would be the same"),
        ],
    },
    "14_streaming": {
        "deltas": [
            ("text += choice", "text = choice", "It makes '' of a stream"),
            (' or ""', "", "A content can be null"),
            ('.get("content")', '["content"]', "A delta can be without content"),
        ],
        "bill": [
            ('"stream": True', '"stream": "true"', "not True"),
            ('"stream": True,', "", "Nothing asks for a stream"),
            (
                '"stream_options": {"include_usage": True}',
                '"include_usage": True',
                "stands beside the others",
            ),
            ('{"include_usage": True}', "True", "it is to hold include_usage"),
        ],
        "own_stream": [
            ('lines[-1]["eval_count"]', 'lines[0]["eval_count"]', "Only the last line has the counts"),
            ('["message"]["content"]', '["choices"][0]', "Only the last line has the counts"),
            (', lines[-1]["eval_count"]', "", "It makes 'Low tide' of a stream"),
        ],
    },
    "15_structured_outputs": {
        "strict_enough": [
            ('"required": ["title", "rating"]', '"required": ["title"]', "rating is not"),
            ('    "additionalProperties": False,', "", "Nothing forbids other fields"),
            ('["integer", "null"]', '"integer"', "has null as a type too"),
            (', "rating": {"type": ["integer", "null"]}', "", "The field rating is gone"),
        ],
        "one_of_three": [
            ('"enum"', '"options"', "The words go into a list under enum"),
            (', "other"]', "]", "they are to be bill, advert and other"),
            ('form(schema, "letter")', "schema", "a schema has json_schema"),
        ],
        "own_form": [
            ('"format": person', '"format": form(person)', "still wrapped up"),
            ('"format": person', '"response_format": form(person)', "`response_format` is still there"),
            ('    "stream": False,', "", "so it will stream"),
        ],
    },
    "16_tool_calling": {
        "describe": [
            ('"description": "How far two cities are apart, in kilometres",', "", "There is no description"),
            ('"required": ["start", "end"]', '"required": ["start"]', "A model may leave out end"),
            ('"end": text', '"goal": text', "There is no property `end`"),
            ('{"type": "string"}', '{"type": "city"}', "a city is a string"),
        ],
        "answer": [
            ('"role": "tool"', '"role": "assistant"', "a result has the role tool"),
            ('asked["id"]', '"call_9"', "the call is 'call_1'"),
            ("json.dumps(result)", "result", "which json.dumps makes of it"),
            ('"tool_call_id": asked["id"], ', "", "Nothing says which call it answers"),
        ],
        "no_calls": [
            ('"none"', '"auto"', "the word for never is another"),
            ('"none"', "None", "is a text"),
            ('    "tools": [tool],', "", "The tool is gone"),
            ('    "tool_choice": "none",', "", "Nothing forbids the call"),
        ],
    },
    "17_errors_and_retries": {
        "again": [
            (' or code == "insufficient_quota"', "", "Waiting does not fill an account"),
            ("sent >= 4 or ", "", "Four times are enough"),
            ("status is None or ", "", "No reply at all"),
            ("429, ", "", "Too fast: that passes"),
            ("{429, 500, 502, 503, 504}", "range(400, 600)", "400 is for you to mend"),
        ],
        "wait": [
            ("min(20, 2**attempt)", "2**attempt", "No wait of yours is longer"),
            ("2**attempt", "2 * attempt", "The first wait is one second"),
            ("float(retry_after)", "retry_after", "a header is text"),
            ("retry_after is not None", 'retry_after and retry_after != "0"', "0 is an answer too"),
        ],
        "refused": [
            ("max_completion_tokens", "max_tokens", "takes another name"),
            ('"role": "user", ', "", "A message has a role and a content"),
            ("100,", '100, "loudness": 11,', "no server knows it"),
            ('"max_completion_tokens": 100,', "", "The limit is gone"),
        ],
    },
    "18_one_payload_many_providers": {
        "address": [
            ('+ "/chat/completions"', "", "For OpenAI the URL is"),
            ('{"api-key": key}', '{"Authorization": f"Bearer {key}"}', "For Azure the headers are"),
            ("return url, {}", 'return url, {"Authorization": "Bearer "}', "For Ollama the headers are"),
        ],
        "move": [
            ("max_tokens", "max_completion_tokens", "Ollama ignores `max_completion_tokens`"),
            ('names["ollama"]', 'names["sampling"]', "not found"),
            ('"max_tokens": 5,', '"max_tokens": 5, "n": 1,', "Ollama ignores n"),
            ("{server}/v1", "{server}/openai/v1", "another's address"),
        ],
        "message_of": [
            ("reply = reply[0]", "pass", "Gemini's can be in a list"),
            ("error if isinstance(error, str) else ", "", "Ollama's is a text"),
            (' else error["message"]', " else error", "OpenAI's is two deep"),
        ],
    },
    "19_tokens_context_cost": {
        "bill": [
            (" / 1_000_000", "", "cost 0.002 dollars"),
            ('(usage["prompt_tokens"] - cached)', 'usage["prompt_tokens"]', "1,000 of the 2,000"),
            ('.get("prompt_tokens_details") or {}', '["prompt_tokens_details"]', "cost 0.002 dollars"),
            ('.get("prompt_tokens_details") or {})', '.get("prompt_tokens_details", {}))', "can be null"),
        ],
        "fit": [
            ("rest = rest[1:]", "rest = rest[:-1]", "Seven words have room"),
            ("length(first) + sum", "sum", "Seven words have room"),
            ("> budget", ">= budget", "Seven words have room"),
            ("[first] + rest", "rest", "All of it fits"),
        ],
        "roomier": [
            ("num_ctx", "context", "the option is `num_ctx`"),
            (
                '{"num_predict": 30, "num_ctx": 4096}',
                '{"num_predict": 30}, "num_ctx": 4096',
                "It goes inside",
            ),
            ("4096", '"4096"', "it is to be the number 4096"),
            ('"num_predict": 30, ', "", "`num_predict` was 30"),
        ],
    },
    "20_playground": {
        "apart": [
            ('first | {"temperature": 0}', "dict(first)", "Both have the temperature 1"),
            ('{"temperature": 0}', '{"temperature": 0, "seed": 1}', "They also differ in `seed`"),
            ('{"temperature": 0}', '{"temperature": "0"}', "The server said"),
            ("[first, second]", "first", "two requests in a list"),
        ],
        "again": [
            ("[first, again]", "[first, first]", "the same reply twice"),
            ("first.exchange.request.payload, first.path", "{}", "The payloads differ in `model`"),
            (", first.path", ', "/completions"', "the second time /completions"),
        ],
        "mend": [
            ("true", '"yes"', "`stream` is 'yes'"),
            ("true", "true,", "It is not JSON yet. Line 5"),
            ("500", "50", "The limit is 50, not 500"),
            ("max_completion_tokens", "max_tokens", "Unsupported parameter"),
            ("true", "True", "It is not JSON yet"),
        ],
    },
    "21_capstone": {
        "third_tool": [
            ('"forget"', '"delete"', "No tool is called forget"),
            ('{"type": "integer"}', '{"type": "string"}', "it is to be an integer"),
            ("number=", "index=", "it takes one, called number"),
            ("described + [", "[", "One of the two tools is gone"),
            ('"Drop a note by its number"', '""', "Say in a sentence what it does"),
        ],
        "with_notes": [
            ('"; ".join(notes)', "notes[0]", "and the notes stand in it"),
            ("if not notes:", "if False:", "Without notes"),
            (
                '    return [{"role": "system", "content": content}] + messages[1:]',
                '    messages[0]["content"] = content\n    return messages',
                "so the notes would come twice",
            ),
            ('messages[0]["content"] + ', "", "The instruction comes first"),
        ],
        "bounded": [
            ("max_completion_tokens", "max_tokens", "There is plenty left"),
            ("min(500, left)", "500", "120 tokens are left"),
            ("left <= 0", "left == 0", "More than everything is spent"),
            (
                '    return payload | {"max_completion_tokens": min(500, left)}',
                '    payload["max_completion_tokens"] = min(500, left)\n    return payload',
                "each turn would inherit the bound",
            ),
        ],
    },
}

EACH = [(name, exercise) for name in LESSONS for exercise in of_lesson(name)]
NEAR_MISSES = [
    pytest.param(name, exercise, miss, id=f"{exercise}-{number}")
    for name, exercises in NEAR.items()
    for exercise, misses in exercises.items()
    for number, miss in enumerate(misses, 1)
]


@pytest.fixture(scope="module", autouse=True)
def course() -> Iterator[None]:
    """A lesson's environment, put back afterwards."""
    before, held = dict(os.environ), {name: getattr(lanes, name) for name in ("_laid", "_held", "_chosen")}
    yield
    os.environ.clear()
    os.environ.update(before)
    for name, value in held.items():
        setattr(lanes, name, value)


@pytest.fixture
def own_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A progress file of this test's own."""
    path = tmp_path / "progress.json"
    monkeypatch.setattr(progress, "file", lambda: path)
    return path


def above_chat_exercises() -> dict[str, Any]:
    """What the cells of lessons 10 to 21 define above their exercises."""
    server, names = providers.practice()
    text = {"type": "string"}
    fields = {"name": text, "age": {"type": "integer"}, "city": text}
    notes = {"type": "function", "function": {"name": "remember", "parameters": {"type": "object"}}}

    def form(schema: Any, name: str = "person") -> dict[str, Any]:
        return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}

    def made(name: str, arguments: str) -> dict[str, Any]:
        return {"id": "call_1", "type": "function", "function": {"name": name, "arguments": arguments}}

    def described(name: str, description: str, **properties: Any) -> dict[str, Any]:
        parameters = {"type": "object", "properties": properties, "required": list(properties)}
        function = {"name": name, "description": description, "parameters": parameters}
        return {"type": "function", "function": function}

    return {
        "url": os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        "base_url": os.environ["OPENAI_BASE_URL"],
        "os": os,
        "send": send,
        "headers": {"Authorization": f"Bearer {os.environ['OPENAI_API_KEY']}"},
        "server": server,
        "names": names,
        "line": "Ada is 36 years old and lives in Lisbon.",
        "person": {"type": "object", "properties": fields, "required": list(fields)},
        "form": form,
        "tool": described("temperature", "The current temperature in a city", city=text),
        "made": made,
        "describe": described,
        "described": [described("calculate", "Add two numbers", a=text), notes],
    }


def talk(*steps: str) -> Transcript:
    """Lesson 02's own: a session of a person at a terminal."""
    return session("ollama run llama3.2", [*steps, "/bye"])


@pytest.fixture(scope="module")
def scope(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a lesson's cells have at hand when they come to an exercise."""
    here = lesson("00_start_here")
    roles = {"name": "ollama", "thinker": "thinking", "small": "embedding", "eyes": "vision"}
    run(f"ollama pull {here.models['thinking']}")
    cloud = "gpt-oss:20b-cloud"
    run(f"ollama pull {cloud}")
    run(f"ollama cp {cloud} course-helper")
    link = run("ollama signin").stdout.split()[-1]
    return {
        **above_chat_exercises(),
        "httpx": httpx,
        "json": json,
        "run": run,
        "talk": talk,
        "server": os.environ["OLLAMA_HOST"],
        "file": tmp_path_factory.mktemp("model") / "Modelfile",
        "math": math,
        "packed": "iVBORw0KGgo=",  # how a PNG begins
        "names": here.models,
        "cloud": cloud,
        "link": httpx.URL(link),
        "home": process.course_home(),
        **{variable: here.models[role] for variable, role in roles.items()},
    }


def graded(name: str, source: str, scope: dict[str, Any]) -> grading.Graded:
    """Run a cell as a kernel does and return its last expression, the check."""
    names = {**scope, "here": lesson(name)}
    body, _, last = source.rpartition("\n")
    exec(body, names)
    result = eval(last, names)
    assert isinstance(result, grading.Graded)
    return result


def first_missing(result: grading.Graded) -> str:
    return next(point.missing for point in result.points if not point.ok)


def test_every_exercise_has_near_misses() -> None:
    assert {name: list(of_lesson(name)) for name in LESSONS} == {
        name: list(exercises) for name, exercises in NEAR.items()
    }
    assert all(len(misses) >= 3 for exercises in NEAR.values() for misses in exercises.values())


@pytest.mark.parametrize(("name", "exercise"), EACH)
def test_the_untouched_cell_fails_and_says_what_is_missing(
    name: str, exercise: str, scope: dict[str, Any]
) -> None:
    result = graded(name, of_lesson(name)[exercise].start, scope)
    assert not result.passed
    assert len(first_missing(result).split()) >= 4 and f'here.hint("{exercise}")' in repr(result)


@pytest.mark.parametrize(("name", "exercise"), EACH)
def test_the_solution_passes(name: str, exercise: str, scope: dict[str, Any]) -> None:
    result = graded(name, of_lesson(name)[exercise].solution, scope)
    assert result.passed, repr(result)
    assert repr(result).startswith("✓") and "solved" in repr(result)
    assert progress.record(name, exercise)["solved"]


@pytest.mark.parametrize(("name", "exercise", "miss"), NEAR_MISSES)
def test_a_near_miss_is_told_what_is_missing(
    name: str, exercise: str, miss: Miss, scope: dict[str, Any]
) -> None:
    right, wrong, said = miss
    solution = of_lesson(name)[exercise].solution
    assert right in solution
    result = graded(name, solution.replace(right, wrong), scope)
    assert not result.passed
    assert said in first_missing(result)


@pytest.mark.parametrize(("name", "exercise"), EACH)
def test_hints_come_one_by_one_and_end_at_the_solution(name: str, exercise: str, own_file: Path) -> None:
    here = lesson(name)
    hints = of_lesson(name)[exercise].hints
    assert len(hints) >= 2
    for number, hint in enumerate(hints, 1):
        told = repr(here.hint(exercise))
        assert hint in told and told.count("\n") == number
    assert f'here.solution("{exercise}")' in repr(here.hint(exercise))
    assert repr(here.solution(exercise)) == of_lesson(name)[exercise].solution


@pytest.mark.parametrize("value", [None, 5, "", [], {}, object(), lambda: 1])
@pytest.mark.parametrize(("name", "exercise"), EACH)
def test_whatever_is_handed_in_gets_a_sentence(name: str, exercise: str, value: Any, own_file: Path) -> None:
    result = lesson(name).check(exercise, value)
    assert not result.passed and first_missing(result)


# What a check looks at


def test_a_payload_an_exchange_and_a_reply_are_graded_alike(scope: dict[str, Any], own_file: Path) -> None:
    here = lesson("03_run_one_shot")
    payload = {"model": scope["name"], "prompt": "Say hello.", "stream": False, "keep_alive": "30m"}
    by_hand = httpx.post(scope["server"] + "/api/generate", json=payload)
    for value in (payload, send(payload, "/api/generate"), by_hand):
        assert here.check("half_an_hour", value).passed


def test_a_payload_that_is_wrong_is_not_sent(monkeypatch: pytest.MonkeyPatch, own_file: Path) -> None:
    monkeypatch.setattr(seen, "send", None)
    here = lesson("06_modelfile_create_cp")
    assert not here.check("by_http", {"model": "my-own-model", "from": "course-x"}).passed


def test_the_path_is_the_one_that_lessons_write(scope: dict[str, Any]) -> None:
    for base, path in (("OPENAI_BASE_URL", "/chat/completions"), ("OLLAMA_HOST", "/api/chat")):
        reply = httpx.post(os.environ[base] + path, json={})
        assert seen.request(reply, "").path == path


# What a learner sees


def test_what_is_shown_is_escaped_and_holds_no_key(
    scope: dict[str, Any], own_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = lesson("03_run_one_shot")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-canary-0123456789")
    result = here.check("form", {"format": "<script>sk-canary-0123456789</script>"})
    assert "<script>" in repr(result) and "<script>" not in result._repr_html_()
    assert "canary" not in repr(result) + result._repr_html_() + own_file.read_text("utf-8")


def test_an_unknown_exercise_is_named_with_the_nearest() -> None:
    with pytest.raises(CourseError, match="no exercise 'forms'. Did you mean 'form'?"):
        lesson("03_run_one_shot").check("forms")
    with pytest.raises(CourseError, match="There are your_own"):
        lesson("00_start_here").hint("x")


# The learner's own record


def test_progress_counts_tries_and_keeps_what_was_solved(own_file: Path) -> None:
    for passed in (False, True, False):
        progress.tried("03_run_one_shot", "form", passed)
    assert progress.record("03_run_one_shot", "form") == {"tries": 3, "solved": True}
    report = lesson("03_run_one_shot").progress()
    assert re.search(r"03_run_one_shot +form +✓ +3 +0", repr(report))
    assert f"1 of {len(EACH)} exercises solved" in repr(report) and "<table>" in report._repr_html_()


def test_notebooks_that_write_at_once_lose_nothing(own_file: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: progress.tried("a", f"e{number}", True), range(24)))
    assert len(json.loads(own_file.read_text("utf-8"))["a"]) == 24


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"e": 1}}', "\x00"])
def test_a_broken_file_is_begun_anew(own_file: Path, text: str) -> None:
    own_file.write_text(text, "utf-8")
    progress.tried("a", "e", True)
    assert progress.record("a", "e") == {"tries": 1, "solved": True}


def test_where_nothing_can_be_written_the_check_still_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "no-folder").write_text("")
    monkeypatch.setattr(progress, "file", lambda: tmp_path / "no-folder" / "progress.json")
    assert not lesson("03_run_one_shot").check("form", {}).passed
