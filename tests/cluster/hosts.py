"""Hosts made of Linux namespaces: each has its own address, processes, home, /tmp/ray, /dev/shm and SSH server.

They share this machine's files otherwise, and so its Python. Making them takes root, and the tools in NEEDED.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

NETWORK = "10.77.0"
NEEDED = {
    "ip": "iproute2",
    "unshare": "util-linux",
    "nsenter": "util-linux",
    "sshd": "openssh-server",
    "rsync": "rsync",
}
SEARCHED = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

# The first process of a host: it owns the host's mounts, and reaps what is left without a parent
INIT = """
set -e
cd {folder}
hostname {name}
mount --bind passwd /etc/passwd
mount --bind hosts /etc/hosts
mkdir -p /tmp/ray && mount --bind tmp-ray /tmp/ray
mount -t tmpfs -o size=1g,mode=1777 tmpfs /dev/shm
mount -t tmpfs -o mode=755 tmpfs /run && mkdir -p /run/sshd
{sshd}
touch ready
while :; do sleep 1; done
"""

SSHD = """
HostKey {folder}/host_key
AuthorizedKeysFile {keys}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
LogLevel ERROR
Subsystem sftp internal-sftp
"""


def why_not() -> str | None:
    """Why this machine cannot make hosts, in a line; None if it can."""
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    missing = {package for tool, package in NEEDED.items() if shutil.which(tool, path=SEARCHED) is None}
    if missing:
        return f"install {', '.join(sorted(missing))}: apt-get install {' '.join(sorted(missing))}"
    name = f"try{os.getpid()}"
    tried = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if tried.returncode:
        return f"network namespaces are not allowed here ({tried.stderr.strip()})"
    mounts = ["unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--propagation", "private"]
    inside = subprocess.run(["ip", "netns", "exec", name, *mounts, "true"], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "del", name], check=True)
    return f"namespaces of processes are not allowed here ({inside.stderr.strip()})" if inside.returncode else None


@dataclass
class Host:
    """One of them. `init` is its first process, as this machine numbers it: all that runs there ends with it."""

    name: str
    address: str
    folder: Path
    init: int

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def enter(self, *words: str) -> list[str]:
        """A command line that runs there."""
        namespaces = ["nsenter", "-t", str(self.init), "-n", "-m", "-p", "-u", f"--wd={self.home}"]
        return [*namespaces, "env", f"HOME={self.home}", *words]

    def run(self, *words: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.enter(*words), text=True, capture_output=True, timeout=timeout)

    def processes(self) -> list[str]:
        """Command lines of what runs there, but for the host's own."""
        listed = self.run("ps", "-eo", "args", "--no-headers").stdout.splitlines()
        own = ("bash ", "sleep ", "sshd", "ps ")
        return [line.strip() for line in listed if not line.strip().startswith(own)]

    def kill(self) -> None:
        """SIGKILL for the host, as if its power went: the kernel ends everything on it."""
        os.kill(self.init, signal.SIGKILL)


@contextmanager
def hosts(folder: Path, names: Sequence[str]) -> Iterator[list[Host]]:
    """Hosts on one network, each reached from the others by SSH as root with the key `folder/key`. They end with it."""
    key = folder / "key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
    started: list[subprocess.Popen[bytes]] = []
    spaces = [f"{name}-{os.getpid()}" for name in names]
    switch = f"switch-{os.getpid()}"
    try:
        ip("netns", "add", switch)
        ip("-n", switch, "link", "add", "bridge", "type", "bridge")
        ip("-n", switch, "address", "add", f"{NETWORK}.1/24", "dev", "bridge")
        ip("-n", switch, "link", "set", "bridge", "up")
        made = []
        for number, (name, space) in enumerate(zip(names, spaces, strict=True), start=10):
            address = f"{NETWORK}.{number}"
            connect(space, switch, f"port{number}", address)
            prepare(folder / name, name, key)
            command = ["ip", "netns", "exec", space, "unshare", "-m", "-u", "-p", "-f", "--mount-proc"]
            command += ["--kill-child", "--propagation", "private", "bash", str(folder / name / "init.sh")]
            with (folder / f"{name}.log").open("w") as log:
                started.append(
                    subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
                )
            wait_for(folder / name / "ready")
            made.append(Host(name, address, folder / name, child_of(started[-1].pid)))
        yield made
    finally:
        for process in started:
            process.kill()
            process.wait()
        for space in [*spaces, switch]:
            subprocess.run(["ip", "netns", "del", space], capture_output=True)


def ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def connect(space: str, switch: str, port: str, address: str) -> None:
    """A network namespace on the switch. Ray finds a machine's address by its default route, so there is one."""
    ip("netns", "add", space)
    ip("-n", space, "link", "add", "eth0", "type", "veth", "peer", "name", port, "netns", switch)
    ip("-n", switch, "link", "set", port, "master", "bridge", "up")
    ip("-n", space, "address", "add", f"{address}/24", "dev", "eth0")
    ip("-n", space, "link", "set", "lo", "up")
    ip("-n", space, "link", "set", "eth0", "up")
    ip("-n", space, "route", "add", "default", "via", f"{NETWORK}.1")


def prepare(folder: Path, name: str, key: Path) -> None:
    """A host's own files. Its name resolves to 127.0.1.1, as Debian and Ubuntu have it."""
    for own in ("home", "tmp-ray"):
        (folder / own).mkdir(parents=True)
    home = folder / "home"
    lines = [line for line in Path("/etc/passwd").read_text().splitlines() if not line.startswith("root:")]
    (folder / "passwd").write_text("\n".join([f"root:x:0:0:root:{home}:/bin/bash", *lines]) + "\n")
    (folder / "hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    (home / ".bashrc").write_text("")
    (home / ".profile").write_text('test -f "$HOME/.bashrc" && . "$HOME/.bashrc"\n')
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "host_key"], check=True)
    (folder / "sshd_config").write_text(SSHD.format(folder=folder, keys=key.with_suffix(".pub")))
    sshd = f"{shutil.which('sshd', path=SEARCHED)} -f {folder}/sshd_config"
    (folder / "init.sh").write_text(INIT.format(folder=folder, name=name, sshd=sshd))


def wait_for(path: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(f"{path} did not come within {seconds} s")
        time.sleep(0.1)


def child_of(parent: int) -> int:
    """The child of a process: the first one of its namespace of processes."""
    return int(Path(f"/proc/{parent}/task/{parent}/children").read_text().split()[0])
