"""The workers of a fleet in Kubernetes: what kustomize renders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from connector.apply.job_state import require_shared
from connector.cli.advice import Exit
from connector.serve.run_process import GRACE
from connector.settings import fleet as fleets, job as jobs
from tests.benchmarks.memory import APPLY
from tests.support.deploy_tools import DEPLOY, TOOLS, call, documents, pod_of, template_of
from tests.support.program import program

pytestmark = pytest.mark.image

FLEET = DEPLOY / "kubernetes" / "fleet"


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The workers as kustomize renders them."""
    path = tmp_path_factory.mktemp("fleet") / "fleet.yaml"
    path.write_text(call(TOOLS / "kubectl", "kustomize", FLEET))
    return path


def one(rendered: Path, kind: str) -> dict[str, Any]:
    (found,) = [document for document in documents(rendered) if document["kind"] == kind]
    return found


def argument(container: dict[str, Any], name: str) -> int:
    (value,) = [each.partition("=")[2] for each in container["args"] if each.startswith(f"{name}=")]
    return int(value)


def test_kubernetes_takes_the_workers(rendered: Path) -> None:
    said = call(TOOLS / "kubernetes-validate", "--strict", rendered)
    assert said.count("passed") == len(documents(rendered)) == 5


def test_a_worker_may_write_nothing_and_has_no_right_in_the_cluster(rendered: Path) -> None:
    pod = pod_of(documents(rendered))
    assert pod["automountServiceAccountToken"] is False
    assert one(rendered, "ServiceAccount")["automountServiceAccountToken"] is False
    assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True, True]


def test_a_worker_has_time_to_finish_and_to_hand_over_before_it_is_killed(rendered: Path) -> None:
    pod = pod_of(documents(rendered))
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] >= argument(container, "--finish") + 2 * GRACE


def test_a_worker_may_take_what_its_steps_were_measured_to_take(rendered: Path) -> None:
    (container,) = pod_of(documents(rendered))["containers"]
    assert container["resources"]["limits"] == {"memory": "3Gi"}
    assert APPLY.memory is not None
    assert argument(container, "--at-once") * APPLY.memory < 3 << 30


def test_an_update_and_a_drain_leave_a_worker_at_work(rendered: Path) -> None:
    deployment, budget = one(rendered, "Deployment")["spec"], one(rendered, "PodDisruptionBudget")["spec"]
    assert (deployment["replicas"], deployment["strategy"]["rollingUpdate"]["maxUnavailable"]) == (2, 0)
    assert budget["minAvailable"] < deployment["replicas"]
    labels = template_of(documents(rendered))["metadata"]["labels"].items()
    pod = deployment["template"]["spec"]
    for selector in (deployment["selector"], budget["selector"], pod["topologySpreadConstraints"][0]["labelSelector"]):
        assert selector["matchLabels"].items() <= labels


def test_what_a_worker_runs_is_a_command_line_and_its_probes_are_answered_there(rendered: Path, tmp_path: Path) -> None:
    (container,) = pod_of(documents(rendered))["containers"]
    ended = program(*container["args"], folder=tmp_path)
    assert ended.code == Exit.FILE, f"only the fleet file is not there: {ended.said}"
    (port,) = container["ports"]
    assert container["args"][-2:] == ["--listen", f"0.0.0.0:{port['containerPort']}"]
    assert [container[f"{kind}Probe"]["httpGet"] for kind in ("liveness", "readiness")] == [
        {"path": path, "port": port["name"]} for path in ("/healthz", "/readyz")
    ]


def test_the_jobs_are_good_ones_and_whatever_they_name_is_mounted(rendered: Path, tmp_path: Path) -> None:
    texts = one(rendered, "ConfigMap")
    for name, text in texts["data"].items():
        (tmp_path / name).write_text(text)
    fleets.find_fleet(tmp_path)
    others = set(texts["data"]) - {fleets.NAME}
    assert others
    for name in others:
        job = jobs.load_job(tmp_path / name)
        require_shared(job)
        assert job.job.serve is not None, "without it the job has no schedule"
    pod = pod_of(documents(rendered))
    (container,) = pod["containers"]
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounted = {mount["mountPath"]: volumes[mount["name"]] for mount in container["volumeMounts"]}
    assert mounted["/etc/cec-connector"]["configMap"]["name"] == texts["metadata"]["name"]
    named = re.findall(r"\{file: (.+)/([a-z-]+)\}", "".join(texts["data"].values()))
    (folder,) = {folder for folder, _ in named}
    secret = mounted[folder]["secret"]["secretName"]
    made = re.findall(r"--from-file=([a-z-]+)", (FLEET / "kustomization.yaml").read_text())
    (variable,) = container["env"]
    assert variable["valueFrom"]["secretKeyRef"] == {"name": secret, "key": "state-password"}
    assert {name for _, name in named} - {"hook-secret"} | {"state-password"} == set(made)


def test_the_network_policy_lets_the_workers_out_to_what_their_files_name(rendered: Path) -> None:
    policy = one(rendered, "NetworkPolicy")["spec"]
    labels = template_of(documents(rendered))["metadata"]["labels"].items()
    assert policy["podSelector"]["matchLabels"].items() <= labels
    out = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    assert out == {53, 443, 389, 636, 5432, 7233}
    texts = "".join(one(rendered, "ConfigMap")["data"].values())
    wanted = {{"https": 443, "ldaps": 636, "postgresql": 5432}[scheme] for scheme in re.findall(r"(\w+)://", texts)}
    assert wanted | {int(port) for port in re.findall(r"^address: \S+:(\d+)$", texts, re.MULTILINE)} <= out
    (container,) = pod_of(documents(rendered))["containers"]
    assert [port["port"] for rule in policy["ingress"] for port in rule["ports"]] == [
        port["containerPort"] for port in container["ports"]
    ]
