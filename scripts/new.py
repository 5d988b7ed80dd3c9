"""Write the files of a new model, datamodule or task from templates that work as they are, to be changed step by step.

python scripts/new.py model my_model --task classification       lightning_modules/my_model.py and its recipe
python scripts/new.py model my_model --task regression --data my_data
                                                                 trained on a datamodule of your own
python scripts/new.py data my_data                               datamodules/my_data.py and a file to predict for
python scripts/new.py task my_task                               lightning_modules/tasks/my_task.py and a template of
                                                                 its models, for --task my_task

  --task NAME     what the model is to do: classification, regression, forecasting, image_classification,
                  text_classification, tagging, question_answering, translation, graph_classification or
                  node_classification; or one that `new.py task` has written
  --data MODULE   a module of datamodules/, or MODULE.CLASS where it defines several; by default that of the template

A name is a Python module's, such as my_model; its class is called MyModel. No file that is there is changed.
"""

import sys
from pathlib import Path

if __name__ == "__main__":  # the code of the clone that this file is in, whatever is installed
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cli.command_line.subcommands import run


def main(words: list[str]) -> None:
    """Run the command line."""
    run("new", words)


if __name__ == "__main__":
    main(sys.argv[1:])
