"""Headless Chromium over its DevTools pipe: opens a page, and tells all that it did."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-extensions",
    "--disable-sync",
    "--hide-scrollbars",
    "--no-default-browser-check",
    "--no-first-run",
    "--no-pings",
    "--mute-audio",
    "--remote-debugging-pipe",
)
_DEADLINE_S = 60
# The browser reads commands at descriptor 3 and writes at 4.
_START = """
import fcntl, os, sys
pipes = [fcntl.fcntl(int(number), fcntl.F_DUPFD, 10) for number in sys.argv[1:3]]
os.dup2(pipes[0], 3)
os.dup2(pipes[1], 4)
os.execv(sys.argv[3], sys.argv[3:])
"""


def find_chromium() -> str | None:
    """Return the browser's path, None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@dataclass
class Page:
    """One tab, and what happened in it since it was opened."""

    browser: "Browser"
    session: str
    requests: list[str] = field(default_factory=list)
    console: list[str] = field(default_factory=list)
    """Errors and warnings, policy violations among them, and dialogs."""
    is_loaded: bool = False

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **params)

    def open(self, url: str, **viewport: Any) -> None:
        """Load `url` and wait for it; `viewport` as `Emulation.setDeviceMetricsOverride` has it."""
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        if viewport:
            size = {"width": 1200, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            self.call("Emulation.setDeviceMetricsOverride", **{**size, **viewport})
        self.is_loaded = False
        self.call("Page.navigate", url=url)
        self.browser.wait(lambda: self.is_loaded)

    def evaluate(self, script: str) -> Any:
        """Run `script` in the page and return its value."""
        done = self.call(
            "Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True
        )
        if "exceptionDetails" in done:
            raise AssertionError(done["exceptionDetails"])
        return done["result"].get("value")

    def dark(self) -> None:
        """Ask for the dark colours."""
        features = [{"name": "prefers-color-scheme", "value": "dark"}]
        self.call("Emulation.setEmulatedMedia", features=features)

    def screenshot(self, path: Path, **options: Any) -> None:
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", **options)["data"]))

    def pdf(self) -> bytes:
        return base64.b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    def notice(self, method: str, params: dict[str, Any]) -> None:
        """Keep what the browser has told about this tab."""
        if method == "Page.loadEventFired":
            self.is_loaded = True
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])
        elif method == "Runtime.exceptionThrown":
            self.console.append(str(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled":
            said = [str(part.get("value")) for part in params["args"]]
            self.console.append(f"console.{params['type']}: {' '.join(said)}")
        elif method == "Log.entryAdded":
            self.console.append(f"{params['entry']['source']}: {params['entry']['text']}")
        elif method == "Page.javascriptDialogOpening":
            self.console.append(f"dialog: {params['message']}")
            self.browser.send("Page.handleJavaScriptDialog", self.session, accept=True)


class Browser:
    """A running browser; commands and events are JSON with a zero byte after each."""

    def __init__(self, to: IO[bytes], back: int) -> None:
        self._to, self._back = to, back
        self._number = 0
        self._rest = b""
        self._answers: dict[int, dict[str, Any]] = {}
        self._pages: dict[str, Page] = {}

    def new_page(self) -> Page:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        page = Page(self, attached["sessionId"])
        self._pages[page.session] = page
        return page

    def send(self, method: str, session: str = "", **params: Any) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if session:
            message["sessionId"] = session
        self._to.write(json.dumps(message).encode() + b"\0")
        self._to.flush()
        return self._number

    def call(self, method: str, session: str = "", **params: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        number = self.send(method, session, **params)
        self.wait(lambda: number in self._answers)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise AssertionError(f"{method}: {answer['error']}")
        result: dict[str, Any] = answer["result"]
        return result

    def wait(self, is_done: Any) -> None:
        """Read what the browser says until `is_done()`."""
        deadline = time.monotonic() + _DEADLINE_S
        while not is_done():
            if time.monotonic() > deadline:
                raise AssertionError("the browser does not answer")
            self._read()

    def _read(self) -> None:
        part = os.read(self._back, 1 << 20)
        if not part:
            raise AssertionError("the browser has gone")
        *whole, self._rest = (self._rest + part).split(b"\0")
        for raw in whole:
            message = json.loads(raw)
            if "id" in message:
                self._answers[message["id"]] = message
            elif page := self._pages.get(message.get("sessionId", "")):
                page.notice(message["method"], message["params"])


@contextlib.contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Start the browser at `path` with a profile of its own, and end it."""
    to_read, to_write = os.pipe()
    back_read, back_write = os.pipe()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [path, *_FLAGS, f"--user-data-dir={profile}"]
        with subprocess.Popen(
            [sys.executable, "-I", "-c", _START, str(to_read), str(back_write), *command],
            pass_fds=(to_read, back_write),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            os.close(to_read)
            os.close(back_write)
            with os.fdopen(to_write, "wb") as to:
                try:
                    running = Browser(to, back_read)
                    yield running
                    running.send("Browser.close")
                    process.wait(timeout=20)
                finally:
                    process.kill()
                    os.close(back_read)
