"""Pages as a person sees them: TensorBoard, or a file, in a real browser."""

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SWITCHES = ("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking")
SIZE = {"width": 1500, "height": 1100}
SECONDS = 60  # for anything on a page to appear: the machine may be busy


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """A headless Chromium, by way of Playwright; where either is missing, the test is skipped."""
    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install playwright"
    )
    program = os.environ.get("BROWSER_PROGRAM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser here: none of {', '.join(BROWSERS)} is found, and BROWSER_PROGRAM names none")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=program, args=[*SWITCHES])
        yield chromium
        chromium.close()


def in_a_line(text: str) -> str:
    """The text without line breaks, and without space at its ends."""
    return re.sub(r"\s*\n\s*", "", text.strip())


class Window:
    """A page, and the errors that its console and its requests have.

    Args:
        page: of Playwright.
        pictures: the folder for pictures of it.
    """

    def __init__(self, page: Any, pictures: Path) -> None:
        self.page = page
        self.pictures = pictures
        self.errors: list[str] = []
        page.set_default_timeout(1000 * SECONDS)
        page.on("console", lambda message: self._note(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self._note(str(error)))
        page.on(
            "response", lambda answer: self._note(f"{answer.status} {answer.url}") if answer.status >= 400 else None
        )

    def _note(self, error: str) -> None:
        self.errors.append(error)

    def open(self, address: str) -> None:
        """Load an address anew, also where it differs from the present one in its fragment alone."""
        self.page.goto("about:blank")
        self.page.goto(address)

    def texts(self, selector: str, at_least: int = 1) -> list[str]:
        """The texts of the elements that have one, in their order and in a line each, as soon as there are so many."""
        until = time.monotonic() + SECONDS
        while True:
            found = [*filter(None, map(in_a_line, self.page.locator(selector).all_inner_texts()))]
            if len(found) >= at_least:
                return found
            assert time.monotonic() < until, f"{selector}: expected {at_least}, found {found}"
            self.page.wait_for_timeout(100)

    def picture(self, name: str) -> None:
        """Keep a picture of what is seen."""
        self.page.screenshot(path=self.pictures / f"{name}.png")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for pictures of the pages: that which BROWSER_PICTURES names, or a temporary one."""
    folder = Path(os.environ.get("BROWSER_PICTURES") or tmp_path_factory.mktemp("pictures"))
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def window(browser: Any, pictures: Path) -> Iterator[Window]:
    """A page of its own, which is without errors at the end."""
    page = browser.new_page(viewport=SIZE)
    found = Window(page, pictures)
    yield found
    page.close()
    assert found.errors == []


@pytest.fixture(scope="session")
def dashboard(browser: Any) -> Iterator[Callable[[Path], str]]:
    """Starts TensorBoard on a folder of runs, and gives its address; after the tests it is ended."""
    with ExitStack() as servers:

        def start(logs: Path) -> str:
            words = ["--logdir", str(logs), "--port", "0"]
            server = servers.enter_context(
                subprocess.Popen(
                    [sys.executable, "-m", "tensorboard.main", *words],
                    stderr=subprocess.PIPE,
                    encoding="utf-8",
                    errors="replace",
                )
            )
            servers.callback(server.terminate)
            assert server.stderr is not None
            printed = []
            for line in server.stderr:
                printed.append(line)
                if address := re.search(r"at (http://\S+)", line):
                    return address[1]  # after which it prints next to nothing
            raise AssertionError(f"TensorBoard has not started: {''.join(printed)}")

        yield start
