"""One small model of every module of timm: how it is cut, and whether it keeps an architecture's contract.

    make backbones                        # or: python -m tests.backbones --minutes 4, again and again: it resumes
    python -m tests.backbones --modules resnet vision_transformer

Random weights; images of 64 px where the model takes them, else of its own size. Rows are kept in the cache folder, by
the versions of timm and torch; --again forgets them. It prints the table of docs/backbones.md.
"""

import argparse
import gc
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import torch

from tests.backbones import contract
from tests.backbones.smallest import modules, parameters, smallest
from tests.contract.test_stages import Twins
from trainables.backbones import kept
from trainables.backbones.declared import cut_of, described
from trainables.backbones.plans import WHOLE
from trainables.choices import did_you_mean

LONGEST = 90  # characters of a reason
ENOUGH = 4  # stages


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0 where all of it is done and every model can be used; 1 where not; 2 for a mistake; 3: not done yet."""
    parser = argparse.ArgumentParser("python -m tests.backbones", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--modules", nargs="+", metavar="NAME", help="of timm.models (default: all of them)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after these, to go on another time")
    parser.add_argument("--only-cut", action="store_true", help="leave out the contract tests")
    parser.add_argument("--again", action="store_true", help="forget what is known of these modules")
    options = parser.parse_args(given)
    asked = options.modules or modules()
    for name in asked:
        if name not in modules():
            print(f"error: timm.models has no module {name!r}{did_you_mean(name, modules())}", file=sys.stderr)
            return 2
    torch.set_num_threads(1)
    until = monotonic() + 60 * options.minutes
    rows = {name: {} if options.again else read(name) for name in asked}
    for step in ("cut", "contract")[: 1 if options.only_cut else 2]:
        for name in asked:
            if step not in rows[name] and monotonic() < until:
                rows[name] |= look(name, rows[name], step)
                write(name, rows[name])
                print(f"{name}: {rows[name]['model']}: {rows[name][step]}", file=sys.stderr, flush=True)
                gc.collect()
    done = [row for row in rows.values() if "cut" in row]
    print("\n".join(table(done)))
    left = sum("cut" not in row or ("contract" not in row and not options.only_cut) for row in rows.values())
    if left:
        print(f"{left} of {len(rows)} modules are left: the same command goes on", file=sys.stderr)
        return 3
    return 0 if all(usable(row) and not row.get("contract") for row in done) else 1


def look(module: str, known: dict[str, Any], step: str) -> dict[str, Any]:
    """One step of a row."""
    began = perf_counter()
    name = known.get("model") or smallest(module)
    if step == "contract":
        return {"model": name, "contract": broken(name) if usable(known) else ["cannot be used"]}
    row: dict[str, Any] = {"module": module, "model": name, "parameters": parameters(name)}
    try:
        own = described(name)
        found = cut_of(name, own.small)
    except Exception as error:  # whatever a model's own code raises is its row
        why = next(iter(str(error).splitlines()), "") or type(error).__name__
        return row | {"cut": {"why": why}, "seconds": perf_counter() - began}
    largest = max(found.pieces[:-1], key=lambda piece: piece.elements, default=None)
    facts = {
        "size": own.small,
        "family": own.family,
        "how": found.how,
        "training": found.training,
        "points": found.points,
        "stages": found.backbone_stages,
        "largest": [largest.name, largest.elements] if largest else None,
        "why": found.why,
    }
    return row | {"cut": facts, "seconds": perf_counter() - began}


def usable(row: dict[str, Any]) -> bool:
    return "how" in row.get("cut", {})


def broken(name: str) -> list[str]:
    """The contracts that a model does not keep, each with why."""
    pair = contract.pair_of(name)
    failed = []

    def tried(title: str, call: Any) -> None:
        try:
            call()
        except Exception as error:
            failed.append(f"{title}: {next(iter(str(error).splitlines()), '') or type(error).__name__}"[:200])

    for title, one in contract.pair_contracts().items():
        tried(title, lambda one=one: one(pair))
    built: list[Twins] = []
    tried("it is assembled from its stages", lambda: built.append(contract.twins_of(pair)))
    if not built:
        return failed
    [twins] = built
    for title, of_twins in contract.stage_contracts().items():
        tried(title, lambda one=of_twins: one(twins.fresh()))
    for depth in contract.some_depths(pair):
        with tempfile.TemporaryDirectory() as folder:
            tried(
                f"a stored boundary {depth}",
                lambda depth=depth, folder=folder: contract.a_stored_boundary_gives_the_numbers_that_the_images_give(
                    pair, Path(folder), depth
                ),
            )
    return failed


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Markdown: a line for each module, and what they come to."""
    lines = [
        "| module | model | kind | px | cut | points | stages | largest boundary, kB an image | what fails, and why |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cut = row["cut"]
        fails = [*([cut["why"]] if cut["why"] else []), *row.get("contract", [])]
        words = "; ".join(one if len(one) <= LONGEST else f"{one[: LONGEST - 3]}..." for one in fails).replace("|", "/")
        if not usable(row):
            lines.append(f"| {row['module']} | {row['model']} | – | – | none | – | – | – | {words} |")
            continue
        largest = f"{cut['largest'][0]}, {cut['largest'][1] * 4 / 1000:,.0f}" if cut["largest"] else "–"
        how = cut["how"] if cut["training"] else f"{cut['how']}, in eval mode"
        lines.append(
            f"| {row['module']} | {row['model']} | {cut['family']} | {cut['size']} | {how} | {cut['points']} "
            f"| {cut['stages']} | {largest} | {words} |"
        )
    good = [row for row in rows if usable(row) and row["cut"]["how"] != WHOLE]
    many = [row for row in good if row["cut"]["stages"] >= ENOUGH]
    checked = [row for row in rows if "contract" in row]
    lines += [
        "",
        f"{len(rows)} modules: {sum(map(usable, rows))} can be used, {len(good)} are cut, {len(many)} of them into "
        f"{ENOUGH} backbone stages or more, every one bit for bit; {sum(not row['contract'] for row in checked)} of "
        f"{len(checked)} that were asked keep every contract.",
    ]
    return lines


def path(module: str) -> str:
    return f"table-{module}"


def read(module: str) -> dict[str, Any]:
    return kept.read(path(module)) or {}


def write(module: str, row: dict[str, Any]) -> None:
    kept.write(path(module), json.loads(json.dumps(row)))


if __name__ == "__main__":
    sys.exit(main())
