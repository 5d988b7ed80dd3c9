"""One process of two, whose batch norms share their statistics; test_processes.py starts it."""

import json
from pathlib import Path

import torch
from torch import Tensor, distributed
from torch.nn import functional as F
from torchvision.models import resnet18

from scripts.cli.distributed.sync_batchnorm import SyncBatchNorms

SIZE, STEPS = 15, 3  # examples, of which one process has one more


def trained(images: Tensor, target: Tensor, shared: bool) -> dict[str, Tensor]:
    """A ResNet's state after a few steps on a batch, of which, if it is shared, this process has a part."""
    torch.manual_seed(0)
    model = resnet18(num_classes=10).double()
    if shared:
        SyncBatchNorms().apply(model)
    rank, processes = (distributed.get_rank(), distributed.get_world_size()) if shared else (0, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    for _ in range(STEPS):
        optimizer.zero_grad()
        part = F.cross_entropy(model(images[rank::processes]), target[rank::processes], reduction="sum") / SIZE
        part.backward()
        for parameter in model.parameters() if shared else ():
            distributed.all_reduce(parameter.grad)
        optimizer.step()
    return model.state_dict()


def main(file: Path) -> None:
    """Write the greatest relative difference between the state of one process and that of two."""
    distributed.init_process_group("gloo")
    torch.manual_seed(1)
    images, target = torch.randn(SIZE, 3, 32, 32, dtype=torch.double), torch.arange(SIZE) % 10
    one, two = trained(images, target, shared=False), trained(images, target, shared=True)
    differences = {
        name: float((two[name] - value).abs().max() / value.abs().max().clamp(min=1e-9)) for name, value in one.items()
    }
    if distributed.get_rank() == 0:
        file.write_text(json.dumps(differences))
