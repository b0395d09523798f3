"""A file for Ray's cluster launcher, checked more strictly than `ray up` checks it, and without a network.

Ray takes any key under `provider`, starts nodes that no trial fits on, and opens a cluster to all who reach its ports.
"""

import copy
import json
import logging
import re
from collections.abc import Iterable, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from difflib import get_close_matches
from io import StringIO
from pathlib import Path
from typing import Any

import jsonschema
import yaml

AUTOSCALED = "autoscaled_gpus"  # a resource of the head: the GPUs that may still be started
TOKEN = "RAY_AUTH_MODE=token"

# What each of Ray 2.60's providers reads; with "*" the keys of all of them
PROVIDER_KEYS = {
    "*": {"type", "cache_stopped_nodes", "disable_node_updaters", "use_internal_ips"},
    "aws": {"region", "availability_zone", "security_group", "cloudwatch", "aws_credentials"},
    "gcp": {"region", "availability_zone", "project_id", "gcp_credentials"},
    "azure": {"location", "resource_group", "subscription_id", "tags", "msi_name", "msi_resource_group"},
    "local": {"head_ip", "worker_ips", "coordinator_address", "external_head_ip"},
}
SECRETS = {
    "an AWS access key id": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "an AWS secret key": r"(?i)aws_secret_access_key|aws_session_token",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a W&B, Hugging Face or git hosting token": r"\b[0-9a-f]{40}\b|\bhf_\w{20,}|\bgh[pousr]_\w{20,}|(?i:wandb_api_key)",
    "a Ray token": r"RAY_AUTH_TOKEN=|\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b",
    "a password": r"(?i)passw(or)?d\s*[:=]",
}


@dataclass(frozen=True)
class ClusterFile:
    """A file that holds what a study needs.

    Attributes:
        name: of the cluster.
        node_types: by name, their resources; `nothing` where Ray finds out on the machine.
        workers: the most that there are at a time.
        gpus: the most that there are at a time; None where Ray finds out on the machines.
    """

    name: str
    node_types: Mapping[str, Mapping[str, float]]
    workers: int
    gpus: int | None

    def __str__(self) -> str:
        gpus = "as many GPUs as the machines have" if self.gpus is None else f"{self.gpus} GPUs"
        return f"{self.name}: at most {self.workers} workers with {gpus}; node types {', '.join(self.node_types)}"


def read(path: Path) -> ClusterFile:
    """Checks a file. Raises ValueError for the first thing that is wrong, with what would be right."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {getattr(error, 'strerror', None) or 'it is no text'}") from None
    try:
        return checked(text)
    except ValueError as mistake:
        raise ValueError(f"{path}: {mistake}") from None


def checked(text: str) -> ClusterFile:
    """The same for the text of a file."""
    written = parsed(text)
    for kind, pattern in SECRETS.items():
        if re.search(pattern, text):
            raise ValueError(f"it seems to hold {kind}: leave secrets to files of your own, which file_mounts can name")
    check_keys(written)
    check_workers(written)
    prepared = as_ray_reads_it(written)
    check_commands(prepared)
    return described(prepared)


class OneOfEach(yaml.SafeLoader):
    """YAML that refuses a key that is there twice, of which it would quietly keep the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value if key.value != "<<"]
        if twice := next((key for key in keys if keys.count(key) > 1), None):
            raise ValueError(f"line {node.start_mark.line + 1}: the key {twice!r} is there twice")
        return super().construct_mapping(node, deep)


def parsed(text: str) -> dict[str, Any]:
    try:
        written = yaml.load(text, OneOfEach)
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ValueError(f"{line}{error.problem or 'it is no YAML'}") from None
    if not isinstance(written, dict):
        raise ValueError("it has no keys: ray_cluster.yaml is one that does")
    return written


def check_keys(written: Mapping[str, Any]) -> None:
    """Raises ValueError for a key that Ray does not know, or would not read."""
    import ray.autoscaler

    schema = json.loads((Path(ray.autoscaler.__path__[0]) / "ray-schema.json").read_text())
    if (written.get("provider") or {}).get("type") == "local":
        schema["properties"]["min_workers"] = schema["properties"]["max_workers"]  # which Ray moves before it checks
    errors = sorted(jsonschema.Draft7Validator(schema).iter_errors(written), key=lambda error: len(error.absolute_path))
    for error in errors:
        raise ValueError(said(error))
    provider = written["provider"]
    if (kind := provider["type"]) not in PROVIDER_KEYS:
        raise ValueError(f"provider.type {kind!r} is none of {', '.join(sorted(PROVIDER_KEYS.keys() - {'*'}))}")
    known = PROVIDER_KEYS["*"] | PROVIDER_KEYS[kind]
    for key in provider:
        if key not in known:
            raise ValueError(f"provider has no key {key!r} that Ray reads{nearest(key, known)}")


