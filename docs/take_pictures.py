"""Take the pictures of the README and of the course: runs are trained, and a browser opens TensorBoard on them.

python docs/take_pictures.py                  all of them, in a quarter of an hour
python docs/take_pictures.py course/mlp       some of them, after those whose runs they start from

Needs `pip install -e ".[dev]"` and Chromium, where $CHROMIUM says or `chromium` is found. What a picture shows is a
row below; where tags of the dashboard change, the rows do.
"""

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from PIL import Image
from rich.console import Console
from rich.text import Text

from scripts.cli.command_line.course import course, earlier
from scripts.cli.command_line.recipes import ROOT

PICTURES = ROOT / "docs" / "pictures"
LARGEST = 150_000  # bytes
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
CARDS = {"timeseries": "card-view", "images": "tf-image-loader"}
IMAGES = {"width": 1800, "height": 1400}  # pixels of the window in which a picture has its own size
COLUMNS = 100  # of the terminal
WINDOW = 760  # pixels in height
MARGIN = 8  # pixels above the cards, into which the name of a run reaches


class Shot(NamedTuple):
    """What a picture shows of a run.

    Args:
        tags: a regular expression of tags, as TensorBoard's filter takes it; none for the whole window.
        tab: of TensorBoard; `report` is the run's own report, `terminal` what it printed.
        cards: number of them, from the first.
        width: of the window, in pixels; a card of `images` is as wide as its picture.
        height: of the window without cards, of a report, and what cards are cut to, in pixels.
    """

    tags: str = ""
    tab: str = "timeseries"
    cards: int = 1
    width: int = 800
    height: int = 420


CURVES = Shot("^(train/loss|val/accuracy)$", cards=2, width=1100)
MISTAKES = Shot("test/worst mistakes$", "images")
FORECASTS = Shot("test/forecasts$", "images")
MATRIX = Shot("test/confusion matrix$", "images")
FIRST = Shot("first batch$", "images")
RATES = "optimizer/learning_rate"
README = {  # name: command and shot
    "terminal": ("python scripts/fit.py --model gat", Shot(tab="terminal")),
    "dashboard": ("python scripts/fit.py --model cnn", Shot(width=1400, height=1150, cards=0)),
    "report": ("python scripts/fit.py --model cnn", Shot(tab="report", width=1000, height=1000)),
}
COURSE = {
    "linear-regression": Shot("^(train/loss|val/rmse)$", cards=2),
    "mlp": CURVES,
    "cnn": MISTAKES,
    "rnn": FORECASTS,
    "lstm": FORECASTS,
    "attention": MISTAKES,
    "gan": Shot("test/generated over time$", "images"),
    "seq2seq": Shot("test/attention$", "images"),
    "transformer": CURVES,
    "bert-classification": MISTAKES,
    "bert-entities": MISTAKES,
    "bert-questions": MISTAKES,
    "gcn": Shot("test/graphs$", "images"),
    "gat-nodes": MATRIX,
    "gat-graphs": Shot("test/graphs$", "images"),
    "resnet": CURVES,
    "inception": CURVES,
    "efficientnet": MISTAKES,
    "capsnet": Shot("test/reconstructions$", "images"),
    "pretrained": CURVES,
    "freezing": Shot(f"{RATES}.*$", cards=2, width=1100),
    "lora": CURVES,
    "llm": Shot("^(train/loss|val/bits_per_byte)$", cards=2, width=1100),
    "llm-chat": FIRST,
    "llm-preference": FIRST,
    "imbalance": MATRIX,
    "schedules": Shot(f"{RATES}$"),
    "augmentation": FIRST,
    "resuming": CURVES,
}


def train(command: str, place: Path, logs: Path) -> tuple[Path, bytes]:
    """Run a command of fit.py with a terminal; its run's folder, and what it printed.

    Args:
        command: as on the page.
        place: the working folder, in which examples/ and lightning_logs/ are.
        logs: where the runs go.
    """
    import pty  # Windows has none

    words = [sys.executable, str(ROOT / "scripts" / "fit.py"), *shlex.split(command)[2:]]
    if "--resume" not in words:
        words += ["--logs", str(logs)]
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
    with subprocess.Popen(words, cwd=place, env=environment, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        printed = b""
        while True:
            try:
                read = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not read:
                break
            printed += read
    os.close(ours)
    if process.returncode:
        raise SystemExit(f"{command}\n{printed.decode()}")
    newest = max(logs.glob("*/version_*/results.json"), key=lambda file: file.stat().st_mtime)
    return newest.parent, printed


def screen(printed: str) -> str:
    """What is left on a terminal's screen: lines that were written over are gone."""
    lines = [""]
    for part in re.split(r"(\r\n|\n|\r|\x1b\[\d*[A-LP-Zf]|\x1b\[\?\d+[hl])", printed):
        if part in ("\r\n", "\n"):
            lines.append("")
        elif part == "\r" or part.endswith("K"):
            lines[-1] = ""
        elif re.fullmatch(r"\x1b\[\d*A", part):
            for _ in range(int(part[2:-1] or 1)):
                lines[-1:] = [] if len(lines) > 1 else [""]
            lines[-1] = ""
        elif not re.fullmatch(r"\x1b\[.*[A-LP-Zhlf]", part):
            lines[-1] += part
    return "\n".join(lines).strip("\n")


def draw_terminal(command: str, printed: bytes, file: Path) -> None:
    """A vector picture of a terminal with a command and what it printed."""
    console = Console(record=True, width=COLUMNS, file=open(os.devnull, "w"), force_terminal=True)  # noqa: SIM115
    console.print(f"$ {command}", style="bold")
    console.print(Text.from_ansi(screen(printed.decode().replace(str(ROOT) + "/", ""))))
    drawn = console.export_svg(title="")
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)  # fonts would be loaded from elsewhere
    file.write_text(drawn, encoding="utf-8")


