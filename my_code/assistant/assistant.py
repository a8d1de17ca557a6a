"""An assistant for the terminal: two tools, a memory, a budget. Lesson 21 builds it step by step.

    python assistant.py [MODEL]

Address and key come from OPENAI_BASE_URL and OPENAI_API_KEY, in the environment or in .env.
An empty line, Ctrl-D or Ctrl-C ends it.
"""

import json
import os
import sys

import httpx
from dotenv import find_dotenv, load_dotenv

notes = []


def calculate(a, b, operation):
    return {"add": a + b, "multiply": a * b}[operation]


def remember(note):
    notes.append(note)
    return f"{len(notes)} kept"


def describe(name, description, **properties):
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    function = {"name": name, "description": description, "parameters": parameters}
    return {"type": "function", "function": function}


NUMBER = {"type": "number"}
OPERATION = {"type": "string", "enum": ["add", "multiply"]}
TOOLS = {"calculate": calculate, "remember": remember}
DESCRIBED = [
    describe("calculate", "Add or multiply two numbers", a=NUMBER, b=NUMBER, operation=OPERATION),
    describe("remember", "Keep a note for later", note={"type": "string"}),
]


def report(call):
    try:
        arguments = json.loads(call["function"]["arguments"])
        content = TOOLS[call["function"]["name"]](**arguments)
    except (KeyError, TypeError, ValueError) as error:
        content = f"{type(error).__name__}: {error}"
    return {"role": "tool", "tool_call_id": call["id"], "content": json.dumps(content)}


def cut(messages, keep=12):
    start = max(1, len(messages) - keep)
    while start > 1 and messages[start]["role"] != "user":
        start -= 1
    return messages[:1] + messages[start:]


def post(model, messages):
    base = (os.getenv("OPENAI_BASE_URL") or "https://api.openai.com/v1").strip().rstrip("/")
    key = os.getenv("OPENAI_API_KEY", "").strip()
    payload = {"model": model, "messages": messages, "tools": DESCRIBED}
    response = httpx.post(
        base + "/chat/completions", headers={"Authorization": f"Bearer {key}"}, json=payload, timeout=600
    )
    if response.status_code != 200:
        said = response.text[:300]
        sys.exit(f"{response.status_code}: {said.replace(key, '[your key]') if len(key) >= 8 else said}")
    return response.json()


def turn(model, talk, question, budget, rounds=5):
    """Ask, make the calls that come back, and return the answer and what is left of the budget (tokens)."""
    talk.append({"role": "user", "content": question})
    for _ in range(rounds):
        reply = post(model, cut(talk))
        budget -= reply["usage"]["total_tokens"]
        message = reply["choices"][0]["message"]
        talk.append(message)
        if not message.get("tool_calls"):
            return message["content"], budget
        talk.extend(report(call) for call in message["tool_calls"])
    return "I gave up after too many calls.", budget


def main(model="gpt-5-nano", budget=20_000):
    load_dotenv(find_dotenv(usecwd=True), override=True)
    talk = [{"role": "system", "content": "You are a helpful assistant. Answer in one short sentence."}]
    while budget > 0:
        try:
            question = input("> ")
        except (EOFError, KeyboardInterrupt):
            break
        if not question.strip():
            break
        try:
            answer, budget = turn(model, talk, question, budget)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError) as error:
            sys.exit(f"{type(error).__name__}: check OPENAI_BASE_URL, OPENAI_API_KEY and your network.")
        print(f"{answer}\n[{max(budget, 0)} tokens left]")


if __name__ == "__main__":
    main(*sys.argv[1:2])
