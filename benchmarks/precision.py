"""Why `--precision auto` is fp32 at mini scale on a CPU: training images a second in bf16 against fp32.

    python -m benchmarks.precision

Every mini model trains on one thread on batches of 64 random images, in both, in turns; medians of three rounds.
"""

import argparse
from statistics import median
from time import perf_counter

import torch
from torch.nn.functional import cross_entropy

from trainables import architecture, building
from trainables.hyperparameters import Hyperparameters
from trainables.optimisation import optimizer
from trainables.precision import Precision
from trainables.stages import StagedModel

GOAL = "says why auto is fp32 at mini scale"

ROUNDS, STEPS, BATCH = 3, 20, 64
POINT = Hyperparameters(lr=1e-4, weight_decay=0.0, freeze_depth=0)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    torch.set_num_threads(1)
    for family, variant in architecture.every():
        if (variant.scale, variant.pretraining) == ("mini", "none"):
            model = building.assemble(family, variant, 10).to(memory_format=torch.channels_last)
            pairs = [(rate(model, "fp32"), rate(model, "bf16")) for _ in range(ROUNDS)]
            fp32, bf16 = (median(side) for side in zip(*pairs, strict=True))
            ratio = median(half / full for full, half in pairs)
            print(f"{variant.name:<14}fp32 {fp32:6.0f}  bf16 {bf16:6.0f} images/s  bf16 is {ratio:.2f} x", flush=True)


def rate(model: StagedModel, name: str) -> float:
    """Training images a second, after some steps that are not counted."""
    images = torch.randint(0, 256, (BATCH, 32, 32, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    labels = torch.randint(0, 10, (BATCH,))
    precision, optimiser = Precision(name, torch.device("cpu")), optimizer(model.train(), POINT)
    start = 0.0
    for step in range(STEPS + 3):
        if step == 3:
            start = perf_counter()
        with precision.autocast():
            loss = cross_entropy(model(images), labels)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
    return STEPS * BATCH / (perf_counter() - start)


if __name__ == "__main__":
    main()
