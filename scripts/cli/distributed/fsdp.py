"""Fully sharded data parallelism: each process keeps a shard of weights, gradients and optimizer states."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim import Optimizer

from callbacks.private.torch import is_view
from callbacks.run.checkpoint_file import AtomicCheckpointIO, read_checkpoint
from callbacks.run.processes import load_weights, shard_like
from lightning_modules.layers.later_weights import HasLaterWeights, make_weights
from lightning_modules.layers.sequence import blocks


def shard_model(model: nn.Module, device: torch.device) -> None:
    """Shard every weight; those of a block are gathered when it computes, and freed afterwards.

    Weights outside the blocks are gathered when the model is called.
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        if not tensor.is_meta:
            there = tensor.detach().to(device)
            distributed.broadcast(there, src=0)  # as DDP does: all start from the first one's weights
            tensor.detach().copy_(there)
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for module in [*blocks(model), model]:
        module.register_forward_hook(_without_views)
        fully_shard(module, mesh=mesh)
    if isinstance(model, HasLaterWeights):
        make_weights(model, shard_like)


def _without_views(module: nn.Module, args: Any, output: Any) -> Any:
    """A module's output with views cloned: modified in place, a view would no longer be gathered for its gradient."""
    return apply_to_collection(output, Tensor, lambda tensor: tensor.clone() if is_view(tensor) else tensor)


class FSDPStrategy(DDPStrategy):
    """Fully sharded data parallelism: DDP's launch and gradients with a fraction of the memory.

    Zhao et al. 2023, https://arxiv.org/abs/2304.11277, as torch's `fully_shard` does it, on GPUs and CPUs. (Lightning's
    own strategy of that name knows only GPUs, the older interface of torch, and no clipping by norm.) Weights are kept
    and communicated in 32 bits, and are multiplied in the trainer's precision, as under DDP. A checkpoint is one file,
    the same as under DDP: any strategy reads it.

    In an evaluation every process has all weights, though no gradients: processes decode sentences of different
    lengths, and could not gather weights at the same time.
    """

    def setup(self, trainer: Trainer) -> None:
        """Shard the model, once, and build its optimizer on the shards."""
        assert self.accelerator is not None
        assert self.model is not None
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(self.model)
        if not isinstance(self.model, FSDPModule):
            shard_model(self.model, self.root_device)
        self.model_to_device()
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def configure_ddp(self) -> None:
        """Wrap nothing: fully_shard has replaced the wrapper."""

    def _gather_all(self, gather: bool) -> None:
        assert self.model is not None
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                # weights outside the blocks stay until the gradients: a language model's head is used after the call
                module.set_reshard_after_forward(not gather and module is not self.model, recurse=False)
                if gather:
                    module.unshard()
                else:
                    module.reshard()

    def on_validation_start(self) -> None:
        """Gather all weights."""
        self._gather_all(True)

    def on_validation_end(self) -> None:
        """Shard the weights again."""
        self._gather_all(False)

    on_test_start, on_test_end = on_validation_start, on_validation_end

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """This process's shards."""
        return optimizer.state_dict()

    def save_checkpoint(self, checkpoint: dict[str, Any], filepath: Any, storage_options: Any = None) -> None:
        """Write shards of all processes into one file; a collective operation."""
        assert isinstance(self.checkpoint_io, AtomicCheckpointIO)
        self.checkpoint_io.save_shards(checkpoint, filepath, self.is_global_zero)

    def load_checkpoint(self, checkpoint_path: Any, weights_only: bool | None = None) -> dict[str, Any]:
        """A checkpoint's content, which is read where a shard is taken of it."""
        return read_checkpoint(Path(os.fspath(checkpoint_path)), mapped=True)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Load this process's shards, or all weights if the model is not sharded yet."""
        assert self.lightning_module is not None
        load_weights(self.lightning_module, checkpoint["state_dict"], strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Load this process's shards."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            shards = {
                index: {name: _shard(value, weights[index]) for name, value in values.items()}
                for index, values in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": shards})

    def teardown(self) -> None:
        """Leave the shards where they are; Lightning would move them to the CPU."""
        for owned in (self.cluster_environment, self.precision_plugin, self.accelerator):
            assert owned is not None
            owned.teardown()


def _shard(value: Any, weight: Tensor) -> Any:
    """This process's shard of an optimizer state of a weight's shape; other states, such as step counts, unchanged."""
    if not isinstance(value, Tensor):
        return value
    return shard_like(value, weight) if value.shape == weight.shape else value.clone()  # it is in a checkpoint's file
