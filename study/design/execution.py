"""How a study is run, which is no part of what it is: the same study may go on in another way."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

from trainables.choices import BOUNDARY_MODES, choose

WANDB_MODES = ("online", "offline", "disabled")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """Validated where it is born.

    Attributes:
        resume: go on with the study of that name, if it is there.
        boundaries: a mode of the planner: what of frozen stages is read from the store.
        max_concurrent: how many runs train at a time; None for as many as there are GPUs, or else cores.
        trials_per_gpu: how many runs share each GPU, or `auto`; None for one, or for what max_concurrent takes.
        wandb: online, offline or disabled; None for what WANDB_MODE says, else online if the user is logged in.
        tensorboard: write event files for TensorBoard, too.
        search_only: end after the search; going on later replicates and tests.
        checkpoint_every: seconds of training between two states of a run that are kept; infinite for none.
        weights: a file with the backbone's weights, in the place of the variant's own.
        offline: never fetch anything from the network.
        quiet: print the result only.
        verbose: show what Ray says.
        max_failures: how often a run is tried again that failed for the machine's sake.
        stall_timeout: seconds without progress after which a run is ended and tried again; 0 for never, None for many
            times what its steps have taken.
        corruptions: test the winner on corrupted images too, when the study is finished.
        keep_models: keep the model of every test run, not of the first alone.
        retries_of_ray: how often Ray is started again when it ends, by a command: in Python it takes the process along.
    """

    resume: bool = False
    boundaries: str = "on"
    max_concurrent: int | None = None
    trials_per_gpu: int | Literal["auto"] | None = None
    checkpoint_every: float = 30.0
    wandb: str | None = None
    tensorboard: bool = False
    search_only: bool = False
    weights: Path | None = None
    offline: bool = False
    quiet: bool = False
    verbose: bool = False
    max_failures: int = 2
    stall_timeout: float | None = None
    corruptions: bool = False
    keep_models: bool = False
    retries_of_ray: int = 0

    def __post_init__(self) -> None:
        choose("boundaries", self.boundaries, BOUNDARY_MODES)
        if self.max_concurrent is not None and self.max_concurrent < 1:
            raise ValueError(f"max-concurrent must be at least 1, got {self.max_concurrent}")
        if isinstance(self.trials_per_gpu, int) and self.trials_per_gpu < 1:
            raise ValueError(f"trials-per-gpu must be at least 1, or auto, got {self.trials_per_gpu}")
        if self.trials_per_gpu is not None and self.max_concurrent is not None:
            raise ValueError(
                f"trials-per-gpu is {self.trials_per_gpu} and max-concurrent {self.max_concurrent}: give one of them"
            )
        if self.max_failures < 0:
            raise ValueError(f"max-failures must be 0 or more, got {self.max_failures}")
        if self.retries_of_ray < 0:
            raise ValueError(f"retries-of-ray must be 0 or more, got {self.retries_of_ray}")
        if self.stall_timeout is not None and not 0 <= self.stall_timeout < inf:
            raise ValueError(f"stall-timeout must be 0 s or more, got {self.stall_timeout:g}")
        if not self.checkpoint_every >= 0:
            raise ValueError(f"checkpoint-every must be 0 seconds or more, got {self.checkpoint_every:g}")
        if self.wandb is not None:
            choose("wandb", self.wandb, WANDB_MODES)
