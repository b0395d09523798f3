"""ResNet-50: normalised throughout, so it takes large learning rates at any depth."""

from ray import tune
from ray.tune.search.sample import Domain


def space(backbone_stages: int) -> dict[str, Domain]:
    return {
        "lr": tune.loguniform(1e-5, 3e-2),  # published fine-tuning 1e-5..1e-3, a head alone up to 1e-1
        "weight_decay": tune.loguniform(1e-5, 1e-1),  # published fine-tuning 1e-4..1e-1, a head alone less
        "freeze_depth": tune.randint(0, backbone_stages + 1),  # all of it trained .. the head alone
    }
