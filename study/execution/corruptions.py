"""What a finished study's model does with corrupted test images: `corruptions.json` in its folder.

The model is the one that the record keeps, of the first test seed. This describes; nothing is chosen by it.
"""

from contextlib import closing
from dataclasses import asdict

from safetensors.torch import load_file

from study.cluster import connection
from study.execution.session import Session
from study.files import write_json
from study.results.corruptions import FILE
from trainables.corruptions import Corrupted, corrupted


def measure(session: Session) -> None:
    """Writes the file, unless it is there. Raises NoPlace, DoesNotFit, Unanswered, OSError."""
    folder = session.record.folder
    if (folder / FILE).exists():
        return
    session.terminal.say(f"corrupted test images of {session.study.name}")
    session.terminal.doing("testing on corrupted images")
    with connection.connected(verbose=session.execution.verbose):
        found = evaluated(session)
    write_json(
        folder / FILE,
        {"format": 1, "seed": session.record.test.seeds[0], "rows": [asdict(one) for one in found]},
    )


def evaluated(session: Session) -> list[Corrupted]:
    """From here; or from a process that Ray gives a GPU, and that gives its memory back by its end."""
    resources = session.allocate().resources
    state = load_file(session.record.folder / "best" / "model.safetensors")
    run = session.template()
    session.looked("corruptions")
    if not resources.gpus:
        return corrupted(run, state, session.datasets(), resources.threads)
    with closing(session.pool(resources, 1)) as pool:
        return pool.call("corruptions", corrupted, run, state, session.datasets(), resources.threads)
