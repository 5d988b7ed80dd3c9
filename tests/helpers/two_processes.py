"""Runs every recipe and technique on two processes, at once and in pieces; torchrun starts it for .ci/gpu."""

import json
import sys
import traceback
from pathlib import Path

from torch import distributed

from scripts.cli.command_line.recipes import recipe_names
from tests.helpers.stopping import TECHNIQUES, TWICE, compare, data_of, in_pieces


def main(folder: Path, words: list[str]) -> None:
    """Write what differs, for each recipe or technique that the words name, or else for all; options may follow."""
    options = next((place for place, word in enumerate(words) if word.startswith("--")), len(words))
    names, given = words[:options], words[options:]
    found: dict[str, list[str]] = {}
    for name in names or [*recipe_names(), *TECHNIQUES]:
        try:
            recipe, more = TECHNIQUES.get(name, (name, []))
            further, stops = [*more, *TWICE] if more else [], [3] if more else [2, 4]
            if data_of(recipe) == "datamodules.nodes.Nodes":  # of whose four labelled nodes each process takes one
                further, stops = ["--data.batch_size", "2"], [1, 2]
            whole, pieces = in_pieces(recipe, folder / name, stops, [*further, *given])
            distributed.barrier()  # the first process writes; the other reads
            found[name] = compare(whole, pieces)
        except AssertionError:
            found[name] = [traceback.format_exc()]
    if distributed.get_rank() == 0:
        (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
