"""Fully sharded data parallelism: each process keeps a shard of weights, gradients and optimizer states."""

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.trainer.states import TrainerFn
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.optim import Optimizer

from callbacks.private.torch import is_view
from callbacks.run.processes import gather_full, shard_like
from lightning_modules.layers.sequence import blocks


def shard_model(model: nn.Module, device: torch.device) -> None:
    """Shard every weight; those of a block are gathered when it computes, and freed afterwards.

    Weights outside the blocks are gathered when the model is called.
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        distributed.broadcast(tensor.detach(), src=0)  # as DDP does: all start from the first one's weights
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for module in [*blocks(model), model]:
        module.register_forward_hook(_without_views)
        fully_shard(module, mesh=mesh)


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
        self.model_to_device()
        if not isinstance(self.model, FSDPModule):
            shard_model(self.model, self.root_device)
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

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """All weights, in the first process; a collective operation."""
        assert self.lightning_module is not None
        return gather_full(self.lightning_module.state_dict(), self.global_rank)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The full state, in the first process; a collective operation."""
        return gather_full(optimizer.state_dict(), self.global_rank)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Load this process's shards, if the model is sharded by now."""
        assert self.lightning_module is not None
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(self.lightning_module, checkpoint["state_dict"], options=options)

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
    return shard_like(value, weight) if isinstance(value, Tensor) and value.shape == weight.shape else value
