"""What a GPU proves or refutes, in under eight minutes: `make gpu-check`, on the machine that has it, after gpu-pack.

Unpacks what .gpu/ holds, then runs one part after the other, each with a time limit, for they would slow each other
down, what no GPU has shown yet first: the tests that need a GPU, the benchmark beside a bare loop, a study of 16 trials
of a model of the paper, and one of mini trials of which as many share the GPU as find room. Writes results.json and
table.md to --out. Without a GPU the tests are skipped and all models are mini, so that the check can be tried anywhere.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, sleep
from typing import Any

ROOT = Path(__file__).parents[1]
TESTS = tuple(f"tests/integration/test_gpu{part}.py" for part in ("_exact", "_data", "", "_errors"))
STUDY = ("--offline", "--wandb", "disabled", "--top-k", "1", "--seeds", "1", "--quiet")
ENDING = 12  # seconds that a part has to end by itself, once its time is up
EVERY_MS = 250
STEPS = ("startup", "search", "replicate", "test")


@dataclass
class Check:
    """A machine under test: what ran, with what it printed, until `ends`."""

    out: Path
    place: Path
    ends: float
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run(self, name: str, seconds: float, command: Sequence[str]) -> None:
        """One part, for at most so many seconds; what it prints goes to a file."""
        seconds = min(seconds, self.ends - perf_counter())
        if seconds < 10:
            self.parts[name] = {"status": "no time left"}
            print(f"{name}: no time left", flush=True)
            return
        start = perf_counter()
        with (self.out / f"{name}.txt").open("wb") as file:
            process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, start_new_session=True)
            try:
                status: int | str = process.wait(seconds)
            except subprocess.TimeoutExpired:
                status = "time was up"
                file.write(stacks(self.place).encode())
                process.send_signal(signal.SIGINT)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(ENDING)
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)  # what it has started and left
                process.wait()
        took = round(perf_counter() - start, 1)
        self.parts[name] = {"status": status, "seconds": took, "command": " ".join(command)}
        print(f"{name}: {'done' if status == 0 else status} in {took} s", flush=True)

    def study(self, name: str, seconds: float, *options: str) -> None:
        """A study, with how busy it kept the GPU."""
        results = self.place / "results"
        command = [sys.executable, "-m", "study.run", *STUDY, "--results", str(results), "--name", name, *options]
        with busy(self.out / f"{name}-busy.txt") as samples:
            self.run(name, seconds, command)
        told = of_study(results / name)
        self.parts[name] |= told | {"gpu_busy": shares(samples, told.get("spent") or {})}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", type=Path, default=ROOT / ".gpu", help="what gpu-pack made (default .gpu)")
    parser.add_argument(
        "--place", type=Path, default=Path("/tmp/gpu-check"), help="for all that is unpacked and written"
    )
    parser.add_argument("--out", type=Path, default=ROOT / ".gpu" / "results", help="default .gpu/results")
    parser.add_argument("--seconds", type=float, default=440, help="for all parts (default %(default)s)")
    parser.add_argument("--skip", nargs="*", default=[], metavar="PART", help="tests, bench, paper, mini")
    options = parser.parse_args()
    check = Check(options.out, options.place, perf_counter() + options.seconds)
    options.out.mkdir(parents=True, exist_ok=True)
    environment(unpacked(options.pack, options.place), options.place)
    about = machine()
    if (options.pack / "commit").exists():
        about["versions"].setdefault("commit", (options.pack / "commit").read_text().strip())
    print(json.dumps(about, indent=1), flush=True)
    gpu = bool(about["gpus"])
    if "tests" not in options.skip:
        plain = ["-o", "filterwarnings=default", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "no:randomly"]
        report = f"--junit-xml={options.out / 'tests.xml'}"
        check.run("tests", 165, [sys.executable, "-m", "pytest", "-q", "--tb=short", *plain, report, *TESTS])
    if "bench" not in options.skip:
        bench = ["benchmarks.gpu", "--compile", "--seconds", "90", "--out", str(options.out / "bench.jsonl")]
        check.run("bench", 125, [sys.executable, "-m", *bench])
    if "paper" not in options.skip:
        from gpu.images import write

        write(options.place / "images", classes=10, images=150 if gpu else 30, side=256 if gpu else 40)
        scale = ["--scale", "paper" if gpu else "mini", "--pretraining", "none", "--early-stopping", "none"]
        data = ["--dataset", str(options.place / "images"), "--epochs", "4" if gpu else "1", "--trials", "16"]
        check.study("paper", 105, *scale, *data, "--model", "resnet", "--augmentation", "crop_flip")
    if "mini" not in options.skip:
        shared = ["--trials-per-gpu", "auto"] if gpu else ["--max-concurrent", "2"]
        check.study("mini", 60, "--scale", "mini", "--model", "coatnet", "--trials", "6", "--epochs", "3", *shared)
    results = {
        "when": datetime.now(UTC).isoformat(" ", "seconds")[:19],
        "machine": about,
        "parts": check.parts,
        "bench": lines_of(options.out / "bench.jsonl"),
        "tests": tests_of(options.out / "tests.xml"),
    }
    (options.out / "results.json").write_text(json.dumps(results, indent=1, default=str) + "\n")
    (options.out / "table.md").write_text(table(results))
    print((options.out / "table.md").read_text())


def unpacked(pack: Path, place: Path) -> Path | None:
    """The packages that this machine lacks, importable; None where nothing was packed and all are there."""
    archive, site = pack / "site.tar.xz", place / "site"
    if not archive.exists():
        return None
    if not site.exists():
        site.mkdir(parents=True)
        if shutil.which("xz"):
            subprocess.run(["tar", "-C", site, "-xf", archive], check=True)
        else:
            with tarfile.open(archive) as opened:
                opened.extractall(site, filter="tar")
        compiled = [
            sys.executable,
            "-m",
            "compileall",
            "-q",
            "-j",
            "0",
            str(site),
            str(ROOT),
        ]  # once, not in every part
        subprocess.run(compiled, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return site


def environment(site: Path | None, place: Path) -> None:
    """For this process and the parts: what is unpacked, and nothing of the user's."""
    paths = [str(path) for path in (site, ROOT) if path]
    os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    sys.path[:0] = paths
    os.environ |= {
        "PYTHONUNBUFFERED": "1",
        "PYTHONFAULTHANDLER": "1",
        "HOME": str(place / "home"),
        "STUDY_CACHE": str(place / "cache"),
        "RAY_TMPDIR": str(place / "ray"),
        "WANDB_MODE": "disabled",
        "HF_HUB_OFFLINE": "1",
    }
    for name in ("HOME", "RAY_TMPDIR"):
        Path(os.environ[name]).mkdir(parents=True, exist_ok=True)


