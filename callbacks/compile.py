"""Compiles the training step."""

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

from callbacks.private.torch import compiler_cache
from callbacks.technique import Technique
from datamodules.base import DataModule

RECOMPILE_LIMIT = 64  # one for each layer that is unfrozen, for each size of a last batch


class Compile(Technique):
    """Compiles a model's training step with torch.compile, which takes minutes once and saves time at every step.

    Ansel et al. 2024, https://doi.org/10.1145/3620665.3640366. Weights keep their names, so that a checkpoint does not
    depend on it; the model is tested without it. Data whose shapes vary is compiled for dynamic shapes at once, not
    first for static ones: so a resumed run executes the same code. Where fsdp shards the weights, what is between two
    all-gathers is compiled separately.

    Args:
        mode: of torch.compile: default, reduce-overhead (on a GPU: fewer launches, more memory), or max-autotune (a
            longer search); by default nothing is compiled.
    """

    def __init__(self, mode: Literal["default", "reduce-overhead", "max-autotune"] | None = None) -> None:
        self.mode = mode
        self.dynamic = False
        self._compiled: list[tuple[nn.Module, str]] = []
        self._before = False, False  # deterministic algorithms: enabled, warnings only

    @property
    def enabled(self) -> bool:
        """If a mode is set."""
        return self.mode is not None

    def prepare(self, model: LightningModule, data: DataModule) -> None:
        """Check for a compiler, headers and a folder, and whether shapes vary.

        Raises:
            ValueError: there is no C++ compiler, no folder for its output, or Python's headers are missing.
        """
        compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")
        if shutil.which(compiler) is None:
            raise ValueError(f"--compile.mode {self.mode}: needs a C++ compiler, and {compiler} is not found")
        header = Path(sysconfig.get_path("include")) / "Python.h"
        if not header.exists():
            raise ValueError(f"--compile.mode {self.mode}: needs Python's headers, and {header} is not found")
        try:
            denied = "" if os.access(folder := compiler_cache(), os.W_OK) else f"{folder} may not be written"
        except OSError as error:
            denied = f"{error.filename}: {error.strerror}"
        if denied:
            raise ValueError(
                f"--compile.mode {self.mode}: needs a folder for what it compiles, and {denied}; set "
                f"$TORCHINDUCTOR_CACHE_DIR to one of your own"
            )
        self.dynamic = data.shapes_vary

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Compile the step, or a GAN's two networks, for as long as the model is trained."""
        if stage != "fit":
            return
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # warns that there is no GPU
        torch.compiler.config.recompile_limit = RECOMPILE_LIMIT  # by default 8; beyond it, nothing is compiled
        self._before = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        if trainer.strategy.root_device.type == "cpu":  # else threads add an embedding's gradients in any order
            torch.use_deterministic_algorithms(True, warn_only=True)
        model: Any = pl_module
        self._compiled = model.compile_targets()
        options = dict(torch._inductor.list_mode_options(self.mode, self.dynamic))
        if self.dynamic:  # it is not for dynamic shapes, and in torch 2.11 fails for a Transformer's on a GPU
            options["triton.coalesce_tiling_analysis"] = False
        for module, name in self._compiled:
            setattr(module, name, torch.compile(getattr(module, name), options=options, dynamic=self.dynamic))

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Restore the model."""
        if not self._compiled:
            return
        while self._compiled:
            module, name = self._compiled.pop()
            delattr(module, name)
        enabled, warn_only = self._before
        torch.use_deterministic_algorithms(enabled, warn_only=warn_only)
