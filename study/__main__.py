"""The commands of this package, and one name for all of them: `study run ...` is `python -m study.run ...`.

python -m study                            # lists them
python -m study run --model vit
python -m study --print-completion bash    # for the shell: docs/command-line.md
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from study import entry
from study.options.parser import version
from study.terminal.mistake import fail
from trainables.choices import choose


@dataclass(frozen=True)
class Command:
    """One command: its module has `parser()` and `main(words)`, and imports neither torch nor Ray."""

    module: str
    what: str

    @property
    def loaded(self) -> ModuleType:
        return import_module(self.module)


COMMANDS = {
    "run": Command("study.run", "search the hyperparameters of one model, replicate the best, test the winner"),
    "compare": Command(
        "study.compare", "run and compare several models, pretrainings and datasets; or read their records"
    ),
    "probe": Command("study.probe", "a baseline in seconds: ridge regression on frozen features"),
    "predict": Command("study.predict", "what a study's model says of images, one or a million: CSV, JSON, Parquet"),
    "export": Command("study.export", "a study's model as an ONNX file, or torch's exported program"),
    "select": Command("study.select", "which backbone, of hundreds: a race on features, within a budget of minutes"),
    "data_efficiency": Command("study.data_efficiency.__main__", "accuracy of a winner by training images per class"),
    "submit": Command("study.submit", "run one of these as a job of a Ray cluster; follow, stop or resume it"),
    "status": Command("study.status", "how far studies are, here and as jobs of a cluster; a run's row, and its log"),
    "data": Command("study.data.__main__", "what is in a dataset, and what a study would do with it"),
    "cache": Command("study.cache", "the cached activations on this machine: list, verify, clear"),
    "cluster": Command("study.cluster.__main__", "check a file for Ray's cluster launcher before `ray up`"),
    "sync": Command("study.sync", "upload to W&B what studies wrote to disk, again and again without doubling"),
    "wandb_report": Command("study.wandb_report.__main__", "the W&B report of a study, or of a comparison"),
    "pretrain": Command("study.pretrain", "make the weights of the mini scale again"),
}
SHELLS = ("bash", "zsh", "tcsh")


def main(words: Sequence[str] | None = None) -> int:
    """Runs a command by its name; returns its exit code, or 2 for a user's mistake.

    Given no words, it is the program itself, and reads sys.argv.
    """
    if words is None:
        return entry.start(lambda: main(sys.argv[1:]))
    first, *others = list(words) or ["--help"]
    if first in ("-h", "--help"):
        print(overview())
        return 0
    if first == "--version":
        print(version())
        return 0
    try:
        if first.partition("=")[0] == "--print-completion":
            return complete(first.partition("=")[2] or next(iter(others), ""))
        name = choose("command", first.replace("-", "_"), COMMANDS)
    except ValueError as mistake:
        return fail(f"{mistake} (python -m study lists them)")
    return COMMANDS[name].loaded.main(others)


def overview() -> str:
    width = max(map(len, COMMANDS))
    return "\n".join(
        [
            "usage: study COMMAND [options]        (python -m study COMMAND, or python -m study.COMMAND)",
            "",
            *(f"  {name:<{width}}  {command.what}" for name, command in COMMANDS.items()),
            "",
            "study COMMAND --help shows its options; study --version the version; study --print-completion bash|zsh",
            "what makes a shell complete them. Begin with: study run --model coatnet --trials 8",
        ]
    )


def complete(shell: str) -> int:
    """Prints what makes a shell complete the commands and their options. Raises ValueError for a mistake."""
    choose("shell", shell, SHELLS)
    from study.options.completion import script

    print(script(shell, {name: (command.what, command.loaded.parser()) for name, command in COMMANDS.items()}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
