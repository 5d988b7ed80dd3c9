"""Write a trained model to a file that others can read. It must give the model's own predictions, or none is written.

python scripts/export.py --checkpoint lightning_logs/cnn/version_0 --format onnx --output cnn.onnx
python scripts/export.py --checkpoint best.ckpt --format safetensors --format torch --output model
                                                          writes model.safetensors and model.pt2
python scripts/export.py --checkpoint best.ckpt --format onnx --output model.onnx --data my_folder
                                                          compares on other data than it was trained on

  safetensors   the weights, under the names that the model gives them
  onnx          the computation, for onnxruntime and others; needs pip install -e ".[export]"
  torch         the computation, for torch.export.load
  huggingface   of a language model a folder: its weights, settings, tokenizer and chat template, as transformers and
                the tools that serve language models read them

Beside an ONNX file stand model.json, how its inputs are made and what its output becomes, and predict_onnx.py, which
does it with onnxruntime alone. Every file says of itself, as plain strings: recipe, model, settings, classes, inputs,
output, and what the data learned from its training split (scaling, categories, tokenizer). Batches may have any size.
What goes in and what comes out:

  images        pixels (batch, channels, height, width), bytes from 0 to 255; logits of the classes
  tables        features (batch, features) as `learned` scales and encodes them; logits, or target units
  series        window (batch, time steps, columns), as in the file, the target first; the forecast, in its units
  texts         ids (batch, tokens) and lengths (batch); logits
  sentences     ids and lengths of pieces, and first, where each word begins; logits of each word's tags
  questions     ids, lengths, context_start and owner of windows, and first, the position of each token of a context;
                scores of an answer's start and end, those of "no answer" first
  translations  source, lengths, and target, the translation so far; logits of the token after each of its tokens
                (predict_onnx.py searches for a good translation)
  graphs        x and edge_index of several graphs end to end, num_nodes of each, edge_attr if there are any; logits
  nodes         x and edge_index of one graph, both directions; logits of all its nodes
  gan           noise; pixels from 0 to 1
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("export", words)


if __name__ == "__main__":
    main(sys.argv[1:])
