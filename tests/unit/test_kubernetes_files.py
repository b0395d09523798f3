"""kubernetes/ against Ray's own reading of it, the schemas of Kubernetes, and our intentions. Offline."""

import re
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from jsonschema import Draft202012Validator
from ray.autoscaler._private.kuberay import autoscaling_config

from study.__main__ import COMMANDS

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "kubernetes"

# What KubeRay 1.6 defines of RayCluster and RayJob, for the keys that we may use; `kubectl apply` refuses others
WORDS = {"type": "object", "additionalProperties": {"type": "string"}}
COUNT = {"type": "integer", "minimum": 0}
POD = {
    "type": "object",
    "required": ["spec"],
    "additionalProperties": False,
    "properties": {"spec": {"type": "object"}},
}


def only(required: list[str], **properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


CLUSTER = only(
    ["rayVersion", "authOptions", "headGroupSpec", "workerGroupSpecs"],
    rayVersion={"type": "string"},
    authOptions=only(["mode"], mode={"const": "token"}),
    enableInTreeAutoscaling={"const": True},
    autoscalerOptions=only([], version={"enum": ["v1", "v2"]}, idleTimeoutSeconds=COUNT),
    headGroupSpec=only(["rayStartParams", "template"], rayStartParams=WORDS, template=POD),
    workerGroupSpecs={
        "type": "array",
        "items": only(
            ["groupName", "minReplicas", "maxReplicas", "template"],
            groupName={"type": "string"},
            replicas=COUNT,
            minReplicas=COUNT,
            maxReplicas=COUNT,
            rayStartParams=WORDS,
            template=POD,
        ),
    },
)
JOB = only(
    ["clusterSelector", "entrypoint"],
    clusterSelector=WORDS,
    entrypoint={"type": "string"},
    submissionMode={"enum": ["K8sJobMode", "HTTPMode", "InteractiveMode", "SidecarMode"]},
    ttlSecondsAfterFinished=COUNT,
)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((FOLDER / name).read_text()))


@pytest.fixture
def cluster() -> dict[str, Any]:
    return documents("ray_cluster.yaml")[0]


@pytest.fixture
def job() -> dict[str, Any]:
    return documents("study_job.yaml")[0]


@pytest.fixture
def pods(cluster: dict[str, Any]) -> dict[str, dict[str, Any]]:
    groups = [cluster["spec"]["headGroupSpec"] | {"groupName": "head"}, *cluster["spec"]["workerGroupSpecs"]]
    return {group["groupName"]: group["template"]["spec"] for group in groups}


def test_only_keys_that_kuberay_knows_are_used(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    for document, schema in ((cluster, CLUSTER), (job, JOB)):
        assert set(document) == {"apiVersion", "kind", "metadata", "spec"}
        Draft202012Validator(schema).validate(document["spec"])


def test_a_misspelled_key_would_be_noticed(cluster: dict[str, Any]) -> None:
    cluster["spec"]["workerGroupSpecs"][0]["maxReplica"] = 4
    assert list(Draft202012Validator(CLUSTER).iter_errors(cluster["spec"]))


def test_kubernetes_takes_what_is_its_own(cluster: dict[str, Any], pods: dict[str, dict[str, Any]]) -> None:
    for name, pod in pods.items():
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": pod}, "1.33", strict=True
        )
    for document in documents("ray_cluster.yaml")[1:]:
        kubernetes_validate.validate(document, "1.33", strict=True)


def test_rays_autoscaler_reads_a_head_without_gpus_and_gpu_pods_from_zero(cluster: dict[str, Any]) -> None:
    cluster["metadata"]["namespace"] = "default"
    read = autoscaling_config._derive_autoscaling_config_from_ray_cr(cluster)
    head = read["available_node_types"].pop(read["head_node_type"])
    assert head["resources"].get("GPU", 0) == 0
    assert head["max_workers"] == 0
    gpus = 0
    for worker in read["available_node_types"].values():
        assert worker["min_workers"] == 0
        assert worker["resources"]["GPU"] >= 1
        gpus += worker["max_workers"] * worker["resources"]["GPU"]
    assert head["resources"]["autoscaled_gpus"] == gpus
    assert 0 < read["idle_timeout_minutes"] <= 15


def test_pods_ask_for_what_they_may_use(pods: dict[str, dict[str, Any]]) -> None:
    """Else Kubernetes may put more pods on a node than it has memory for, and ends some."""
    for pod in pods.values():
        for container in pod["containers"]:
            assert container["resources"]["requests"] == container["resources"]["limits"]


def test_what_is_mounted_is_a_volume_of_the_pod(pods: dict[str, dict[str, Any]]) -> None:
    for pod in pods.values():
        volumes = {volume["name"] for volume in pod["volumes"]}
        assert {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]} == volumes


def test_all_pods_run_one_image_with_the_pinned_version_of_ray(cluster: dict[str, Any], pods: dict[str, Any]) -> None:
    assert len({container["image"] for pod in pods.values() for container in pod["containers"]}) == 1
    pinned = re.search(r"^ray==(.+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
    assert pinned is not None
    assert cluster["spec"]["rayVersion"] == pinned[1]


def test_results_and_cache_lie_where_the_image_has_them(pods: dict[str, Any]) -> None:
    image = (FOLDER / "Containerfile").read_text()
    for pod in pods.values():
        for mount in pod["containers"][0]["volumeMounts"]:
            assert mount["mountPath"] in image


def test_the_job_runs_a_command_of_ours_on_that_cluster(cluster: dict[str, Any], job: dict[str, Any]) -> None:
    assert job["spec"]["clusterSelector"] == {"ray.io/cluster": cluster["metadata"]["name"]}
    python, option, module, *words = job["spec"]["entrypoint"].split()
    assert (python, option) == ("python", "-m")
    command = COMMANDS[module.removeprefix("study.")].loaded.parser()
    options = command.parse(words)
    assert str(options.results) == "/results"


def test_the_image_has_the_package_whole_and_installs_the_pinned_versions() -> None:
    image = (FOLDER / "Containerfile").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    for pattern in project["tool"]["setuptools"]["packages"]["find"]["include"]:
        package = pattern.rstrip("*")
        assert f"COPY {package} {package}" in image
    (install,) = re.findall(r"pip install .*", image)
    assert "-c constraints.txt" in install
    assert "[cluster]" in install
    for word in re.findall(r"^COPY (.+)", image, re.MULTILINE):
        for name in word.split()[:-1]:
            assert (ROOT / name).exists()
