"""A headless Chromium that tests talk to over a pipe, in the words of its DevTools protocol."""

import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-pipe", "--hide-scrollbars")

_BROKEN = r"""(() => {
  const broken = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    for (const figure of texts.currentNode.data.matchAll(/\d[\d.,]*\s(?:ms|s|min|h|d|%|kB|MB|nats)(?!\w)/g)) {
      const range = document.createRange();
      range.setStart(texts.currentNode, figure.index);
      range.setEnd(texts.currentNode, figure.index + figure[0].length);
      const lines = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
      if (lines.size > 1) broken.push(figure[0]);
    }
  }
  return broken;
})()"""


class Page:
    """One page of a browser."""

    def __init__(self, says: int, hears: int) -> None:
        self._out, self._in = os.fdopen(says, "wb"), os.fdopen(hears, "rb")
        self._numbers = itertools.count(1)
        self._session = ""
        target = self._tell("Target.createTarget", url="about:blank")["targetId"]
        self._session = self._tell("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]

    def open(self, address: str, width: int = 1280, height: int = 1600) -> None:
        """Go there, in a window of that size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._tell("Emulation.setDeviceMetricsOverride", **size)
        self._tell("Page.navigate", url=address)

    def ask(self, expression: str) -> Any:
        """What a JavaScript expression comes to; None where it fails, as before the page is there."""
        answer = self._tell("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        return answer["result"].get("value")

    def wait(self, expression: str, within_s: float = 20.0) -> Any:
        """The same, once it is true."""
        end_s = time.monotonic() + within_s
        while not (found := self.ask(expression)):
            assert time.monotonic() < end_s, f"never true: {expression}; the page says {self.text()[:2000]}"
            time.sleep(0.1)
        return found

    def text(self) -> str:
        """All that a person can read; spaces are spaces, whether a line may end there or not."""
        return str(self.ask("document.body.innerText")).replace("\u00a0", " ")

    def broken_figures(self) -> list[str]:
        """Numbers that stand on another line than their unit."""
        return list(self.ask(_BROKEN))

    def press(self, key: str) -> None:
        """A key."""
        event = f"new KeyboardEvent('keydown', {{key: {json.dumps(key)}, bubbles: true}})"
        self.ask(f"document.body.dispatchEvent({event})")

    def close(self) -> None:
        """End the browser."""
        self._session = ""
        self._tell("Browser.close")
        self._out.close()
        self._in.close()

    def _tell(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self._numbers)
        said: dict[str, Any] = {"id": number, "method": method, "params": parameters}
        if self._session:
            said["sessionId"] = self._session
        self._out.write(json.dumps(said).encode() + b"\0")
        self._out.flush()
        while True:
            heard = json.loads(b"".join(iter(lambda: self._in.read(1), b"\0")))
            if heard.get("id") == number:
                assert "error" not in heard, heard
                result: dict[str, Any] = heard["result"]
                return result


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A new browser, whose profile is in `folder`."""
    hears, says = os.pipe()
    heard, said = os.pipe()
    script = f'exec "$0" "$@" 3<&{hears} 4>&{said}'
    command = ["bash", "-c", script, str(CHROMIUM), *_FLAGS, f"--user-data-dir={folder}"]
    with subprocess.Popen(command, pass_fds=(hears, said), stderr=subprocess.DEVNULL) as process:
        os.close(hears)
        os.close(said)
        page = Page(says, heard)
        try:
            yield page
        finally:
            page.close()
            process.wait(10)
