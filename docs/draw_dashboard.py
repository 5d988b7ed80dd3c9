"""Draw docs/images/dashboard.png: what the dashboards of two runs show, from the events that they wrote.

python docs/draw_dashboard.py
"""

import io
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from callbacks.loggers.tensorboard import MARK
from scripts import fit

PICTURE = Path(__file__).parent / "images" / "dashboard.png"


def events(logs: str, model: str) -> EventAccumulator:
    """What a run of the model writes for TensorBoard."""
    fit.main(["--model", model, "--logs", logs])
    written = EventAccumulator(f"{logs}/{model}/version_0", size_guidance={"images": 0, "scalars": 0, "tensors": 0})
    return written.Reload()


def curves(axes: Axes, run: EventAccumulator, *tags: str) -> None:
    """Metrics over the steps."""
    for tag in tags:
        axes.plot(*zip(*((event.step, event.value) for event in run.Scalars(tag)), strict=True), label=tag)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def image(axes: Axes, run: EventAccumulator, tag: str) -> None:
    """The newest image of a tag."""
    axes.imshow(Image.open(io.BytesIO(run.Images(tag)[-1].encoded_image_string)))
    axes.set_title(tag.removeprefix(MARK))
    axes.axis("off")
    axes.set_anchor("N")


def confusion(axes: Axes, run: EventAccumulator) -> None:
    """The confusion matrix, of which the run writes a table."""
    (table,) = run.Tensors("test/confusion/text_summary")[-1].tensor_proto.string_val
    rows = [line.strip("|").split("|") for line in table.decode().splitlines()]
    names = [cell.strip() for cell in rows[0][1:-2]]
    counts = np.array([row[1:-2] for row in rows[2:-1]], dtype=int)
    axes.imshow(counts, cmap="Blues")
    for row, column in zip(*counts.nonzero(), strict=True):
        colour = "white" if counts[row, column] > counts.max() / 2 else "black"
        axes.text(column, row, counts[row, column], ha="center", va="center", fontsize=7, color=colour)
    axes.set(title="test/confusion", xlabel="predicted", ylabel="true")
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)


def main() -> None:
    """Train, draw, save."""
    with tempfile.TemporaryDirectory() as logs:
        cnn, lstm = events(logs, "cnn"), events(logs, "lstm")
        figure, axes = plt.subplot_mosaic(
            [["loss", "accuracy", "confusion", "forecasts"], ["batch", "batch", "worst", "forecasts"]],
            figsize=(15, 6.4),
            layout="constrained",
            width_ratios=[1, 1, 1.1, 1.4],
        )
        curves(axes["loss"], cnn, "train/loss", "val/loss")
        axes["loss"].set_title("cnn on digits")
        curves(axes["accuracy"], cnn, "val/accuracy", "val/f1")
        confusion(axes["confusion"], cnn)
        image(axes["batch"], cnn, "train/first batch")
        image(axes["worst"], cnn, f"{MARK}test/worst mistakes")
        image(axes["forecasts"], lstm, f"{MARK}test/forecasts")
        axes["forecasts"].set_title("lstm on sunspots: test/forecasts")
        figure.savefig(PICTURE, dpi=75)
    print(f"{PICTURE}: {PICTURE.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