def machine() -> dict[str, Any]:
    """What the figures are of."""
    from study.results import provenance

    about = {**provenance.hardware(), "versions": provenance.versions()}
    try:
        query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
        about["nvidia_smi"] = subprocess.run(query, capture_output=True, text=True, timeout=20).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        about["nvidia_smi"] = ""
    return about


@contextmanager
def busy(file: Path) -> Iterator[list[tuple[float, float]]]:
    """Has nvidia-smi write how busy the GPU is; afterwards the list has (seconds since the beginning, busy in [0, 1]).

    Its share is that of the time since the sample before in which a kernel ran.
    """
    samples: list[tuple[float, float]] = []
    if not shutil.which("nvidia-smi"):
        yield samples
        return
    query = ["--query-gpu=utilization.gpu", "--format=csv,noheader,nounits", "-lms", str(EVERY_MS)]
    with file.open("w") as written, subprocess.Popen(["nvidia-smi", *query], stdout=written) as process:
        try:
            yield samples
        finally:
            process.terminate()
    values = [line.strip() for line in file.read_text().splitlines()]
    samples += [(i * EVERY_MS / 1e3, int(value) / 100) for i, value in enumerate(values) if value.isdecimal()]


def shares(samples: list[tuple[float, float]], spent: dict[str, float]) -> dict[str, float]:
    """Of all of a study, and of each of its steps, whose seconds follow one another."""
    if not samples:
        return {}
    found, end = {"whole": round(sum(share for _, share in samples) / len(samples), 3)}, 0.0
    for step in STEPS:
        begin, end = end, end + spent.get(step, 0.0)
        if within := [share for at, share in samples if begin <= at < end]:
            found[step] = round(sum(within) / len(within), 3)
    return found


