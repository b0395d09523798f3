"""Both files for Ray's cluster launcher against Ray's own reading of them and our intentions. Offline."""

import copy
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from ray.autoscaler._private.util import prepare_config, validate_config

from study.cluster import file
from study.cluster.__main__ import main

ROOT = Path(__file__).parents[2]
FILE, LOCAL = ROOT / "ray_cluster.yaml", ROOT / "ray_cluster.local.yaml"
VCPUS_AND_GPUS = {"m6i.2xlarge": (8, 0), "g6.2xlarge": (8, 1)}  # as EC2 documents them
BOTH = pytest.mark.parametrize("path", [FILE, LOCAL], ids=["aws", "local"])
NODES = pytest.mark.parametrize("node", ["head", "worker"])


def as_ray_up_sees_it(path: Path) -> dict[str, Any]:
    """With the provider's defaults filled in."""
    return prepare_config(copy.deepcopy(yaml.safe_load(path.read_text())))


@pytest.fixture
def prepared() -> dict[str, Any]:
    return as_ray_up_sees_it(FILE)


@pytest.fixture
def workers(prepared: dict[str, Any]) -> dict[str, Any]:
    types = prepared["available_node_types"]
    return {name: node for name, node in types.items() if name != prepared["head_node_type"]}


@pytest.fixture
def head(prepared: dict[str, Any]) -> dict[str, Any]:
    return prepared["available_node_types"][prepared["head_node_type"]]


# What the command finds.


