"""Every file in deploy/ is what the program that will read it takes, and says what our program means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from tools import DEPLOY, TOOLS, call

from connector.cli.advice import Exit
from connector.settings import job as jobs

pytestmark = pytest.mark.image

OVERLAYS = sorted(path.name for path in (DEPLOY / "kubernetes" / "overlays").iterdir())
DETERMINISTIC = {Exit.PENDING, Exit.REFUSED, Exit.IN_PART, Exit.USAGE, Exit.FILE}
"""What another attempt would only say again."""


@pytest.fixture(scope="module", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An overlay as kustomize renders it."""
    rendered = tmp_path_factory.mktemp("kubernetes") / f"{request.param}.yaml"
    rendered.write_text(call(TOOLS / "kubectl", "kustomize", DEPLOY / "kubernetes" / "overlays" / request.param))
    return rendered


def documents(path: Path) -> list[dict[str, Any]]:
    return list(YAML(typ="safe").load_all(path))


def test_kubernetes_takes_every_overlay(overlay: Path) -> None:
    said = call(TOOLS / "kubernetes-validate", "--strict", overlay)
    assert said.count("passed") == len(documents(overlay))


def test_the_pod_is_as_little_as_it_can_be(overlay: Path) -> None:
    found = 0
    for document in documents(overlay):
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        if "template" not in spec:
            continue
        found += 1
        pod = spec["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert (pod["securityContext"]["runAsNonRoot"], pod["securityContext"]["runAsUser"]) == (True, 10001)
        (container,) = pod["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        writable = [mount["mountPath"] for mount in container["volumeMounts"] if not mount.get("readOnly")]
        assert writable == ["/var/lib/cec-connector"]
    assert found == 1


def test_what_another_attempt_would_only_say_again_fails_the_job_at_once(overlay: Path) -> None:
    for document in documents(overlay):
        if document["kind"] == "CronJob":
            assert document["spec"]["concurrencyPolicy"] == "Forbid"
            rule, _ = document["spec"]["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
            assert (rule["action"], set(rule["onExitCodes"]["values"])) == ("FailJob", DETERMINISTIC)


def test_the_job_in_every_overlay_is_one(overlay: Path, tmp_path: Path) -> None:
    (texts,) = [document["data"] for document in documents(overlay) if document["kind"] == "ConfigMap"]
    path = tmp_path / "job.yaml"
    path.write_text(texts["job.yaml"])
    assert jobs.load(path).job.state == "sqlite:////var/lib/cec-connector/state.db"


def test_systemd_takes_the_units_and_they_try_again_what_may_go_better() -> None:
    units = sorted((DEPLOY / "systemd").iterdir())
    said = call("systemd-analyze", "verify", "--man=no", *units, code=1).splitlines()
    assert [line for line in said if "is not executable" not in line] == [], "only the program is not installed here"
    (service,) = [path.read_text() for path in units if path.suffix == ".service"]
    (codes,) = [line for line in service.splitlines() if line.startswith("RestartPreventExitStatus=")]
    assert set(map(int, codes.partition("=")[2].split())) == DETERMINISTIC


@pytest.mark.parametrize("path", ["Dockerfile", "trial/directory.Dockerfile"])
def test_the_dockerfiles_have_no_faults(path: str) -> None:
    assert call(TOOLS / "hadolint", "--no-color", DEPLOY / path) == ""


def test_compose_takes_the_trial_and_its_job_is_one() -> None:
    call(TOOLS / "docker-compose", "-f", DEPLOY / "compose.yaml", "config", "-q")
    call(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    jobs.load(DEPLOY / "trial" / "job.yaml")


def test_gitlab_takes_the_pipeline_and_apply_waits_for_a_person_and_takes_that_plan() -> None:
    path = DEPLOY / "gitlab" / "cec-connector.gitlab-ci.yml"
    call(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", path)
    (pipeline,) = documents(path)
    assert "--save plan.json" in pipeline["plan"]["script"][0]
    assert "plan.json" in pipeline["plan"]["artifacts"]["paths"]
    apply = pipeline["apply"]
    assert [rule["when"] for rule in apply["rules"]] == ["manual"]
    assert (apply["needs"][0]["job"], "--plan plan.json" in apply["script"][0]) == ("plan", True)
