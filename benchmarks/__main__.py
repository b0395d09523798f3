"""Every benchmark, one after the other, into benchmarks/results.md.

    python -m benchmarks            # all: about half an hour on two cores, which must have nothing else to do
    python -m benchmarks NAME ...   # some; the others keep what they had reached

Each prints rounds and then its result; the table keeps the result beside the goal that the module states, and the
commit that it was measured on. So nothing may have changed since that commit: while you change something, run
`python -m benchmarks.NAME`, which prints and keeps nothing.
"""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from study.results import provenance

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
WRITTEN = ("benchmarks/results.json", "benchmarks/results.md")
UNCLEAN = "-dirty"


def main() -> None:
    names = sorted(module.name for module in iter_modules([str(HERE)]) if module.name[0] != "_")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names))
    given = parser.parse_args().names or names
    if unknown := set(given) - set(names):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}: choose from {', '.join(names)}")
    if dirty := changed(HERE.parent):
        parser.error(f"{', '.join(dirty)} changed since the last commit, which figures are of: commit first")
    results: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in given:
        print(f"== python -m benchmarks.{name}", flush=True)
        results[name] = measured(name)
        if dirty := changed(HERE.parent):
            sys.exit(f"{', '.join(dirty)} changed during benchmarks.{name}: its figures are of no commit, and not kept")
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")
        (HERE / "results.md").write_text(page({name: results[name] for name in names if name in results}))


def changed(checkout: Path) -> list[str]:
    """Files that are not as the last commit has them, but for what this command writes; none without git."""
    done = subprocess.run(
        ["git", "status", "--porcelain", "--no-renames", "-z"], cwd=checkout, capture_output=True, text=True
    )
    return [line[3:] for line in done.stdout.split("\0") if line and line[3:] not in WRITTEN]


def measured(name: str) -> dict[str, Any]:
    """Runs one benchmark, showing what it prints; its result are the lines that are not rounds."""
    lines = []
    command = [sys.executable, "-m", f"benchmarks.{name}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.strip())
    if process.returncode:
        sys.exit(f"benchmarks.{name} failed")
    return {
        "goal": import_module(f"benchmarks.{name}").GOAL,
        "result": [line for line in lines if line and "round " not in line],
        "when": datetime.now(UTC).isoformat(" ", "minutes")[:16],
        "versions": {name: version.removesuffix(UNCLEAN) for name, version in provenance.versions().items()},
        "hardware": provenance.hardware(),
    }


def page(results: dict[str, Any]) -> str:
    lines = [
        "# What the benchmarks printed",
        "",
        "`make bench` writes this page. Every figure is from one interleaved run, a median of at least three rounds.",
        "Where changes since the commit are marked, the row is to be measured again.",
        "",
        "| `python -m benchmarks.` | goal | reached | when, on which commit and machine |",
        "|---|---|---|---|",
    ]
    for name, one in results.items():
        reached = "<br>".join(line.replace("|", "/") for line in one["result"])
        machine = ", ".join(f"{key} {value}" for key, value in one["hardware"].items() if value)
        commit = one["versions"].get("commit", "")
        mark = " **and changes since**" if commit.endswith(UNCLEAN) else ""
        where = f"{one['when']} {commit.removesuffix(UNCLEAN)}{mark}, {machine}"
        lines.append(f"| `{name}` | {one['goal']} | {reached} | {where} |")
    last = max(results.values(), key=lambda one: one["when"])
    versions = ", ".join(f"{key} {value}" for key, value in last["versions"].items() if key != "commit")
    return "\n".join([*lines, "", f"Versions: {versions}.", ""])


if __name__ == "__main__":
    main()
