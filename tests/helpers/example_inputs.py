"""Files to predict for: tests/inputs/<class of the datamodule>/<data set>, a file or a folder, whoever the model is."""

from pathlib import Path

from scripts.cli.command_line.recipes import ROOT, read_recipe

INPUTS = ROOT / "tests" / "inputs"


def example_input(name: str) -> Path:
    """The input for a recipe's data set; without one the test is skipped, and says which file it needs.

    Args:
        name: of the recipe.
    """
    data = read_recipe(name)["data"]
    place = INPUTS / data["class_path"].rpartition(".")[2] / data["init_args"]["dataset"]
    found = next((path for path in sorted(place.parent.glob("*")) if path.stem == place.name), None)
    if found is None:
        import pytest  # which .ci/gpu does without

        pytest.skip(f"no example to predict for: add the file or folder {place.relative_to(ROOT)}")
    return found
