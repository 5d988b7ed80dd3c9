"""Predict with a trained model, from its checkpoint alone; rows come in the order of the input.

python scripts/predict.py --checkpoint lightning_logs/cnn/version_0 --input photos/ --output predictions.csv
python scripts/predict.py --checkpoint best.ckpt --input rows.csv --output predictions.jsonl
python scripts/predict.py --checkpoint best.ckpt --input rows.csv             prints CSV
python scripts/predict.py --checkpoint one.ckpt --checkpoint other.ckpt --input rows.csv
                                                 several as one, see test.py
python scripts/predict.py --checkpoint lightning_logs/gan/version_0 --input seeds.txt --output drawn.csv
                                                 draws an image for each number in the file, into the folder drawn/
"""

import sys

from scripts.cli.command_line.argv import Line, answer_help
from scripts.cli.command_line.recipes import WHICH_MODEL
from scripts.cli.errors import UsageError, one_line_errors


def main(words: list[str]) -> None:
    """Run the command line."""
    debug = "--debug" in words
    with one_line_errors(debug):
        if answer_help(words, __file__):
            return
        line = Line(words)
        checkpoints, average = [*line.values("--checkpoint")], line.value("--average")
        if not checkpoints:
            raise UsageError(WHICH_MODEL)
        source, output = (
            line.needed("--input", "predict what? Give --input, a file or a folder"),
            line.value("--output"),
        )
    from scripts.cli.evaluate.prediction import predict  # imports torch and Lightning

    predict(checkpoints, average, source, output, line.words, debug)


if __name__ == "__main__":
    main(sys.argv[1:])
