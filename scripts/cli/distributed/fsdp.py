"""Several processes that each keep a part of the weights, the gradients and the optimizer's state."""

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
from callbacks.run.processes import part, whole
from lightning_modules.layers.sequence import blocks


def shared_out(model: nn.Module, device: torch.device) -> None:
    """Leave each process its part of every weight; a block's are gathered when it computes, and freed after it.

    What stands outside of the blocks is gathered when the model is called.
    """
    for tensor in [*model.parameters(), *model.buffers()]:
        distributed.broadcast(tensor.detach(), src=0)  # as DDP does: all begin with the first one's weights
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    for module in [*blocks(model), model]:
        module.register_forward_hook(_without_views)
        fully_shard(module, mesh=mesh)


def _without_views(module: nn.Module, args: Any, output: Any) -> Any:
    """What a module gives as tensors of their own: changed in place, a view would no longer gather for its gradient."""
    return apply_to_collection(output, Tensor, lambda tensor: tensor.clone() if is_view(tensor) else tensor)


class FSDPStrategy(DDPStrategy):
    """Fully sharded data parallelism: DDP's launch and gradients with a part of the memory.

    Zhao et al. 2023, https://arxiv.org/abs/2304.11277, as torch's `fully_shard` does it, on GPUs and CPUs. (Lightning's
    own strategy of that name knows only GPUs, the older interface of torch, and no clipping by norm.) Weights are kept,
    and travel, in 32 bits, and are multiplied in the trainer's precision, as under DDP. A checkpoint is one file, the
    same as under DDP: any strategy reads it.

    In an evaluation every process holds all weights, though no gradients: processes decode sentences of different
    lengths, and could not gather weights together.
    """

    def setup(self, trainer: Trainer) -> None:
        """Share out the model, once, and build its optimizer on the parts."""
        assert self.accelerator is not None
        assert self.model is not None
        self.accelerator.setup(trainer)
        self.precision_plugin.convert_module(self.model)
        self.model_to_device()
        if not isinstance(self.model, FSDPModule):
            shared_out(self.model, self.root_device)
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def configure_ddp(self) -> None:
        """Wrap nothing, also where other weights are trained from now on: what is gathered follows its parts."""

    def _hold_all(self, whole: bool) -> None:
        assert self.model is not None
        for module in self.model.modules():
            if isinstance(module, FSDPModule):
                module.set_reshard_after_forward(not whole, recurse=False)
                if whole:
                    module.unshard()
                else:
                    module.reshard()

    def on_validation_start(self) -> None:
        """Gather all weights."""
        self._hold_all(True)

    def on_validation_end(self) -> None:
        """Keep a part again."""
        self._hold_all(False)

    on_test_start, on_test_end = on_validation_start, on_validation_end

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """All weights, in the first process; every process has to ask."""
        assert self.lightning_module is not None
        return whole(self.lightning_module.state_dict(), self.global_rank)

    def optimizer_state(self, optimizer: Optimizer) -> dict[str, Any]:
        """The whole state, in the first process; every process has to ask."""
        return whole(optimizer.state_dict(), self.global_rank)

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this process's part, if the model is shared out by now."""
        assert self.lightning_module is not None
        options = StateDictOptions(full_state_dict=True, strict=strict)
        set_model_state_dict(self.lightning_module, checkpoint["state_dict"], options=options)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's part."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            weights = [weight for group in optimizer.param_groups for weight in group["params"]]
            parts = {
                number: {name: _part(value, weights[number]) for name, value in values.items()}
                for number, values in state["state"].items()
            }
            optimizer.load_state_dict({**state, "state": parts})

    def teardown(self) -> None:
        """Leave the parts where they are; Lightning would have them moved to the CPU."""
        for owned in (self.cluster_environment, self.precision_plugin, self.accelerator):
            assert owned is not None
            owned.teardown()


def _part(value: Any, weight: Tensor) -> Any:
    """This process's part of what an optimizer keeps for each number of a weight; its counts as they are."""
    return part(value, weight) if isinstance(value, Tensor) and value.shape == weight.shape else value
