"""ConvMixer: BatchNorm in every block, so it bears large learning rates."""

from ray import tune
from ray.tune.search.sample import Domain


def space(backbone_stages: int) -> dict[str, Domain]:
    return {
        "lr": tune.loguniform(1e-5, 3e-2),  # the paper used 1e-2, fine-tuning takes less
        "weight_decay": tune.loguniform(1e-5, 1e-1),  # the paper used 2e-5
        "freeze_depth": tune.randint(0, backbone_stages + 1),  # all of it trained .. the head alone
    }
