"""What it costs to watch a stream: the CPU of kernel and page while the wire view draws it.

    python -m benchmarks.redraw

A process of its own streams 500, 5,000 and 50,000 tokens as fast as they are read; a wire view in a real
JupyterLab shows them. The kernel's time beside that of reading alone, and both for a token: flat is linear.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import CDPSession, Page, sync_playwright

from tests import browser

TOKENS = (500, 5_000, 50_000)
SOURCE = """
import json, socket, threading
listener = socket.socket(); listener.bind(("127.0.0.1", 0)); listener.listen()
print(listener.getsockname()[1], flush=True)
HEAD = (b"HTTP/1.1 200 OK\\r\\ncontent-type: text/event-stream\\r\\n"
        b"transfer-encoding: chunked\\r\\nconnection: close\\r\\n\\r\\n")
def event(data):
    return b"%x\\r\\ndata: %b\\n\\n\\r\\n" % (len(data) + 8, data)
def chunk(delta, reason=None):
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return event(json.dumps({"id": "c", "model": "m", "choices": [choice]}).encode())
def serve(peer):
    got = b""
    while b"\\r\\n\\r\\n" not in got or not got.endswith(b"}"):
        got += peer.recv(65536)
    count = json.loads(got.partition(b"\\r\\n\\r\\n")[2])["max_tokens"]
    peer.sendall(HEAD)
    for number in range(count):
        peer.sendall(chunk({"content": f" word{number}"}))
    peer.sendall(chunk({}, "stop") + event(b"[DONE]") + b"0\\r\\n\\r\\n")
    peer.close()
while True:
    threading.Thread(target=serve, args=[listener.accept()[0]], daemon=True).start()
"""
SET_UP = """import os, time
os.environ.update(OPENAI_BASE_URL="http://127.0.0.1:{port}/v1", OPENAI_API_KEY="none")
from helpers import stream
from helpers.widgets import WireView
from helpers.widgets.sending import begin
view = WireView()
view"""
MEASURE = """payload = {{"model": "m", "messages": [], "max_tokens": {tokens}, "stream": True}}
started = time.process_time()
await (await stream(payload)).read()
alone = time.process_time() - started
redraws, started = [], time.process_time()
sending = await begin(payload, on_change=lambda it: (redraws.append(1), view.show(it)))
drawn = time.process_time() - started
assert len(sending.exchange.frames) == {tokens} + 2
import json
json.dumps([alone, drawn, len(redraws)])"""


def main() -> None:
    source = subprocess.Popen([sys.executable, "-c", SOURCE], stdout=subprocess.PIPE, text=True)
    assert source.stdout
    port = int(source.stdout.readline())
    rows = []
    try:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, sync_playwright() as playwright:
            root = Path(name) / "root"
            root.mkdir()
            with browser.lab(Path(name) / "lab", f"--ServerApp.root_dir={root}") as address:
                chromium = playwright.chromium.launch(
                    executable_path=browser.executable(), args=browser.ARGUMENTS
                )
                for tokens in TOKENS:
                    cells = [SET_UP.format(port=port), MEASURE.format(tokens=tokens)]
                    page = chromium.new_page()
                    browser.scratch(page, address, root, cells)
                    rows.append((tokens, *measured(page)))
                    page.close()
    finally:
        source.terminate()
        source.wait()
    print("  tokens  redraws     reading  and drawing    a token     page    a token")
    for tokens, alone, drawn, redraws, shown in rows:
        print(
            f"{tokens:>8,}{redraws:>9}{alone:>10.2f} s{drawn:>11.2f} s{1e6 * drawn / tokens:>8.0f} µs"
            f"{shown:>7.2f} s{1e6 * shown / tokens:>8.0f} µs"
        )
    for name, column in (("kernel", 2), ("page", 4)):
        few, many = (row[column] / row[0] for row in (rows[0], rows[-1]))
        print(f"{name}: a token of {TOKENS[-1]:,} costs {many / few:.2f} x one of {TOKENS[0]:,}")


def measured(page: Page) -> tuple[float, float, int, float]:
    """CPU seconds of the kernel for reading alone and for reading and drawing, redraws, CPU of the page."""
    page.wait_for_function(browser.IDLE, timeout=browser.STARTED)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')")
    page.wait_for_selector(".wire-view")
    page.wait_for_function(browser.IDLE, timeout=browser.STARTED)
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    before = busy(session)
    page.evaluate("window.jupyterapp.commands.execute('notebook:run-cell-and-select-next')")
    page.wait_for_function("document.querySelectorAll('.jp-OutputArea-output').length > 1", timeout=300_000)
    page.wait_for_selector("text=The reply is complete", timeout=60_000)
    shown = busy(session) - before
    text = browser.outputs(page)[-1]["data"]["text/plain"]
    alone, drawn, redraws = json.loads(text.strip("'"))
    return alone, drawn, redraws, shown


def busy(session: CDPSession) -> float:
    found: list[dict[str, Any]] = session.send("Performance.getMetrics")["metrics"]
    return next(one["value"] for one in found if one["name"] == "TaskDuration")


if __name__ == "__main__":
    main()
