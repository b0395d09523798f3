"""AlexNet: no normalisation layers, so large learning rates break it early when much of it is trained."""

from ray import tune
from ray.tune.search.sample import Domain


def space(backbone_stages: int) -> dict[str, Domain]:
    return {
        "lr": tune.loguniform(1e-5, 3e-2),  # fine-tuning lives in 1e-5..1e-3, a head in 1e-4..1e-2; the paper used 1e-2
        "weight_decay": tune.loguniform(1e-5, 1e-1),  # published fine-tuning 1e-5..1e-2, and a decade of room above
        "freeze_depth": tune.randint(0, backbone_stages + 1),  # all of it trained .. the head alone, as the paper did
    }
