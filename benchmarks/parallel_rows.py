"""The rows of a comparison at the same time, beside the same rows one after the other: wall clock of `study.compare`.

    python -m benchmarks.parallel_rows              # two Ray nodes on this machine, 3 slots each; some four minutes

All is real, processes of rows, Ray, searches, replicates and tests, but that every run sleeps before it trains for an
instant: so a slot stands for a GPU, and this machine's cores are not what is shared. Runs sleep for 3 to 8 s, as drawn
from their names, and are no multiple of the slots: at the end of every step of every row some slots have nothing to do,
and replicates and tests are fewer than the slots.
"""

import argparse
import tempfile
from pathlib import Path
from time import perf_counter

from tests.nodes import ROOT, ray_nodes

GOAL = "less wall clock than one row after the other"

NODES, SLOTS = 2, 3
MODELS = ("alexnet", "resnet", "vit")
OPTIONS = ("--pretraining", "none", "--trials", "6", "--epochs", "1", "--top-k", "1", "--seeds", "2")
SLEEPS = """
import sys, time, zlib
from importlib.abc import MetaPathFinder
from importlib.util import find_spec

class Sleeping(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name != "trainables.trainer":
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            work = module.work

            def sleep_and_work(run, *others):
                time.sleep(3 + zlib.crc32(f"{run.model.architecture} {run.run_id}".encode()) % 6)
                return work(run, *others)

            module.work = sleep_and_work

        spec.loader.exec_module = exec_module
        return spec

sys.meta_path.insert(0, Sleeping())
"""


def seconds(rows: str) -> float:
    """Of the whole comparison with so many rows at a time."""
    with tempfile.TemporaryDirectory(prefix="bench-rows-") as temporary:
        folder = Path(temporary)
        (folder / "sitecustomize.py").write_text(SLEEPS)
        path = {"PYTHONPATH": f"{folder}:{ROOT}"}
        with ray_nodes(folder, *[{"num_cpus": SLOTS, "env_vars": path}] * NODES) as nodes:
            words = ("study.compare", "--models", *MODELS, *OPTIONS, "--wandb", "disabled", "--parallel-rows", rows)
            start = perf_counter()
            with nodes.start(*words, "--max-concurrent", str(NODES * SLOTS), env=nodes.environment | path) as process:
                out, err = process.communicate()
            took = perf_counter() - start
            assert process.returncode == 0, out + err
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", default=["1", "3"], metavar="N", help="at a time; the first is 1")
    given = parser.parse_args().rows
    results: dict[str, float] = {}
    for rows in given:
        results[rows] = seconds(rows)
        print(f"round: {len(MODELS)} rows, {rows} at a time: {results[rows]:.0f} s", flush=True)
    first, *others = results
    print("; ".join(f"{rows} rows at a time take {results[rows] / results[first]:.0%} of {first}" for rows in others))


if __name__ == "__main__":
    main()