@BOTH
def test_ray_and_the_command_accept_the_file(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    validate_config(as_ray_up_sees_it(path))
    capsys.readouterr()
    assert main([str(path)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(f"{path} is good.")
    assert captured.err == ""


MISTAKES = {
    "a misspelled key": ("max_workers: 4  #", "max_worker: 4  #", "'max_worker'", "did you mean max_workers?"),
    "a misspelled key of the provider": ("region:", "regoin:", "'regoin'", "did you mean region?"),
    "a misspelled key of a node type": ("min_workers: 0  #", "min_worker: 0  #", "'min_worker'", "min_workers?"),
    "a provider that there is not": ("type: aws", "type: awz", "'awz'", "aws, azure, gcp, local"),
    "a key that is there twice": ("auth:\n", "auth: {}\nauth:\n", "'auth' is there twice", "line "),
    "text that is no YAML": ("auth:\n", "auth: [\n", "line ", "expected"),
    "a value of the wrong kind": ("max_workers: 4  #", "max_workers: four  #", "max_workers", "'four'"),
    "a head that is no node type": ("head_node_type: head", "head_node_type: haed", "'haed'", "gpu_spot"),
    "GPUs that a study would not hear of": (
        "autoscaled_gpus: 4",
        "autoscaled_gpus: 8",
        "autoscaled_gpus is 8",
        "4 GPUs",
    ),
    "a node type that no trial fits on": ("CPU: 8\n      GPU: 1", "CPU: 0\n      GPU: 1", "0 CPUs for 1 GPU", "a CPU"),
    "a cluster that is open to strangers": (
        "export RAY_AUTH_MODE=token",
        "export X=y",
        "RAY_AUTH_MODE=token",
        "code on it",
    ),
    "an open dashboard": ("--dashboard-host=127.0.0.1", "--dashboard-host=0.0.0.0", "dashboard", "127.0.0.1"),
    "a head that starts no worker": (
        "--autoscaling-config=~/ray_bootstrap_config.yaml",
        "",
        "--autoscaling-config",
        "lack",
    ),
    "a secret": ("  ssh_user: ubuntu", "  ssh_user: AKIAABCDEFGHIJKLMNOP", "an AWS access key id", "leave secrets"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_that_names_it_and_the_way_out(
    mistake: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    right, wrong, *words = MISTAKES[mistake]
    text = FILE.read_text()
    assert right in text
    path = tmp_path / "cluster.yaml"
    path.write_text(text.replace(right, wrong, 1))
    assert main([str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    [line] = captured.err.splitlines()
    assert all(word in line for word in [str(path), *words]), line


@pytest.mark.parametrize("key", ["head_ip", "worker_ips"])
def test_machines_without_addresses_are_refused(key: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cluster.yaml"
    path.write_text(re.sub(f"  {key}: .*\n", "", LOCAL.read_text()))
    assert main([str(path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert f"provider.{key} is missing" in line


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"\xff\xfe", None], ids=["nothing", "a list", "no text", "no file"])
def test_what_is_no_cluster_file_is_one_line(
    content: bytes | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cluster.yaml"
    if content is not None:
        path.write_bytes(content)
    assert main([str(path)]) == 2
    [line] = capsys.readouterr().err.splitlines()
    assert str(path) in line


def test_a_file_says_how_many_workers_and_gpus_there_may_be() -> None:
    assert (file.read(FILE).workers, file.read(FILE).gpus) == (4, 4)
    assert (file.read(LOCAL).workers, file.read(LOCAL).gpus) == (2, None)


# What the file for AWS is meant to be.


def test_gpu_workers_scale_from_zero_to_a_small_number(prepared: dict[str, Any], workers: dict[str, Any]) -> None:
    assert workers
    for worker in workers.values():
        assert worker["min_workers"] == 0
        assert worker["resources"]["GPU"] >= 1
        assert 1 <= worker["max_workers"] <= prepared["max_workers"] <= 4
    assert 0 < prepared["idle_timeout_minutes"] <= 15


def test_spot_comes_first_and_on_demand_of_the_same_shape_behind_it(workers: dict[str, Any]) -> None:
    first, second = sorted(workers.values(), key=lambda node: -node["priority"])
    assert first["priority"] > second["priority"]
    assert first["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}
    assert "InstanceMarketOptions" not in second["node_config"]
    assert first["resources"] == second["resources"]


def test_the_head_has_no_gpu_and_is_never_started_twice(head: dict[str, Any]) -> None:
    assert head["resources"].get("GPU", 0) == 0
    assert head["max_workers"] == 0
    assert "InstanceMarketOptions" not in head["node_config"], "a head on spot takes the study with it"


def test_node_types_declare_no_more_than_their_instances_have(prepared: dict[str, Any]) -> None:
    for node in prepared["available_node_types"].values():
        cpus, gpus = VCPUS_AND_GPUS[node["node_config"]["InstanceType"]]
        assert 1 <= node["resources"]["CPU"] <= cpus
        assert node["resources"].get("GPU", 0) == gpus


def test_a_node_that_is_gone_costs_nothing(prepared: dict[str, Any]) -> None:
    assert prepared["provider"]["cache_stopped_nodes"] is False
    for node in prepared["available_node_types"].values():
        assert all(disk["Ebs"]["DeleteOnTermination"] for disk in node["node_config"]["BlockDeviceMappings"])


def test_workers_keep_activations_on_the_disk_of_their_machine(prepared: dict[str, Any]) -> None:
    (start,) = (command for command in prepared["worker_start_ray_commands"] if "ray start" in command)
    assert re.search(r"test -w (/\S+).*export STUDY_CACHE=\1/\S+", start.split("ray start")[0])


# What both are meant to be.


@BOTH
@NODES
def test_ray_starts_with_token_authentication_and_without_usage_statistics(path: Path, node: str) -> None:
    starts = [command for command in as_ray_up_sees_it(path)[f"{node}_start_ray_commands"] if "ray start" in command]
    assert starts
    for command in starts:
        exports = command.split("ray start")[0]
        assert "RAY_AUTH_MODE=token" in exports
        assert "RAY_USAGE_STATS_ENABLED=0" in exports


@BOTH
@NODES
def test_shells_and_jobs_on_a_node_use_the_token_too(path: Path, node: str) -> None:
    (profile,) = (command for command in as_ray_up_sees_it(path)[f"{node}_setup_commands"] if "~/.bashrc" in command)
    assert "RAY_AUTH_MODE=token" in profile
    assert "RAY_USAGE_STATS_ENABLED=0" in profile


@BOTH
def test_the_token_travels_as_a_file(path: Path) -> None:
    assert as_ray_up_sees_it(path)["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"


@BOTH
def test_the_dashboard_listens_on_loopback_only_and_jobs_may_end_in_order(path: Path) -> None:
    start = " ".join(as_ray_up_sees_it(path)["head_start_ray_commands"])
    assert "--dashboard-host=127.0.0.1" in start
    assert re.search(r"RAY_JOB_STOP_WAIT_TIME_S=\d\d", start.split("ray start")[0])


@BOTH
def test_what_is_mounted_exists_and_is_small(path: Path) -> None:
    """Ray hashes every byte below a mount at each `ray up`, so never the whole folder with .venv and results."""
    mounts = as_ray_up_sees_it(path)["file_mounts"]
    ours = {remote: local for remote, local in mounts.items() if not local.startswith("~")}
    for remote, local in ours.items():
        assert (ROOT / local).exists(), local
        assert ROOT / local != ROOT
        assert remote == f"~/attention-or-convolution/{local}"


@BOTH
def test_every_package_of_the_project_is_mounted(path: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    packages = {pattern.rstrip("*") for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]}
    licences = set(project["project"]["license-files"])
    mounted = set(as_ray_up_sees_it(path)["file_mounts"].values())
    assert packages | licences | {"pyproject.toml", "constraints.txt"} <= mounted


@BOTH
def test_nodes_install_the_pinned_versions_with_what_a_cluster_needs(path: Path) -> None:
    (install,) = (c for c in as_ray_up_sees_it(path)["worker_setup_commands"] if "pip install" in c)
    assert "[cluster]" in install
    assert "-c constraints.txt" in install
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [Requirement(line) for line in project["optional-dependencies"]["cluster"]]
    assert any(requirement.name == "ray" and "default" in requirement.extras for requirement in needed)
    assert any(requirement.name == "boto3" for requirement in needed), "the head starts workers through it"


@NODES
def test_all_workers_of_the_local_provider_join(node: str) -> None:
    """With Ray 2.60's second autoscaler one of two does: `make cluster-test` counts them."""
    (start,) = (c for c in as_ray_up_sees_it(LOCAL)[f"{node}_start_ray_commands"] if "ray start" in c)
    assert "RAY_enable_autoscaler_v2=0" in start.split("ray start")[0]
