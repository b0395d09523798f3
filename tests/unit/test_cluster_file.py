"""ray_cluster.yaml against Ray's own schema and our intentions for it. Offline: nothing here talks to a cloud."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from packaging.requirements import Requirement
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
FILE = ROOT / "ray_cluster.yaml"
VCPUS_AND_GPUS = {"m6i.2xlarge": (8, 0), "g6.2xlarge": (8, 1)}  # as EC2 documents them
SECRETS = {
    "an AWS access key id": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "an AWS secret key": r"(?i)aws_secret_access_key|aws_session_token",
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "a W&B, Hugging Face or git hosting token": r"\b[0-9a-f]{40}\b|\bhf_\w{20,}|\bgh[pousr]_\w{20,}|(?i:wandb_api_key)",
    "a Ray token": r"RAY_AUTH_TOKEN=|\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b|\b[0-9a-f]{32,}\b",
    "a password": r"(?i)passw(or)?d\s*[:=]",
}


@pytest.fixture
def written() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text())


@pytest.fixture
def prepared(written: dict[str, Any]) -> dict[str, Any]:
    """The file as `ray up` sees it: with the provider's defaults filled in."""
    return prepare_config(copy.deepcopy(written))


@pytest.fixture
def workers(prepared: dict[str, Any]) -> dict[str, Any]:
    types = prepared["available_node_types"]
    return {name: node for name, node in types.items() if name != prepared["head_node_type"]}


@pytest.fixture
def head(prepared: dict[str, Any]) -> dict[str, Any]:
    return prepared["available_node_types"][prepared["head_node_type"]]


def test_ray_accepts_the_file(prepared: dict[str, Any]) -> None:
    validate_config(prepared)


def test_a_misspelled_top_level_key_is_refused(written: dict[str, Any]) -> None:
    written["max_worker"] = written.pop("max_workers")
    with pytest.raises(jsonschema.ValidationError, match="max_worker"):
        validate_config(prepare_config(written))


def test_a_misspelled_key_of_a_node_type_is_refused(written: dict[str, Any]) -> None:
    written["available_node_types"]["gpu_worker"]["min_worker"] = 0
    with pytest.raises(jsonschema.ValidationError, match="min_worker"):
        validate_config(prepare_config(written))


def test_keys_of_the_provider_are_those_that_ray_reads(written: dict[str, Any]) -> None:
    """Ray's schema lets any key pass here."""
    assert set(written["provider"]) <= {"type", "region", "availability_zone", "cache_stopped_nodes"}


def test_no_key_is_written_twice() -> None:
    """YAML would quietly keep the last one."""

    class Strict(yaml.SafeLoader):
        pass

    def mapping(loader: Strict, node: yaml.MappingNode) -> dict[Any, Any]:
        keys = [loader.construct_object(key) for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"a key is there twice: {keys}"
        return loader.construct_mapping(node, deep=True)

    Strict.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    yaml.load(FILE.read_text(), Loader=Strict)


@pytest.mark.parametrize("kind", SECRETS)
def test_the_file_holds_no_secret(kind: str) -> None:
    assert re.search(SECRETS[kind], FILE.read_text()) is None, f"{FILE.name} seems to hold {kind}"


def test_gpu_workers_scale_from_zero_to_a_small_number(prepared: dict[str, Any], workers: dict[str, Any]) -> None:
    assert workers
    for worker in workers.values():
        assert worker["min_workers"] == 0
        assert worker["resources"]["GPU"] >= 1
        assert 1 <= worker["max_workers"] <= prepared["max_workers"] <= 4
    assert 0 < prepared["idle_timeout_minutes"] <= 15


def test_the_head_has_no_gpu_and_is_never_started_twice(head: dict[str, Any]) -> None:
    assert head["resources"].get("GPU", 0) == 0
    assert head["max_workers"] == 0
    assert "InstanceMarketOptions" not in head["node_config"], "a head on spot takes the study with it"


def test_the_head_declares_the_gpus_that_may_still_be_started(prepared: dict[str, Any], head: dict[str, Any]) -> None:
    """study.cluster.connection reads them: an idle cluster has no GPU, and must not be taken for a laptop."""
    (worker,) = (n for n in prepared["available_node_types"].values() if "GPU" in n["resources"])
    assert head["resources"]["autoscaled_gpus"] == prepared["max_workers"] * worker["resources"]["GPU"]


def test_node_types_declare_no_more_than_their_instances_have(prepared: dict[str, Any]) -> None:
    for node in prepared["available_node_types"].values():
        cpus, gpus = VCPUS_AND_GPUS[node["node_config"]["InstanceType"]]
        assert 1 <= node["resources"]["CPU"] <= cpus
        assert node["resources"].get("GPU", 0) == gpus


def test_a_node_that_is_gone_costs_nothing(prepared: dict[str, Any]) -> None:
    assert prepared["provider"]["cache_stopped_nodes"] is False
    for node in prepared["available_node_types"].values():
        assert all(disk["Ebs"]["DeleteOnTermination"] for disk in node["node_config"]["BlockDeviceMappings"])


@pytest.mark.parametrize("node", ["head", "worker"])
def test_ray_starts_with_token_authentication_and_without_usage_statistics(prepared: dict[str, Any], node: str) -> None:
    starts = [command for command in prepared[f"{node}_start_ray_commands"] if "ray start" in command]
    assert starts
    for command in starts:
        exports = command.split("ray start")[0]
        assert "RAY_AUTH_MODE=token" in exports
        assert "RAY_USAGE_STATS_ENABLED=0" in exports


@pytest.mark.parametrize("node", ["head", "worker"])
def test_shells_and_jobs_on_a_node_use_the_token_too(prepared: dict[str, Any], node: str) -> None:
    (profile,) = (command for command in prepared[f"{node}_setup_commands"] if "~/.bashrc" in command)
    assert "RAY_AUTH_MODE=token" in profile
    assert "RAY_USAGE_STATS_ENABLED=0" in profile


def test_the_token_travels_as_a_file(prepared: dict[str, Any]) -> None:
    assert prepared["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


def test_the_dashboard_listens_on_loopback_only(prepared: dict[str, Any]) -> None:
    start = " ".join(prepared["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start
    assert "--autoscaling-config=~/ray_bootstrap_config.yaml" in start, "without it no worker ever starts"


def test_what_is_mounted_exists_and_is_small(prepared: dict[str, Any]) -> None:
    """Ray hashes every byte below a mount at each `ray up`, so never the whole folder with .venv and results."""
    ours = {remote: local for remote, local in prepared["file_mounts"].items() if not local.startswith("~")}
    for remote, local in ours.items():
        path = ROOT / local
        assert path.exists(), local
        assert path != ROOT
        assert remote == f"~/attention-or-convolution/{local}"


def test_every_package_of_the_project_is_mounted(prepared: dict[str, Any]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    licences = set(project["project"]["license-files"])
    assert packages | licences | {"pyproject.toml", "constraints.txt"} <= set(prepared["file_mounts"].values())


def test_nodes_install_the_pinned_versions_with_what_a_cluster_needs(prepared: dict[str, Any]) -> None:
    (install,) = (command for command in prepared["worker_setup_commands"] if "pip install" in command)
    assert "[cluster]" in install
    assert "-c constraints.txt" in install
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [Requirement(line) for line in project["optional-dependencies"]["cluster"]]
    assert any(requirement.name == "ray" and "default" in requirement.extras for requirement in needed)
    assert any(requirement.name == "boto3" for requirement in needed), "the head starts workers through it"
