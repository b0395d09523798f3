"""The store of boundaries on this machine: what is in it, whether it is whole, and an end of it.

    python -m study.cache            # the same as list
    python -m study.cache verify
    python -m study.cache clear

It lies in $STUDY_CACHE (default ~/.cache/attention-or-convolution) and takes at most $STUDY_CACHE_GIB (default: half of
what the disk has free). Nothing in it is needed: what is missing is computed again.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from study.terminal.progress import fail
from trainables.boundaries import GIB, Store, damage, discard, unused


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 0, 1 if an entry is damaged, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(
        prog="python -m study.cache", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("action", nargs="?", default="list", choices=("list", "verify", "clear"))
    action = parser.parse_args(arguments).action
    try:
        store = Store.here()
    except ValueError as mistake:
        return fail(str(mistake))
    return {"list": show, "verify": verify, "clear": clear}[action](store)


def show(store: Store) -> int:
    table = Table(Column("entry", no_wrap=True, min_width=24), "boundary", "of", "rows", "MB", "used")
    sizes = store.sizes()
    for path, size in reversed(sizes):
        if reason := damage(path):
            table.add_row(path.name, f"damaged: {reason}")
            continue
        entry = described(path)
        facts = entry["facts"]
        what = f"{facts['boundary']} after {facts['stage']}" if facts["boundary"] else "0, images"
        of = f"{facts['variant']} {facts['precision']}" if facts["boundary"] else "x".join(map(str, entry["shape"][1:]))
        used = datetime.fromtimestamp((path / "entry.json").stat().st_mtime, UTC).isoformat(" ", "minutes")[:16]
        table.add_row(path.name, what, of, f"{entry['shape'][0]:,}", f"{size / 1e6:,.1f}", used)
    console = Console()
    if sizes:
        console.print(table)
    taken = sum(size for _, size in sizes) / GIB
    print(f"{store.folder}: {len(sizes)} boundaries, {taken:.2f} of {store.limit / GIB:.1f} GiB")
    return 0


def verify(store: Store) -> int:
    """Removes what is damaged, so that it is computed again."""
    damaged = 0
    for path in store.entries():
        reason = damage(path)
        if reason:
            damaged += 1
            discard(path)
            print(f"{path.name}: removed, {reason}")
    print(f"{store.folder}: {len(list(store.entries()))} boundaries are whole, {damaged} were damaged")
    return 1 if damaged else 0


def clear(store: Store) -> int:
    """Removes all that no process reads."""
    store.sweep()
    sizes = store.sizes()
    free = [(path, size) for path, size in sizes if unused(path)]
    for path, _ in free:
        discard(path)
    kept = f", {len(sizes) - len(free)} are in use" if len(free) < len(sizes) else ""
    print(f"{store.folder}: removed {len(free)} boundaries, {sum(size for _, size in free) / GIB:.2f} GiB{kept}")
    return 0


def described(path: Path) -> dict[str, Any]:
    entry: dict[str, Any] = json.loads((path / "entry.json").read_text())
    return entry


if __name__ == "__main__":
    sys.exit(main())
