"""Studies as jobs of a Ray cluster: they need no terminal, and no machine but the cluster's.

Ray's Jobs API is HTTP, on the port of the dashboard. What is wrong with an address or a token is said without Ray.
"""

import http.client
import json
import os
import shlex
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Any

from study.cluster import environment, head

if TYPE_CHECKING:
    from ray.job_submission import JobSubmissionClient

SECONDS = 5
PATIENCE = 30  # for a head that has just started
NOT_YET = "No available agent"  # what it says then
API_ADDRESS = "RAY_API_SERVER_ADDRESS"  # Ray's variable
LASTING = Path("~/study-results")  # on the head
STOPPING = 120  # seconds that a study has to stop in order: Ray's default is 3
OF_A_PACKAGE = "runtime_resources/working_dir_files"  # where Ray unpacks the folder that comes with a job
NOT_SENT = [".git", ".venv", "results", "wandb", "**/__pycache__", "**/.env", "**/.netrc", "**/.aws"]  # secrets, too
MODULES = ("study.run", "study.compare", "study.probe", "study.data_efficiency")


def url(given: str | None) -> str:
    """Where a cluster takes jobs: as given, as Ray's variables say, or on this machine. Raises ValueError."""
    address = given or os.environ.get(API_ADDRESS) or environment.address() or "127.0.0.1"
    scheme, separator, rest = address.rpartition("://")
    if scheme in ("http", "https"):
        return address.rstrip("/")
    if separator and scheme != "ray":
        raise ValueError(f"--address takes http://HOST:{environment.JOBS_PORT}, got {address}")
    host = rest.rpartition(":")[0] or rest
    return f"http://{host}:{environment.JOBS_PORT}"


def check(address: str) -> None:
    """Turns tokens on where the cluster wants one. Raises ValueError, within seconds, if it takes no job of ours."""
    token, place = head.token()
    mode = os.environ.get(environment.AUTH_MODE, "").lower()
    status = ask(address, token if mode == "token" else None)
    if status in (401, 403) and not mode and token:
        status = ask(address, token)
        os.environ[environment.AUTH_MODE] = "token"
    if status == 200:
        return
    if status is None:
        raise ValueError(
            f"no Ray cluster takes jobs at {address}: give --address http://HOST:{environment.JOBS_PORT}, and where "
            "the dashboard is on the head's loopback bring it here first (ray dashboard FILE.yaml, or ssh -N -L)"
        )
    if status in (401, 403):
        answer = head.Answer.REFUSES_TOKEN
        raise ValueError(environment.no_head(address, answer, mode=mode, token=token, place=place))
    raise ValueError(
        f"what listens at {address} is no Ray dashboard: give --address http://HOST:{environment.JOBS_PORT}"
    )


def ask(address: str, token: str | None) -> int | None:
    """The HTTP status of a dashboard that says which Ray it is; 0 for what is none, None where nobody listens."""
    request = urllib.request.Request(f"{address}/api/version")
    if token:
        request.add_header("Authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return 200 if "ray_version" in json.load(answer) else 0
    except urllib.error.HTTPError as error:
        return error.code
    except urllib.error.URLError as error:
        return 0 if isinstance(error.reason, TimeoutError) else None
    except (OSError, ValueError, TypeError, http.client.HTTPException):
        return 0


def client(address: str) -> "JobSubmissionClient":
    """Raises ValueError for a cluster that takes no job of ours."""
    check(address)
    if find_spec("aiohttp") is None:
        raise ValueError("Ray's jobs need more packages: pip install -e '.[cluster]' -c constraints.txt")
    os.environ[API_ADDRESS] = address  # Ray lets its variables win
    from ray.job_submission import JobSubmissionClient

    try:
        return JobSubmissionClient(address)
    except Exception as error:
        raise ValueError(f"{address} takes no jobs: {last_line(error)}") from None


def submit(jobs: "JobSubmissionClient", words: Sequence[str], working_dir: Path | None) -> str:
    """Starts a command, as `study.run --model vit`, as a job; returns the job's id. Raises ValueError."""
    settings: dict[str, Any] = {"env_vars": {"RAY_JOB_STOP_WAIT_TIME_S": str(STOPPING)}}
    if working_dir is not None:
        settings |= {"working_dir": str(working_dir), "excludes": NOT_SENT}
    until = monotonic() + PATIENCE
    while True:
        try:
            # without CPUs of its own: the study's process asks for what its runs need
            return jobs.submit_job(
                entrypoint=entrypoint(words), runtime_env=settings, metadata={"words": json.dumps([*words])}
            )
        except Exception as error:
            if NOT_YET not in str(error) or monotonic() > until:
                raise ValueError(f"the job was not taken: {last_line(error)}") from None
        sleep(1)


def entrypoint(words: Sequence[str]) -> str:
    """What the head's shell runs; `~` stays for the command, which knows it."""
    return shlex.join(["python", "-m", *words])


def words_of(job: Any) -> list[str] | None:
    """The command of a job of ours, from the module on; None for a job of somebody else's."""
    given = shlex.split(job.entrypoint or "")
    return given[2:] if given[1:2] == ["-m"] and given[2:3] and given[2] in MODULES else None


def with_lasting_results(words: Sequence[str]) -> tuple[list[str], str]:
    """The command with its results where they stay, and that place: a relative path means another one in each job."""
    kept, given, rest = [], None, iter(words)
    for word in rest:
        name, equals, value = word.partition("=")
        if name == "--results":
            given = value if equals else next(rest, "")
        else:
            kept.append(word)
    place = given if given and "://" in given else str(lasting(Path(given or "results")))
    return [*kept, "--results", place], place


def lasting(path: Path) -> Path:
    """Where a relative path of results lies so that it stays."""
    if path.is_absolute() or path.parts[:1] == ("~",):
        return path
    return LASTING if path == Path("results") else LASTING / path


def in_a_package() -> bool:
    """Whether this process runs in a folder that came with its job, which Ray deletes when it likes."""
    return OF_A_PACKAGE in Path.cwd().as_posix()


def follow(jobs: "JobSubmissionClient", job: str) -> Iterator[str]:
    """What a job says, as it says it, until it has ended."""
    said = ""
    while True:
        ended = jobs.get_job_status(job).is_terminal()
        now = jobs.get_job_logs(job)
        yield now.removeprefix(said)
        said = now
        if ended:
            return
        sleep(1)


def last_line_of(jobs: "JobSubmissionClient", job: str) -> str:
    """What a job said last: a study says how far it is."""
    said = jobs.get_job_logs(job).strip().splitlines()
    return said[-1] if said else ""


def last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:300]
