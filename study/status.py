"""How far studies are: those whose records are here, and those that run as jobs of a Ray cluster.

    python -m study.status                                   # of results/
    python -m study.status ~/study-results --address http://127.0.0.1:8265
    python -m study.status results/coatnet-in1k-digits trial-007 --log

A study whose process was killed is shown as interrupted. Records that lie on a cluster's head are read there, by a job
that takes some seconds. The log of a run is what its process wrote, in Ray's files on
the node that it ran on.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study import entry
from study.cluster import environment, jobs
from study.options import arguments
from study.options.parser import Parser
from study.results import bucket
from study.results.place import shown
from study.terminal.mistake import ended

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

    from study.results.progress import Progress
    from study.results.together import Together


def parser() -> Parser:
    parser = Parser("study.status", "[RESULTS | STUDY [RUN]] [options]", "How far studies are, here and on a cluster.")
    parser.add_argument(
        "place",
        nargs="?",
        type=arguments.results,
        metavar="RESULTS|STUDY",
        help="a folder of studies (default: results), here or at s3://..., the folder of one, or its name in results",
    )
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run of the study by its id: its row")
    parser.add_argument("--log", action="store_true", help="of the run: what its process wrote")
    parser.add_argument(
        "--address",
        metavar="URL",
        help="of the dashboard of a cluster: its jobs, and the studies that they wrote there",
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Returns 0, 2 for a user's mistake, 130 when interrupted."""
    options = parser().parse(given)
    return ended(lambda: show_run(options) if options.run else show(options))


def show(options: argparse.Namespace) -> int:
    """Raises ValueError for a mistake."""
    if options.log:
        raise ValueError("--log is of a run: give STUDY RUN, as in results/vit-none-digits trial-007")
    folder = place(options.place)
    client = cluster(options.address) if options.address or environment.address() else None
    running = list_jobs(client) if client else None

    from study.results import progress, together
    from study.terminal import studies

    found = [progress.of(one) for one in progress.below(folder)] if folder else []
    if client and options.address:  # else its records are likely to be what is found here
        found += on_cluster(client)
    all_of_them = together.grouped(found, folder or Path())
    if options.json:
        groups = [one for one in all_of_them if isinstance(one, together.Together)]
        told = {
            "studies": [asdict(one) for one in found],
            "together": [of_all(one) for one in groups],
            "jobs": running or [],
        }
        print(json.dumps(told, indent=1, default=str))
        return 0
    if found:
        studies.show(all_of_them)
    elif folder:
        print(f"no study is in {shown(folder)}")
    if running:
        studies.show_jobs(running)
    elif running is not None:
        print("no job of the cluster is a study")
    return 0


def of_all(one: "Together") -> dict[str, Any]:
    """Of studies that belong together, as JSON has it."""
    return {
        **{name: getattr(one, name) for name in ("folder", "name", "kind", "status", "total", "waiting")},
        "finished": len(one.finished),
        "seconds_left": one.seconds_left,
        "studies": [study.name for study in one.studies],
    }


def place(given: Path | None) -> Path | None:
    """Where to look: as given, or by a study's name in results; None where only a cluster was asked for.

    Raises ValueError for what is no folder.
    """
    default = Path("results")
    if given is None:
        return default if default.is_dir() else None
    bucket.fetch(given, whole=False)
    if not given.is_dir() and (default / given).is_dir():
        return default / given
    if not given.is_dir():
        raise ValueError(f"{shown(given)} is no folder, and no study in {default}")
    return given


def show_run(options: argparse.Namespace) -> int:
    """Raises ValueError for a mistake."""
    from study.results import progress
    from study.terminal import studies

    folder = place(options.place)
    assert folder is not None
    row = progress.run(folder, options.run)
    if options.log:
        if not row.get("node"):
            raise ValueError(f"{folder} does not say where {options.run} ran: its process died, or its record is old")

        from study.cluster import logs

        file, said = logs.of_run(options.run, row["node"], row["process"])
        print(f"node {row['node']}, {file}", file=sys.stderr)
        print(said)
    elif options.json:
        print(json.dumps(row, indent=1, default=str))
    else:
        studies.show_run(row)
    return 0


def cluster(given: str | None) -> "JobSubmissionClient | None":
    """The jobs of a cluster; None where the one of this machine takes none.

    Raises ValueError for an address that was given and takes none.
    """
    try:
        return jobs.client(jobs.url(given))
    except ValueError:
        if given:
            raise
        return None


def on_cluster(client: "JobSubmissionClient") -> "list[Progress]":
    """The studies that jobs of a cluster have written there."""
    from study.results import on_cluster

    submitted = [one for one in client.list_jobs() if one.submission_id]
    commands = [words for one in submitted if (words := jobs.words_of(one)) and words[0] != "study.data_efficiency"]
    try:
        return on_cluster.of_jobs(client, commands)
    except ValueError as problem:
        print(f"note: {problem}", file=sys.stderr)
        return []


def list_jobs(client: "JobSubmissionClient") -> list[dict[str, Any]]:
    """The studies among a cluster's jobs, the last first."""
    ours = [(one, words) for one in client.list_jobs() if (words := jobs.words_of(one))]
    return [
        {
            "job": one.submission_id or one.job_id,
            "status": one.status.lower(),
            "started": one.start_time and one.start_time / 1000,
            "command": " ".join(words),
            # Ray keeps the output of jobs that were submitted; a study on a node itself has a terminal
            "says": jobs.last_line_of(client, one.submission_id) if one.submission_id else "",
        }
        for one, words in sorted(ours, key=lambda pair: -(pair[0].start_time or 0))
    ]


if __name__ == "__main__":
    sys.exit(entry.start(main))
