"""Predict with an exported model: python predict_onnx.py INPUT > predictions.jsonl. model.json says what it reads."""

import json
import sys
from pathlib import Path

import onnxruntime

from scripts.cli.export.standalone.classes import answers
from scripts.cli.export.standalone.tables import examples


def main() -> None:
    """Print a line of JSON for each example of the input."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    if not Path(sys.argv[1]).exists():
        sys.exit(f"error: {sys.argv[1]}: there is no such file or folder")
    model = json.loads(Path(__file__).with_name("model.json").read_text(encoding="utf-8"))
    session = onnxruntime.InferenceSession(Path(__file__).with_name(model["file"]).read_bytes())
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    try:
        for names, tensors, read in examples(Path(sys.argv[1]), model["preprocessing"]):
            rows = answers(lambda given: session.run(None, given)[0], tensors, read, model["output"])
            for name, row in zip(names, rows, strict=True):
                print(json.dumps({"input": str(name), **row}, ensure_ascii=False))
    except (OSError, UnicodeError, json.JSONDecodeError, KeyError) as error:
        sys.exit(f"error: {sys.argv[1]}: {type(error).__name__}: {error}")


if __name__ == "__main__":
    main()
