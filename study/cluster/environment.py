"""Variables that Ray reads when it is imported, so this is the first thing that the package does; and which cluster.

What is wrong with the cluster that was asked for is said here, in one line, without importing Ray.
"""

import os
import shlex
import socket
import sys
from pathlib import Path

from study.cluster import head
from study.cluster.head import Answer

ALWAYS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",  # Tune's own state is never restored: see study/search.py
}
AUTH_MODE = "RAY_AUTH_MODE"
JOBS_PORT = 8265  # of Ray's dashboard, which takes jobs


def prepare() -> None:
    """Ray without usage reports; and, where it is started here, on the loopback interface alone.

    `ray.init(_node_ip_address="127.0.0.1")` does not do that: Ray 2.60 replaces it with the machine's address, unless
    this variable of its Windows and macOS builds says that there is no cluster.
    """
    provide_home()
    for name, value in ALWAYS.items():
        os.environ.setdefault(name, value)
    given = address()
    if given is None or only_on_loopback(given):
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")


def only_on_loopback(given: str) -> bool:
    """Whether a head takes connections on the loopback interface alone, as one that a study has started.

    Ray puts the machine's address in the place of 127.0.0.1, and tries that for minutes.
    """
    try:
        host, port = host_and_port(given)
    except ValueError:
        return False
    return host in {"localhost", "127.0.0.1", "::1"} and answers(given) and not answers(f"{machine_address()}:{port}")


def machine_address() -> str:
    """That which other machines see, as Ray finds it; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            asked.connect(("8.8.8.8", 80))
        except OSError:
            return "127.0.0.1"
        return str(asked.getsockname()[0])


def provide_home() -> None:
    """A container may run as a number that is no user, without HOME: Ray, torch and W&B all ask for one."""
    try:
        Path.home()
    except RuntimeError:
        from trainables import scratch

        home = scratch.of_user() / "home"
        home.mkdir(exist_ok=True)
        os.environ["HOME"] = str(home)


def address() -> str | None:
    """The Ray cluster that this command runs on: `RAY_ADDRESS`, or the head on this machine; None for none."""
    given = os.environ.get("RAY_ADDRESS")
    if given == "local":
        return None
    if given and given != "auto":
        return given
    for path in current_clusters():
        if (here := read(path)) and answers(here):
            return here
    return None


def current_clusters() -> list[Path]:
    """The files in which `ray start` may have left its head's address: it looks for its folder in this order."""
    folders = [os.environ.get("RAY_TMPDIR"), os.environ.get("TMPDIR"), "/tmp"]
    return [Path(folder, "ray", "ray_current_cluster") for folder in dict.fromkeys(filter(None, folders))]


def read(path: Path) -> str | None:
    """What the file says, if this user or root wrote it: Ray lets everybody write into its folder in /tmp."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with open(descriptor, encoding="utf-8") as file:
            mine = os.fstat(descriptor).st_uid in {0, os.geteuid()}
            return file.read(300).strip() or None if mine else None
    except (OSError, UnicodeDecodeError):
        return None


def host_and_port(given: str) -> tuple[str, int]:
    """Raises ValueError for what is no HOST:PORT."""
    host, _, port = given.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"RAY_ADDRESS={given} is no HOST:PORT of a Ray head: unset it to start one here")
    return host.strip("[]"), int(port)


def answers(given: str) -> bool:
    """Whether something listens at HOST:PORT: a killed head leaves its file."""
    try:
        with socket.create_connection(host_and_port(given), timeout=head.SECONDS):
            return True
    except (OSError, ValueError):
        return False


def check() -> None:
    """Turns Ray's tokens on where the cluster wants one. Raises ValueError if a study cannot run on the cluster."""
    given = address()
    if given is None:
        if os.environ.get("RAY_ADDRESS") == "auto":
            raise ValueError("RAY_ADDRESS=auto, but no Ray head answers on this machine: unset it to start one here")
        return
    scheme, separator, rest = given.partition("://")
    if separator:
        host = rest.partition("/")[0].rpartition(":")[0] or rest
        url = given if scheme.startswith("http") else f"http://{host}:{JOBS_PORT}"
        raise ValueError(
            f"RAY_ADDRESS={given}: a study does not run over {scheme}://, but as a job of that cluster: {submit(url)}"
        )
    host, port = host_and_port(given)
    token, place = head.token()
    mode = os.environ.get(AUTH_MODE, "").lower()
    if mode == "token" and token is None:
        raise ValueError(f"RAY_AUTH_MODE=token, but there is no token in {place}: bring the cluster's to this machine")
    # a token is for whoever asks for one
    answer = head.ask(host, port, token if mode == "token" else None)
    if answer is Answer.REFUSES_TOKEN and not mode and token:
        answer = head.ask(host, port, token)
        if answer is Answer.HEAD:
            os.environ[AUTH_MODE] = "token"
    if answer is not Answer.HEAD:
        raise ValueError(no_head(named(given), answer, mode=mode, token=token, place=place))


def named(given: str) -> str:
    """A cluster's address, with where it is from."""
    if os.environ.get("RAY_ADDRESS") == given:
        return f"RAY_ADDRESS={given}"
    return next((f"{given} ({path})" for path in current_clusters() if read(path) == given), given)


def no_head(where: str, answer: Answer, *, mode: str, token: str | None, place: str) -> str:
    """Why a study cannot run on the cluster at an address, and the way out."""
    if answer is Answer.NOBODY:
        return f"no Ray cluster answers at {where}: unset it to start one here"
    if answer is Answer.SOMETHING_ELSE:
        return (
            f"what listens at {where} is no Ray head: give the HOST:PORT of one, or RAY_ADDRESS=local to start one here"
        )
    if mode and mode != "token":
        return f"the Ray cluster at {where} wants a token, and RAY_AUTH_MODE={mode}: give RAY_AUTH_MODE=token"
    if token is None:
        return f"the Ray cluster at {where} wants a token, and there is none in {place}: bring the cluster's there"
    return (
        f"the Ray cluster at {where} refuses the token in {place}: it is another cluster's, so bring this one's there"
    )


def submit(url: str) -> str:
    """The command that runs this one as a job of the cluster whose dashboard is at the URL."""
    return f"python -m study.submit --address {url} -- {shlex.join(this_command())}"


def this_command() -> list[str]:
    """The words of the command that this process was started as, from the module on: `study.run --model vit`."""
    given = sys.orig_argv
    if "-m" in given and (words := given[given.index("-m") + 1 :]) and words[0].partition(".")[0] == "study":
        return ["study." + words[1], *words[2:]] if words[0] == "study" and len(words) > 1 else words
    if Path(sys.argv[0]).name == "study" and len(sys.argv) > 1:  # the entry point of the package
        return ["study." + sys.argv[1], *sys.argv[2:]]
    return ["study.run", "..."]
