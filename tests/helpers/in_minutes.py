"""Scores that take minutes are tried where they are asked for, by SCORES=all."""

import os

import pytest

ALL = bool(os.environ.get("SCORES"))
IN_MINUTES = pytest.mark.skipif(not ALL, reason="takes minutes: SCORES=all pytest -m long tries it")
