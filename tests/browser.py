"""Headless Chromium over its DevTools pipe: real keys, real time, what the console says, and what is downloaded."""

import fcntl
import gzip
import json
import os
import shutil
import subprocess
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Self

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-sync"),
    *("--disable-component-update", "--hide-scrollbars", "--remote-debugging-pipe", "--no-first-run"),
)
KEYS = {"Tab": 9, "Enter": 13, " ": 32, "PageDown": 34, "ArrowDown": 40}
AXE = Path(__file__).parent / "axe" / "axe.min.js.gz"


class Browser:
    """One process; each page is a tab of its own."""

    def __init__(self, process: subprocess.Popen[bytes], commands: int, answers: int) -> None:
        self.process, self.commands, self.answers = process, commands, answers
        self.number = 0
        self.events: list[dict[str, Any]] = []
        self.left = b""

    @classmethod
    @contextmanager
    def started(cls, folder: Path) -> Iterator[Self]:
        """With a profile in `folder`, ended with the block."""
        assert CHROMIUM is not None
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        high = [fcntl.fcntl(fd, fcntl.F_DUPFD, 20) for fd in (theirs_in, theirs_out)]  # clear of 3 and 4, where they go

        def move() -> None:
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        process = subprocess.Popen(
            [CHROMIUM, *FLAGS, f"--user-data-dir={folder / 'profile'}"],
            preexec_fn=move,
            close_fds=False,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for fd in (theirs_in, theirs_out, *high):
            os.close(fd)
        try:
            yield cls(process, ours_out, ours_in)
        finally:
            process.kill()
            process.wait()
            os.close(ours_out)
            os.close(ours_in)

    def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Of the DevTools protocol. Events that come before the answer are kept. Raises RuntimeError."""
        self.number += 1
        message: dict[str, Any] = {"id": self.number, "method": method, "params": parameters}
        if session:
            message["sessionId"] = session
        self.send(json.dumps(message).encode() + b"\0")
        while True:
            got = self.received()
            if got.get("id") == self.number:
                if "error" in got:
                    raise RuntimeError(f"{method}: {got['error']}")
                return got["result"]
            self.events.append(got)

    def send(self, message: bytes) -> None:
        while message:
            message = message[os.write(self.commands, message) :]

    def received(self) -> dict[str, Any]:
        while b"\0" not in self.left:
            more = os.read(self.answers, 1 << 20)
            if not more:
                raise RuntimeError("the browser has ended")
            self.left += more
        message, _, self.left = self.left.partition(b"\0")
        return json.loads(message)

    def tab(self, *, width: int = 1440, height: int = 900, dark: bool = False) -> "Tab":
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        tab = Tab(self, session)
        for domain in ("Runtime", "Log", "Page"):
            tab.call(f"{domain}.enable")
        tab.resize(width, height)
        tab.emulate(dark=dark)
        return tab


class Tab:
    def __init__(self, browser: Browser, session: str) -> None:
        self.browser, self.session = browser, session

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return self.browser.call(method, self.session, **parameters)

    def resize(self, width: int, height: int) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def emulate(self, *, dark: bool = False, media: str = "") -> None:
        """The theme of the reader's system, and `print` as the medium."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", media=media, features=[scheme])

    def open(self, path: Path, fragment: str = "") -> float:
        """Returns the seconds until every figure is drawn."""
        start = monotonic()
        self.call("Page.navigate", url=f"{path.as_uri()}#{fragment}" if fragment else path.as_uri())
        self.until("document.documentElement?.dataset.figures === 'drawn'")
        return monotonic() - start

    def until(self, condition: str, seconds: float = 60) -> None:
        end = monotonic() + seconds
        while not self.holds(condition):
            assert monotonic() < end, f"never: {condition}; console: {self.console}"
            sleep(0.02)

    def holds(self, condition: str) -> bool:
        """False too where the page goes away meanwhile."""
        try:
            return bool(self.evaluate(condition))
        except RuntimeError:
            return False

    def evaluate(self, expression: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def press(self, key: str) -> None:
        code = {"key": key, "windowsVirtualKeyCode": KEYS[key]}
        text = {"Enter": "\r", " ": " "}.get(key)
        self.call("Input.dispatchKeyEvent", type="keyDown", **code, **({"text": text} if text else {}))
        self.call("Input.dispatchKeyEvent", type="keyUp", **code)

    def obstacles(self) -> list[str]:
        """What axe-core finds serious or critical: the rule, and the first of the elements."""
        self.evaluate(gzip.decompress(AXE.read_bytes()).decode() + ";0")
        found = self.evaluate(
            "axe.run({ resultTypes: ['violations'] }).then(({ violations }) => violations.map((one) => "
            "[one.impact, one.id, one.nodes.length, one.nodes[0].html.slice(0, 160)]))"
        )
        return [f"{rule}, {n} times: {html}" for impact, rule, n, html in found if impact in ("serious", "critical")]

    def screenshot(self, path: Path, *, whole: bool = False) -> Path:
        shot = self.call("Page.captureScreenshot", format="png", captureBeyondViewport=whole)
        path.write_bytes(b64decode(shot["data"]))
        return path

    def pdf(self) -> bytes:
        return b64decode(self.call("Page.printToPDF", printBackground=True)["data"])

    @property
    def console(self) -> list[str]:
        """What was said in the console, uncaught exceptions among it."""
        self.evaluate("0")  # brings what is on its way
        said = []
        for event in self.browser.events:
            if event.get("sessionId") != self.session:
                continue
            if event["method"] == "Runtime.consoleAPICalled":
                said.append(" ".join(str(one.get("value", one)) for one in event["params"]["args"]))
            elif event["method"] == "Runtime.exceptionThrown":
                said.append(str(event["params"]["exceptionDetails"]))
            elif event["method"] == "Log.entryAdded":
                said.append(event["params"]["entry"]["text"])
        return said

    def downloaded(self, folder: Path, press: str) -> Path:
        """The file that comes when the element of this selector is pressed."""
        self.browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(folder), eventsEnabled=True)
        self.evaluate(f"document.querySelector({json.dumps(press)}).click()")
        end = monotonic() + 20
        while monotonic() < end:
            files = [path for path in folder.iterdir() if path.suffix == ".csv"]
            if files:
                return files[0]
            sleep(0.05)
        raise AssertionError(f"nothing was downloaded by {press}")
