"""What is private in torch still does what callbacks/private/torch.py takes it to do."""

from datetime import timedelta
from pathlib import Path

import pytest
import torch
from torch import distributed, nn

from callbacks.private.torch import BatchNorm, is_view, set_timeout, unscales


@pytest.mark.parametrize("cls", [nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm])
def test_all_batch_norms_have_one_base_class(cls: type[nn.Module]) -> None:
    assert issubclass(cls, BatchNorm)
    assert not issubclass(nn.InstanceNorm1d, BatchNorm)


def test_a_view_is_told_from_a_tensor_of_its_own() -> None:
    tensor = torch.zeros(2, 3)
    assert not is_view(tensor)
    assert is_view(tensor[0])
    assert is_view(tensor.t())
    assert not is_view(tensor[0].clone())


def test_a_fused_optimizer_is_told_from_others() -> None:
    weights = [nn.Parameter(torch.zeros(2))]
    assert unscales(torch.optim.Adam(weights, fused=True))
    assert not unscales(torch.optim.Adam(weights))


@pytest.mark.filterwarnings("ignore:.*_set_pg_timeout. is deprecated")  # where both exist
@pytest.mark.parametrize("public", [True, False])
def test_the_timeout_of_a_process_group_is_changed(
    public: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not public:
        monkeypatch.delattr(distributed, "set_timeout", raising=False)
    store = distributed.FileStore(str(tmp_path / "store"), 1)  # type: ignore[attr-defined]
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1, timeout=timedelta(seconds=3))
    try:
        set_timeout(timedelta(days=2))
        group = distributed.distributed_c10d._get_default_group()
        assert group._get_backend(torch.device("cpu")).options._timeout == timedelta(days=2)
    finally:
        distributed.destroy_process_group()
