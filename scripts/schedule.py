"""Draw the learning rate over a run's steps, without training.

python scripts/schedule.py --model transformer
python scripts/schedule.py --model cnn --model.schedule cosine --model.warmup 0.1 --trainer.max_epochs 5
python scripts/schedule.py --model gan --model.schedule linear --output linear.png

Takes the options of fit.py, and --output, a PNG file: NAME_schedule.png by default.
"""

import sys

from scripts.cli.command_line.argv import Line
from scripts.cli.command_line.recipes import answer_quickly, resolve
from scripts.cli.errors import one_line_errors


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_quickly(words, __file__):
            return
        line = Line(words)
        output = line.value("--output")
        request = resolve(line.words)
    from scripts.cli.measure.schedule_preview import draw  # imports torch and Lightning

    draw(request, output or f"{request.name}_schedule.png", debug)


if __name__ == "__main__":
    main(sys.argv[1:])