def said(error: jsonschema.ValidationError) -> str:
    """What a schema does not allow, in a line."""
    where = ".".join(map(str, error.absolute_path)) or "the file"
    if error.validator == "additionalProperties":
        schema: Any = error.schema
        known = set(schema.get("properties", {}))
        key = next(key for key in error.instance if key not in known)
        return f"{where} has no key {key!r} that Ray reads{nearest(str(key), known)}"
    return f"{where}: {error.message}"


def nearest(key: str, known: Iterable[str]) -> str:
    close = get_close_matches(key, sorted(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]}?" if close else ""


def as_ray_reads_it(written: Mapping[str, Any]) -> dict[str, Any]:
    """With the provider's defaults filled in."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    if written["provider"]["type"] == "local":
        for key in ("head_ip", "worker_ips"):
            if not written["provider"].get(key) and "coordinator_address" not in written["provider"]:
                raise ValueError(f"provider.{key} is missing: the addresses of your machines")
    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # Ray tells of what `ray up` would do
        prepared: dict[str, Any] = prepare_config(copy.deepcopy(dict(written)))
        validate_config(prepared)
    return prepared


def check_workers(written: Mapping[str, Any]) -> None:
    """Raises ValueError for node types that no trial fits on, and for GPUs that a study would not hear of."""
    types = written.get("available_node_types", {})
    if not types:
        return
    head = written.get("head_node_type")
    if head not in types:
        raise ValueError(f"head_node_type {head!r} is none of available_node_types: {', '.join(types)}")
    gpus = 0
    for name, node in types.items():
        resources = node.get("resources", {})
        given, cpus = resources.get("GPU", 0), resources.get("CPU", 0)
        if name != head and resources and cpus < max(given, 1):
            raise ValueError(f"{name} has {cpus} CPUs for {given} GPUs: a trial asks for a CPU beside each GPU")
        if name != head:
            gpus = max(gpus, min(node.get("max_workers", written.get("max_workers", 0)), most(written)) * given)
    declared = types[head].get("resources", {}).get(AUTOSCALED, 0)
    if declared != gpus:
        raise ValueError(
            f"{head}.resources.{AUTOSCALED} is {declared}, and {gpus} GPUs may be started: it tells a study of them"
        )


def most(written: Mapping[str, Any]) -> int:
    return int(written.get("max_workers", 0))


def check_commands(prepared: Mapping[str, Any]) -> None:
    """Raises ValueError for a cluster that is open to strangers, or that never starts a worker."""
    for node in ("head", "worker"):
        starts = [command for command in prepared[f"{node}_start_ray_commands"] if "ray start" in command]
        if not starts:
            raise ValueError(f"{node}_start_ray_commands start no Ray")
        for command in starts:
            if TOKEN not in command.split("ray start")[0]:
                raise ValueError(
                    f"{node}_start_ray_commands start Ray without `export {TOKEN}`: whoever reaches a port of the "
                    "cluster would run code on it"
                )
            if node == "head" and "--autoscaling-config" not in command:
                raise ValueError("head_start_ray_commands lack --autoscaling-config=~/ray_bootstrap_config.yaml")
            if node == "head" and re.search(r"--dashboard-host[= ](?!127\.0\.0\.1|localhost)", command):
                raise ValueError("the dashboard would listen to the network: --dashboard-host=127.0.0.1")


def described(prepared: Mapping[str, Any]) -> ClusterFile:
    types = prepared["available_node_types"]
    workers = {name: node for name, node in types.items() if name != prepared["head_node_type"]} or types
    total = int(prepared["max_workers"])
    each = [node["resources"].get("GPU", 0) for node in workers.values()]
    return ClusterFile(
        name=prepared["cluster_name"],
        node_types={name: dict(node["resources"]) for name, node in types.items()},
        workers=total,
        gpus=None if prepared["provider"]["type"] == "local" else int(total * max(each)),
    )
