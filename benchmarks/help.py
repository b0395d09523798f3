"""How soon every command answers --help, beside importing what a study trains with.

    python -m benchmarks.help

In turns, several rounds: each command, each time in a new process, and a process that does nothing but `import torch,
ray`, as a command would that looks at its options afterwards. A mistake in the options takes as long as --help.
"""

import argparse
import subprocess
import sys
from statistics import median
from time import perf_counter

from study.__main__ import COMMANDS

GOAL = "every command within 0.5 s"

ROUNDS = 7


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in COMMANDS}
    imports: list[float] = []
    for turn in range(ROUNDS):
        imports.append(took("-c", "import torch, ray"))
        for name, answers in seconds.items():
            answers.append(took("-m", f"study.{name}", "--help"))
        slowest = max(seconds, key=lambda name: seconds[name][-1])
        print(
            f"round {turn + 1}: {slowest} {seconds[slowest][-1]:.2f} s, torch and Ray {imports[-1]:.2f} s", flush=True
        )
    medians = {name: median(answers) for name, answers in seconds.items()}
    slowest, others = max(medians, key=lambda name: medians[name]), median(imports)
    print(
        f"median of {ROUNDS}: the slowest of {len(medians)} commands, {slowest}, answers --help "
        f"in {medians[slowest]:.2f} s; importing torch and Ray takes {others:.2f} s, "
        f"{others / medians[slowest]:.1f} x as long"
    )


def took(*words: str) -> float:
    start = perf_counter()
    subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return perf_counter() - start


if __name__ == "__main__":
    main()