@contextmanager
def tensorboard(run: Path, name: str) -> Iterator[str]:
    """TensorBoard on one run, shown under a name; gives its address."""
    with tempfile.TemporaryDirectory() as logs:
        for events in run.rglob("events.out.tfevents.*"):
            copy = Path(logs) / name / events.relative_to(run)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(events, copy)
        program = str(Path(sys.executable).with_name("tensorboard"))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        words = [program, "--logdir", logs, "--port", str(port)]
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            address = f"http://127.0.0.1:{port}"
            try:
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    try:
                        with urllib.request.urlopen(f"{address}/data/runs", timeout=2) as answer:
                            if name in answer.read().decode():
                                break
                    except OSError:
                        pass
                    time.sleep(0.2)
                yield address
            finally:
                server.terminate()


def photograph(tab: Any, address: str, shot: Shot) -> bytes | None:
    """A PNG of what a shot shows; None where there is no such card."""
    if shot.tab == "images":
        tab.set_viewport_size(IMAGES)
        tab.goto(f"{address}/#images&tagFilter={shot.tags}")
    else:
        tab.goto(f"{address}/?tagFilter={shot.tags}&smoothing=0#timeseries")
    cards = tab.locator(CARDS[shot.tab])
    try:
        cards.first.wait_for(timeout=20_000)
    except Exception:  # whatever the browser reports
        return None
    settings = tab.get_by_role("button", name="close side pane")
    if settings.count():
        settings.click()
    tab.wait_for_timeout(2500)  # curves are drawn, images loaded
    if not shot.cards:
        return tab.screenshot()
    if shot.tab == "images":
        image = cards.first.locator("img")
        image.click()  # its own size
        tab.wait_for_timeout(500)
        card, drawn = cards.first.bounding_box(), image.bounding_box()
        width = drawn["x"] + drawn["width"] - card["x"] + MARGIN
        height = drawn["y"] + drawn["height"] - card["y"] + MARGIN
        clip = {"x": card["x"] - MARGIN, "y": card["y"] - MARGIN, "width": width + MARGIN, "height": height + MARGIN}
        return tab.screenshot(clip=clip, full_page=True)
    boxes = [box for box in (cards.nth(index).bounding_box() for index in range(shot.cards)) if box]
    left, top = min(box["x"] for box in boxes), min(box["y"] for box in boxes) - MARGIN
    right = max(box["x"] + box["width"] for box in boxes)
    bottom = min(max(box["y"] + box["height"] for box in boxes), top + shot.height)
    return tab.screenshot(clip={"x": left, "y": top, "width": right - left, "height": bottom - top}, full_page=True)


def taken(browser: Any, run: Path, shot: Shot) -> bytes | None:
    """A PNG of what a shot shows of a run's report or in TensorBoard; None where there is no such card."""
    tab = browser.new_page(viewport={"width": shot.width, "height": WINDOW})
    try:
        if shot.tab == "report" or not shot.cards:
            tab.set_viewport_size({"width": shot.width, "height": shot.height})
        if shot.tab == "report":
            tab.goto((run / "report.html").as_uri())
            place = run.parents[2]  # of no interest to a reader
            tab.evaluate(
                "place => { document.body.innerHTML = document.body.innerHTML.replaceAll(place, '') }", f"{place}/"
            )
            return tab.screenshot()
        with tensorboard(run, run.parent.name) as address:
            return photograph(tab, address, shot)
    finally:
        tab.close()


def save(png: bytes, file: Path) -> None:
    """The picture in as many of 256 colours as fit into the largest size."""
    picture = Image.open(BytesIO(png)).convert("RGB")
    for colours in (256, 128, 64, 32):
        file.parent.mkdir(parents=True, exist_ok=True)
        picture.quantize(colours, dither=Image.Dither.NONE).save(file, optimize=True)
        if file.stat().st_size < LARGEST:
            break
    print(f"{file.relative_to(ROOT)}: {file.stat().st_size / 1000:.0f} kB")


def main(wanted: list[str]) -> None:
    """Train and take the pictures: all, or those of the names given."""
    from playwright.sync_api import sync_playwright

    pages = {page.name: page for page in course()}
    rows = README | {f"course/{name}": (pages[name].command, shot) for name, shot in COURSE.items()}
    if unknown := [name for name in wanted if name not in rows]:
        raise SystemExit(f"{unknown[0]}: no such picture; expected some of {', '.join(rows)}")
    wanted = wanted or [*rows]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = Path(folder)
        shutil.copytree(ROOT / "examples", place / "examples")
        program = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        shown = [pages[name.removeprefix("course/")] for name in wanted if name not in README]
        runs = {  # those that others start from come first: they are the version_0 of their model
            command: train(command, place, place / "lightning_logs")
            for command in dict.fromkeys(before.command for page in shown for before in earlier(page))
        }
        for name in wanted:
            command, shot = rows[name]
            if command not in runs:
                runs[command] = train(command, place, place / "lightning_logs")
            run, printed = runs[command]
            file = PICTURES / f"{name}.png"
            if shot.tab == "terminal":
                draw_terminal(command, printed, file.with_suffix(".svg"))
                continue
            png = taken(browser, run, shot)
            if png is None:
                print(f"{name}: this run shows nothing of {shot.tags}")
            else:
                save(png, file)


if __name__ == "__main__":
    main(sys.argv[1:])
