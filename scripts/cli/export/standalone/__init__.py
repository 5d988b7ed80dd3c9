"""Scripts that predict with an exported model, and need neither torch nor this project.

A script consists of `main` and of the modules that read its inputs and its output; see `scripts.cli.export.script`.
"""
