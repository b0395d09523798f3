"""The records that lie on a cluster, read there: by a job of the head, which prints them."""

import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from study.cluster import jobs
from study.results.progress import Progress

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

SECONDS = 60  # for the head's answer
BEGINS = '{\n "studies"'  # of what `study.status --json` prints


def of_jobs(client: "JobSubmissionClient", commands: Sequence[Sequence[str]]) -> list[Progress]:
    """How far the studies are that jobs have written, all that lie where these have their results.

    Args:
        client: of the cluster's jobs.
        commands: the words of each job.

    Raises ValueError where the head does not answer: it may have another version of this package.
    """
    places = dict.fromkeys(jobs.with_lasting_results(words)[1] for words in commands)
    if not places:
        return []
    looks = (shlex.join(["python", "-m", "study.status", place, "--json"]) for place in places)
    printed = printed_by(client, "; ".join(looks))
    answers = list(answers_in(printed))
    if not answers:
        raise ValueError(
            f"the head did not say how far its studies are: {(printed.splitlines() or ['it said nothing'])[-1]}"
        )
    return [progress(one) for answer in answers for one in answer["studies"]]


def answers_in(printed: str) -> Iterator[dict[str, Any]]:
    """Of all the looks, among what else their processes say."""
    at = printed.find(BEGINS)
    while at >= 0:
        answer, end = json.JSONDecoder().raw_decode(printed, at)
        yield answer
        at = printed.find(BEGINS, end)


def printed_by(client: "JobSubmissionClient", command: str) -> str:
    """What a shell's command prints as a job. Raises ValueError for one that takes too long."""
    job = client.submit_job(entrypoint=command)
    until = monotonic() + SECONDS
    while not client.get_job_status(job).is_terminal():
        if monotonic() > until:
            client.stop_job(job)
            raise ValueError(f"the head did not answer within {SECONDS} s")
        sleep(0.2)
    printed = client.get_job_logs(job)
    client.delete_job(job)
    return printed


def progress(facts: dict[str, Any]) -> Progress:
    """As `study.status --json` prints it; what another version adds is left out."""
    known = {name: value for name, value in facts.items() if name in {one.name for one in fields(Progress)}}
    return Progress(**known | {"folder": Path(facts["folder"]), "nodes": tuple(facts["nodes"])})
