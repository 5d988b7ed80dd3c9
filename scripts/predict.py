"""Predict with a trained model, from its checkpoint alone; rows come in the order of the input.

python scripts/predict.py --checkpoint lightning_logs/cnn/version_0 --input photos/ --output predictions.csv
python scripts/predict.py --checkpoint best.ckpt --input rows.csv --output predictions.jsonl
python scripts/predict.py --checkpoint best.ckpt --input rows.csv             prints CSV
python scripts/predict.py --checkpoint best.ckpt --input june.csv july.csv    several, each row with its file's name
python scripts/predict.py --checkpoint lightning_logs/attention_rnn/version_0 --example "The room was lovely."
python scripts/predict.py --checkpoint lightning_logs/mlp/version_0 --example "5.1, 3.5, 1.4, 0.2"
python scripts/predict.py --checkpoint best.ckpt --input - < rows.csv         reads the standard input
python scripts/predict.py --checkpoint one.ckpt --checkpoint other.ckpt --input rows.csv
                                                 several as one: the mean of their predictions, or with
                                                 `--average weights` those of one network of their mean weights
python scripts/predict.py --checkpoint lightning_logs/gan/version_0 --input seeds.txt --output drawn.csv
                                                 generates an image for each seed in the file, into the folder drawn/
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("predict", words)


if __name__ == "__main__":
    main(sys.argv[1:])
