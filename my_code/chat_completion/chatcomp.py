"""Your first Chat Completions request: one message goes out, the whole reply is printed.

    python chatcomp.py              asks gpt-5-nano
    python chatcomp.py llama3.2     asks another model

The key comes from OPENAI_API_KEY, the server from OPENAI_BASE_URL (without it: api.openai.com).
Both may stand in a file named .env, here or in a folder above; what stands there wins.
"""

import json
import os
import re
import sys
from urllib.parse import urlsplit

import httpx
from dotenv import load_dotenv

for output in (sys.stdout, sys.stderr):  # a console that cannot show an emoji gets a "?", not a crash
    if hasattr(output, "reconfigure"):
        output.reconfigure(errors="replace")

load_dotenv(override=True)
api_key = (os.getenv("OPENAI_API_KEY") or "").strip()
base_url = (os.getenv("OPENAI_BASE_URL") or "https://api.openai.com/v1").strip().rstrip("/")
model = sys.argv[1] if len(sys.argv) > 1 else "gpt-5-nano"

NO_KEY = """OPENAI_API_KEY is not set. Write OPENAI_API_KEY=... into a file named .env in the course folder.
   Without a key: run `python -m helpers practice`, then set OPENAI_BASE_URL to the URL it prints
   with /openai/v1 behind it, and OPENAI_API_KEY to sk-practice."""
HINTS = {
    401: "Check OPENAI_API_KEY: is it whole, still valid, and meant for this server?",
    404: "If the model is not there, name one that is, such as: python chatcomp.py llama3.2",
}


def hide_key(text):
    """A short placeholder such as "ollama" is no secret; anything longer is replaced."""
    return text.replace(api_key, "[your key]") if len(api_key) >= 8 else text


def stop(message):
    """Ends the script with this message on stderr and exit code 1."""
    sys.exit(hide_key(f"\n❌ {message}"))


def server_message(response):
    """What the server says went wrong: its JSON error message if there is one, else the start of the body."""
    try:
        error = response.json()["error"]
        return error["message"] if isinstance(error, dict) else error
    except (ValueError, KeyError, TypeError):
        return response.text.strip()[:300] or response.reason_phrase


if not api_key:
    stop(NO_KEY)
if not re.fullmatch("[!-~]+", api_key):
    stop("OPENAI_API_KEY holds a space, a line break or a curly quote, which no key has. Copy it again.")

headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}

payload = {
    "model": model,
    "messages": [
        {"role": "user", "content": "Tell me a fun fact"},
    ],
}

print("=" * 60)
print(f"🚀 Sending request to {hide_key(urlsplit(base_url).hostname or base_url)} ...")
print("=" * 60)
print("\n📦 Payload:")
print(hide_key(json.dumps(payload, indent=2, ensure_ascii=False)), flush=True)

try:
    response = httpx.post(f"{base_url}/chat/completions", headers=headers, json=payload, timeout=60)
except httpx.TimeoutException:
    stop(f"{base_url} did not answer in time. Try again, or give `timeout` in this script a larger number.")
except (httpx.UnsupportedProtocol, httpx.InvalidURL) as problem:
    stop(f"OPENAI_BASE_URL is {base_url!r}, it should look like https://api.openai.com/v1 ({problem})")
except httpx.HTTPError as problem:
    stop(f"No reply from {base_url}: {problem}. Is the server running, is OPENAI_BASE_URL right?")

if not response.is_success:
    hint = HINTS.get(response.status_code, "")
    stop(f"HTTP {response.status_code} from {base_url}: {server_message(response)}\n   {hint}".rstrip())

try:
    reply = response.json()
except ValueError:
    stop(f"No JSON from {base_url} but {response.text.strip()[:100]!r}. Is OPENAI_BASE_URL right?")

print(
    "\n📬 Reply"
    + (" (practice server: scripted, not a model's):" if "x-practice" in response.headers else ":")
)
print(hide_key(json.dumps(reply, indent=2, ensure_ascii=False)))
