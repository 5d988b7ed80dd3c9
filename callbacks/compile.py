"""Compiles what a model computes in training."""

import logging
import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any, Literal

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import nn

from callbacks.technique import Technique
from datamodules.base import DataModule

MOST = 64  # variants of a step: another for each layer that thaws, for each size of a last batch


class Compile(Technique):
    """Compiles a model's training step with torch.compile, which takes minutes once and less time at every step.

    Ansel et al. 2024, https://doi.org/10.1145/3620665.3640366. Weights keep their names, so that a checkpoint neither
    shows nor needs it; the model is tested as it is. Data whose shapes vary is compiled for all shapes at once, and
    not first for one: so a resumed run computes with the same code. Where fsdp shares out the weights, what lies
    between two gatherings is compiled by itself.

    Args:
        mode: of torch.compile: default, reduce-overhead (on a GPU: fewer launches, more memory), or max-autotune (tries
            more, and takes longer to); by default nothing is compiled.
    """

    def __init__(self, mode: Literal["default", "reduce-overhead", "max-autotune"] | None = None) -> None:
        self.mode = mode
        self.dynamic = False
        self._compiled: list[tuple[nn.Module, str]] = []
        self._before = False, False  # whether algorithms had to be deterministic, or to warn

    @property
    def enabled(self) -> bool:
        """With a mode."""
        return self.mode is not None

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """See what has to be installed, and whether shapes vary.

        Raises:
            ValueError: there is no compiler, or there are no headers of Python's.
        """
        compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        if shutil.which(compiler) is None:
            raise ValueError(f"--compile.mode {self.mode}: needs a C++ compiler, and {compiler} is not found")
        header = Path(sysconfig.get_path("include")) / "Python.h"
        if not header.exists():
            raise ValueError(f"--compile.mode {self.mode}: needs Python's headers, and {header} is not found")
        self.dynamic = data.shapes_vary

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compile the step, or a GAN's two networks, for as long as the model is trained."""
        if stage != "fit":
            return
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # says that there is no GPU
        torch.compiler.config.recompile_limit = MOST  # by default 8, and beyond that nothing is compiled
        self._before = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        if trainer.strategy.root_device.type == "cpu":  # threads would add an embedding's gradients in any order
            torch.use_deterministic_algorithms(True, warn_only=True)
        model: Any = pl_module
        self._compiled = model.compile_targets()
        for module, name in self._compiled:
            setattr(module, name, torch.compile(getattr(module, name), mode=self.mode, dynamic=self.dynamic))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the model as it was."""
        if not self._compiled:
            return
        while self._compiled:
            module, name = self._compiled.pop()
            delattr(module, name)
        enabled, warn_only = self._before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
