"""The store of cached activations and images, for a terminal: what is in it, whether it is whole, and an end of it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from trainables.boundaries import GIB, Store, damage, discard, unused


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
