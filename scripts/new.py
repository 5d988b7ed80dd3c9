"""Write the files of a new model, datamodule or task from templates that work as they are, to be changed step by step.

python scripts/new.py model my_model --task classification       lightning_modules/my_model.py and its recipe
python scripts/new.py model my_model --task regression --data my_data
                                                                 trained on a datamodule of your own
python scripts/new.py data my_data                               datamodules/my_data.py and a file to predict for
python scripts/new.py task my_task                               lightning_modules/tasks/my_task.py and a template of
                                                                 its models, for --task my_task

  --task NAME     what the model is to do: one of scripts/templates/models/
  --data MODULE   a module of datamodules/, or MODULE.CLASS where it defines several; by default that of the template

A name is a Python module's, such as my_model; its class is called MyModel. No file that is there is changed.
"""

import sys

from scripts.cli.command_line.argv import Line, answer_help
from scripts.cli.errors import UsageError, one_line_errors
from scripts.cli.new import WRITERS, new_model


def main(words: list[str]) -> None:
    """Run the command line."""
    with one_line_errors("--debug" in words):
        if answer_help(words, __file__):
            return
        line = Line([word for word in words if word != "--debug"])
        task, data = line.value("--task"), line.value("--data")
        if len(line.words) != 2 or line.words[0] not in ("model", *WRITERS):
            raise UsageError(f"expected model, {' or '.join(WRITERS)} and a name, got {' '.join(line.words) or 'none'}")
        what, name = line.words
        if what == "model":
            print(new_model(name, task, data))
        elif task or data:
            raise UsageError(f"--task and --data belong to a new model, not to a new {what}")
        else:
            print(WRITERS[what](name))


if __name__ == "__main__":
    main(sys.argv[1:])
