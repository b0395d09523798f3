"""BatchNorm over all workers of a run: the same model with other layers, which torch computes on GPUs alone."""

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from study.cluster import gpu
from study.options import machine
from tests.contract.tiny import digits, untrained
from trainables.building import with_sync_batchnorm


@pytest.mark.parametrize("name", ["resnet", "coatnet"])
def test_every_batchnorm_is_synchronised_and_the_model_is_the_same(name: str) -> None:
    images = digits(8).images
    plain, synced = untrained(name).eval(), with_sync_batchnorm(untrained(name)).eval()
    norms = [module for module in synced.modules() if isinstance(module, _BatchNorm)]
    assert norms
    assert all(isinstance(norm, nn.SyncBatchNorm) for norm in norms)
    assert torch.equal(plain(images), synced(images))
    assert plain.library_state_dict().keys() == synced.library_state_dict().keys()
    assert [plain.freeze(2).digest(stage) for stage in (0, 1)] == [synced.freeze(2).digest(stage) for stage in (0, 1)]


def test_without_a_gpu_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.unit.test_config import study

    monkeypatch.setattr(gpu, "available", lambda: False)
    with pytest.raises(ValueError, match="sync-batchnorm needs GPUs: leave it out"):
        machine.check(study(workers_per_trial=2, sync_batchnorm=True))
