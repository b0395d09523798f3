"""A study as a job of a Ray cluster: it goes on when this terminal, or this machine, goes away.

    python -m study.submit --address http://127.0.0.1:8265 -- study.run --model coatnet --trials 32
    python -m study.submit --follow JOB      # what it says; Ctrl-C leaves it running
    python -m study.submit --stop JOB        # in order: what is finished is kept
    python -m study.submit --resume JOB      # the same study goes on, as another job

Results lie on the cluster's head, in ~/study-results where no absolute path is given. docs/cluster.md has the rest.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from study import entry
from study.cluster import jobs
from study.options import arguments
from study.options.parser import Parser
from study.terminal.mistake import ended
from study.terminal.supervisor import in_order
from trainables.choices import choose

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

NEW = ""  # --follow without a job


def parser() -> Parser:
    parser = Parser(
        "study.submit",
        "[options] -- study.run --model MODEL ...",
        "Run a command of this package as a job of a Ray cluster, and look after it.",
    )
    parser.add_argument("--address", metavar="URL", help="of its dashboard (default: this machine's, port 8265)")
    parser.add_argument(
        "--follow", nargs="?", const=NEW, metavar="JOB", help="show what the job says; Ctrl-C leaves it running"
    )
    parser.add_argument("--resume", metavar="JOB", help="go on with the study of a job that has ended")
    parser.add_argument("--stop", metavar="JOB", help="stop a job in order: its study can go on later")
    parser.add_argument(
        "--working-dir", type=arguments.path, metavar="DIR", help="a folder to send along: sources, or files of options"
    )
    return parser


def main(given: Sequence[str] | None = None) -> int:
    """Runs a command as a job, or looks after one.

    Returns 0; 1 for a followed job that failed; 2 for a user's mistake; 130 when interrupted before the job began.
    """
    words = list(sys.argv[1:] if given is None else given)
    cut = words.index("--") if "--" in words else len(words)
    options = parser().parse(words[:cut])
    return ended(lambda: run(options, words[cut + 1 :]))


def run(options: argparse.Namespace, words: list[str]) -> int:
    """Raises ValueError for a mistake; KeyboardInterrupt."""
    known = [name for name in (options.follow, options.resume, options.stop) if name]
    if bool(known) == bool(words) or len(known) > 1:
        raise ValueError(
            "give a command after --, as in: -- study.run --model vit; or --follow, --resume or --stop JOB"
        )
    if words:
        check(words)
    if options.working_dir and not options.working_dir.is_dir():
        raise ValueError(f"--working-dir {options.working_dir} is no folder")
    address = jobs.url(options.address)
    client = jobs.client(address)
    if options.stop:
        find(client, address, options.stop)
        client.stop_job(options.stop)
        print(f"{options.stop} is stopping; go on with: {this(address)} --resume {options.stop}")
        return 0
    if options.follow:
        find(client, address, options.follow)
        return follow(client, address, options.follow)
    if options.resume:
        words = resumed(find(client, address, options.resume))
    words, place = jobs.with_lasting_results(words) if words[0] != "study.data_efficiency" else (words, None)
    job = jobs.submit(client, words, options.working_dir)
    print(f"{job}: {jobs.entrypoint(words)}")
    if place:
        print(f"its results are below {place} on the head of the cluster")
    if options.follow == NEW:
        return follow(client, address, job)
    print(f"it needs this machine no more; see it with: {this(address)} --follow {job}")
    return 0


def check(words: list[str]) -> None:
    """Raises ValueError for a command that is none, and exits where argparse finds a mistake in its options."""
    from study.__main__ import COMMANDS

    name = words[0].removeprefix("study.").replace("-", "_")
    choose("command", name, [module.removeprefix("study.") for module in jobs.MODULES])
    words[0] = f"study.{name}"
    if not any(word.startswith("--config") for word in words):  # a file that may be on the head alone
        COMMANDS[name].loaded.parser().parse(words[1:])


def find(client: "JobSubmissionClient", address: str, job: str) -> list[str]:
    """The words of a job's command. Raises ValueError where there is no such job of ours."""
    submitted = [one for one in client.list_jobs() if one.submission_id]
    known = {one.submission_id: words for one in submitted if (words := jobs.words_of(one))}
    if job not in known:
        there = ", ".join(sorted(map(str, known))) or "none"
        raise ValueError(f"{address} has no study as job {job}: there are {there}")
    return known[job]


def resumed(words: list[str]) -> list[str]:
    """The command that goes on; a comparison and a measurement do by themselves, a probe has nothing to go on with."""
    return words if words[0] != "study.run" or "--resume" in words else [*words, "--resume"]


def follow(client: "JobSubmissionClient", address: str, job: str) -> int:
    """Shows what a job says. Returns 0; 1 if it failed, or was stopped."""
    try:
        with in_order(signal.default_int_handler):
            for said in jobs.follow(client, job):
                print(said, end="", flush=True)
        status = client.get_job_status(job)
    except KeyboardInterrupt:
        print(f"\n{job} goes on; see it again with: {this(address)} --follow {job}", file=sys.stderr)
        return 0
    except (RuntimeError, OSError) as reason:  # the connection, not the study
        print(f"error: {jobs.last_line(reason)}; see it again with: {this(address)} --follow {job}", file=sys.stderr)
        return 1
    if status == "SUCCEEDED":
        return 0
    print(f"{job} {status.lower()}; go on with: {this(address)} --resume {job}", file=sys.stderr)
    return 1


def this(address: str) -> str:
    return f"python -m study.submit --address {address}"


if __name__ == "__main__":
    sys.exit(entry.start(main))