def stacks(place: Path) -> str:
    """Where Ray's processes of this check are, once one of its parts has no time left. They end by it."""
    mine = f"STUDY_CACHE={place / 'cache'}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes().split(b"\0")
        except OSError:  # it has ended, or is somebody else's
            continue
        if name.startswith((b"ray::ImplicitFunc", b"ray::Worker")) and mine in variables:
            os.kill(int(folder.name), signal.SIGABRT)  # PYTHONFAULTHANDLER: it writes its threads' stacks
    sleep(2)
    logs = sorted((place / "ray").glob("**/session_latest/logs/worker-*.err"), key=lambda log: log.stat().st_mtime)
    return "".join(f"\n== {log.name}\n{log.read_text(errors='replace')[-6000:]}" for log in logs[-6:])


def of_study(folder: Path) -> dict[str, Any]:
    """What a study's record says of it, however far it came."""
    if not (folder / "study.json").exists():
        return {"study": "did not begin"}
    import pyarrow.parquet as parquet

    told = json.loads((folder / "study.json").read_text())
    shown = ("run_id", "trial_id", "phase", "status", "reason", "freeze_depth", "val_accuracy", "test_accuracy")
    more = ("total_seconds", "train_seconds", "peak_memory_bytes", "resident_bytes", "precision", "boundary")
    rows = []
    for name in ("trials", "runs"):
        if (folder / f"{name}.parquet").exists():
            rows += parquet.read_table(folder / f"{name}.parquet").to_pylist()
    return {
        "study": told.get("status"),
        "spent": told.get("seconds"),
        "resources": told.get("resources"),
        "runs": [{name: row[name] for name in (*shown, *more) if row.get(name) is not None} for row in rows],
    }


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def tests_of(path: Path) -> list[dict[str, Any]]:
    """Every test with its outcome and seconds."""
    if not path.exists():
        return []
    found = []
    for case in ElementTree.parse(path).iter("testcase"):
        outcome = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        found.append(
            {
                "test": case.get("name"),
                "outcome": "passed" if outcome is None else outcome.tag,
                "why": "" if outcome is None else (outcome.get("message") or "")[:300],
                "seconds": float(case.get("time") or 0),
            }
        )
    return found


def table(results: dict[str, Any]) -> str:
    """One page of Markdown."""
    about = results["machine"]
    lines = [f"# {about['nvidia_smi'] or about['cpu']}, {results['when']} UTC", ""]
    lines += [", ".join(f"{name} {version}" for name, version in about["versions"].items()), ""]
    lines += ["| part | outcome | seconds |", "|---|---|---|"]
    for name, part in results["parts"].items():
        study = f"; study {part['study']}" if "study" in part else ""
        lines.append(
            f"| {name} | {'done' if part['status'] == 0 else part['status']}{study} | {part.get('seconds', '')} |"
        )
    lines += ["", "| measured | model | result |", "|---|---|---|"]
    for line in results["bench"]:
        told = ", ".join(f"{k} {v}" for k, v in line.items() if k not in ("what", "model", "seconds"))
        lines.append(f"| {line['what']} | {line['model']} | {told} |")
    outcomes = [test["outcome"] for test in results["tests"]]
    lines += ["", ", ".join(f"{outcomes.count(kind)} {kind}" for kind in sorted(set(outcomes))) or "no tests", ""]
    lines += [
        f"- {test['outcome']}: {test['test']}: {test['why']}"
        for test in results["tests"]
        if test["outcome"] in ("failure", "error")
    ]
    for name, part in results["parts"].items():
        if part.get("gpu_busy"):
            lines.append(f"- {name}: GPU busy: " + ", ".join(f"{k} {v}" for k, v in part["gpu_busy"].items()))
        for row in part.get("runs", ()):
            lines.append(f"- {name}: " + ", ".join(f"{k} {v}" for k, v in row.items()))
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
