"""AlexNet (Krizhevsky et al. 2012; torchvision's is the 2014 one-column form, arXiv:1404.5997).

Five convolutions and three linear layers. `alexnet_original` is the network as the paper describes it:
96-256-384-384-256 filters, local response normalisation, no groups; 62,378,344 parameters at 1,000 classes.
"""

from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from trainables.architecture import IMAGENET, MINI_INPUT, Architecture, Preprocessing, Variant
from trainables.hyperparameters import Hyperparameters
from trainables.recipe import Recipe
from trainables.weights import packaged, torch_hub

if TYPE_CHECKING:
    from torch import nn

    from trainables.stages import Stage

FEATURES = ("dropout",)
TORCHVISION = "https://download.pytorch.org/models/alexnet-owt-7be5be79.pth"


def five_convolutions(features: "list[nn.Module]", *, side: int, hidden: int, classes: int) -> "nn.Module":
    """AlexNet's plan at any width: five convolutions in `features`, three linear layers in `classifier`."""
    from torch import nn

    channels = [m.out_channels for m in features if isinstance(m, nn.Conv2d)][-1]
    classifier = nn.Sequential(
        nn.Dropout(),
        nn.Linear(channels * side**2, hidden),
        nn.ReLU(),
        nn.Dropout(),
        nn.Linear(hidden, hidden),
        nn.ReLU(),
        nn.Linear(hidden, classes),
    )
    plan = {
        "features": nn.Sequential(*features),
        "avgpool": nn.AdaptiveAvgPool2d(side),
        "flatten": nn.Flatten(),
        "classifier": classifier,
    }
    return nn.Sequential(OrderedDict(plan))


def original(classes: int) -> "nn.Module":
    """The paper's section I-A: LRN with k = 2, alpha = 1e-4, n = 5, beta = 0.75 after the first two ReLUs."""

    from torch import nn

    def normalised() -> list[nn.Module]:
        # torch divides alpha by the size of the window, the paper's formula does not
        return [nn.ReLU(), nn.LocalResponseNorm(5, alpha=5e-4, beta=0.75, k=2.0), nn.MaxPool2d(3, 2)]

    return five_convolutions(
        [
            *[nn.Conv2d(3, 96, 11, stride=4, padding=2), *normalised()],
            *[nn.Conv2d(96, 256, 5, padding=2), *normalised()],
            *[nn.Conv2d(256, 384, 3, padding=1), nn.ReLU()],
            *[nn.Conv2d(384, 384, 3, padding=1), nn.ReLU()],
            *[nn.Conv2d(384, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)],
        ],
        side=6,
        hidden=4096,
        classes=classes,
    )


def mini(classes: int) -> "nn.Module":
    """The same plan for 32 px: 3 x 3 filters, three poolings down to 4 x 4."""
    from torch import nn

    return five_convolutions(
        [
            *[nn.Conv2d(3, 32, 5, stride=2, padding=2), nn.ReLU()],
            *[nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
            *[nn.Conv2d(64, 96, 3, padding=1), nn.ReLU()],
            *[nn.Conv2d(96, 96, 3, padding=1), nn.ReLU()],
            *[nn.Conv2d(96, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)],
        ],
        side=4,
        hidden=192,
        classes=classes,
    )


def torchvisions(classes: int) -> "nn.Module":
    from torchvision.models import AlexNet

    return AlexNet(num_classes=classes)


def cut(model: Any) -> "list[Stage]":
    """conv1 to conv5 with what follows each, fc6 and fc7 with the dropout before them, head.

    A frozen fc6 or fc7 is in eval mode, so its dropout is off, as everywhere in a frozen prefix.
    """
    from torch import nn

    from trainables.stages import Stage

    starts = [i for i, m in enumerate(model.features) if isinstance(m, nn.Conv2d)]
    convolutions = [
        model.features[start:end] for start, end in zip(starts, [*starts[1:], len(model.features)], strict=True)
    ]
    classifier = model.classifier
    return [
        *[Stage(f"conv{i}", convolution) for i, convolution in enumerate(convolutions[:-1], 1)],
        Stage("conv5", nn.Sequential(convolutions[-1], model.avgpool, nn.Flatten())),
        Stage("fc6", classifier[0:3]),
        Stage("fc7", classifier[3:6]),
        Stage("head", classifier[6]),
    ]


PAPER_INPUT = Preprocessing(224, *IMAGENET, crop=224 / 256)

ARCHITECTURE = Architecture(
    name="alexnet",
    title="AlexNet",
    family="convolution",
    variants=(
        Variant(
            "alexnet_mini.fashion60k",
            "mini",
            "fashion60k",
            mini,
            MINI_INPUT,
            7,
            FEATURES,
            packaged("alexnet_mini.fashion60k"),
        ),
        Variant(
            "alexnet_mini.fashion6k",
            "mini",
            "fashion6k",
            mini,
            MINI_INPUT,
            7,
            FEATURES,
            packaged("alexnet_mini.fashion6k"),
        ),
        Variant("alexnet_mini", "mini", "none", mini, MINI_INPUT, 7, FEATURES),
        Variant(
            "alexnet.tv_in1k",
            "paper",
            "in1k",
            torchvisions,
            PAPER_INPUT,
            7,
            FEATURES,
            torch_hub(TORCHVISION),
        ),
        Variant("alexnet", "paper", "none", torchvisions, PAPER_INPUT, 7, FEATURES),
        Variant("alexnet_original", "paper", "none", original, PAPER_INPUT, 7, FEATURES),
    ),
    cut=cut,
    # section I-A.3 and I-D: AdamW, max_lr 0.01, weight decay 0.01, all frozen but the last layer
    paper=lambda backbone_stages: Hyperparameters(lr=1e-2, weight_decay=1e-2, freeze_depth=backbone_stages),
    from_paper=("lr", "weight_decay", "freeze_depth"),  # section I-B
    recipes=(
        # sections I-B to I-D, the experiments; 15 epochs on Caltech-256
        Recipe(
            "paper",
            epochs=10,
            settings={
                "batch_size": 256,
                "schedule": "onecycle",
                "clip_norm": 0.0,
                "augmentation": "autoaugment_cifar10",
            },
        ),
        # section I-A.3 and I-A.4, the model's description
        Recipe(
            "paper_crop",
            epochs=10,
            settings={"batch_size": 128, "schedule": "onecycle", "clip_norm": 0.0, "augmentation": "alexnet"},
        ),
    ),
)
