"""Recipes of which each kind of data has one, for what depends on the kind alone."""

from scripts.cli.command_line.recipes import read_recipe, recipe_names


def one_of_each_kind() -> list[str]:
    """Of every datamodule the recipe that takes least time, by name."""

    def seconds(name: str) -> float:
        first, *_ = read_recipe(name)["about"]["data"].values()
        return float(first["seconds"])

    quickest = {
        read_recipe(name)["data"]["class_path"]: name for name in sorted(recipe_names(), key=seconds, reverse=True)
    }
    return sorted(quickest.values())
