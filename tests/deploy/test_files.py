"""Every file in deploy/ is what the program that will read it takes, and says what our program means."""

from __future__ import annotations

import json
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from connector.cli.advice import Exit
from connector.serve.schedule import Cron
from connector.settings import job as jobs
from tests.benchmarks.memory import APPLY
from tests.support.deploy_tools import DEPLOY, TOOLS, call, documents, pod_of, template_of
from tests.support.program import program

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


def test_kubernetes_takes_every_overlay(overlay: Path) -> None:
    said = call(TOOLS / "kubernetes-validate", "--strict", overlay)
    assert said.count("passed") == len(documents(overlay))


def test_the_pod_is_as_little_as_it_can_be(overlay: Path) -> None:
    pod = pod_of(documents(overlay))
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


def test_the_pod_may_take_what_the_largest_apply_was_measured_to_take(overlay: Path) -> None:
    (container,) = pod_of(documents(overlay))["containers"]
    assert container["resources"]["limits"] == {"memory": "1Gi"}
    assert APPLY.memory is not None
    assert 1.5 * APPLY.memory < 1 << 30


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
    assert jobs.load_job(path).job.state == "sqlite:////var/lib/cec-connector/state.db"


def test_what_an_overlay_runs_is_a_command_line_and_what_its_name_says(overlay: Path, tmp_path: Path) -> None:
    pod = pod_of(documents(overlay))
    arguments = pod["containers"][0]["args"]
    kind = {"apply": "apply", "dry-run": "plan", "serve": "serve"}[overlay.stem]
    assert arguments[0] == kind
    ended = program(*arguments, folder=tmp_path)
    assert ended.code == Exit.FILE, f"only the job is not there: {ended.said}"


def test_whatever_the_job_in_an_overlay_names_is_mounted(overlay: Path) -> None:
    found = documents(overlay)
    pod = pod_of(found)
    mounted = {mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    (texts,) = [document for document in found if document["kind"] == "ConfigMap"]
    assert volumes[mounted["/etc/cec-connector"]]["configMap"]["name"] == texts["metadata"]["name"]
    job = texts["data"]["job.yaml"]
    secrets = re.findall(r"\{file: (.+)/([a-z-]+)\}", job)
    assert {"cec-app-key", "cec-app-secret", "ldap-password", "state-key"} == {name for _, name in secrets}
    (folder,) = {folder for folder, _ in secrets}
    assert volumes[mounted[folder]]["secret"]["secretName"] == "cec-connector"
    (claim,) = [document["metadata"]["name"] for document in found if document["kind"] == "PersistentVolumeClaim"]
    assert "sqlite:////var/lib/cec-connector/" in job
    assert volumes[mounted["/var/lib/cec-connector"]]["persistentVolumeClaim"]["claimName"] == claim


def test_the_network_policy_lets_the_pod_out_to_what_the_job_names_and_in_only_who_asks_serve(overlay: Path) -> None:
    found = documents(overlay)
    (policy,) = [document["spec"] for document in found if document["kind"] == "NetworkPolicy"]
    labels = template_of(found)["metadata"]["labels"].items()
    assert policy["podSelector"]["matchLabels"].items() <= labels, "it is about other pods"
    assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
    out = {port["port"] for rule in policy["egress"] for port in rule["ports"]}
    (texts,) = [document["data"] for document in found if document["kind"] == "ConfigMap"]
    wanted = {{"https": 443, "ldaps": 636}[scheme] for scheme in re.findall(r"(\w+)://[a-z]", texts["job.yaml"])}
    assert wanted | {53} <= out
    container = template_of(found)["spec"]["containers"][0]
    ports = {port["containerPort"] for port in container.get("ports", ())}
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} == ports
    if ports:
        assert [container[f"{kind}Probe"]["httpGet"]["path"] for kind in ("liveness", "readiness")] == [
            "/healthz", "/readyz",
        ]  # fmt: skip


OPTIONAL = {
    "PostgreSQL": {5432},
    "HashiCorp Vault": {8200},
    "SMTP": {587, 465},
    "Syslog": {514, 601, 6514},
    "OpenTelemetry": {4318},
    "A Pushgateway": {9091},
}
"""What a job may use beside its source and directory, and the ports that it has by default."""
RULE = re.compile(r"^    # ([A-Z][^#\n]*:)\n((?:    # [- ].*\n)+)", re.MULTILINE)
"""A rule of the network policy that is to be switched on: what it is for, and its lines."""


@pytest.mark.parametrize("what", OPTIONAL)
def test_each_rule_of_the_network_policy_that_is_off_can_be_switched_on(what: str, tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    policy = tmp_path / "kubernetes" / "base" / "network-policy.yaml"
    text = policy.read_text()
    found = RULE.findall(text)
    assert len(found) == len(OPTIONAL)
    (lines,) = [lines for purpose, lines in found if purpose.startswith(what)]
    policy.write_text(text.replace(lines, lines.replace("    # ", "    ")))
    rendered = tmp_path / "rendered.yaml"
    rendered.write_text(call(TOOLS / "kubectl", "kustomize", tmp_path / "kubernetes" / "overlays" / "apply"))
    call(TOOLS / "kubernetes-validate", "--strict", rendered)
    (spec,) = [document["spec"] for document in documents(rendered) if document["kind"] == "NetworkPolicy"]
    (before,) = documents(DEPLOY / "kubernetes" / "base" / "network-policy.yaml")
    *others, last = spec["egress"]
    assert others == before["spec"]["egress"]
    assert {port["port"] for port in last["ports"]} == OPTIONAL[what]


def test_a_cron_job_says_in_which_zone_and_until_when_a_run_may_begin(overlay: Path) -> None:
    for document in documents(overlay):
        if document["kind"] == "CronJob":
            spec = document["spec"]
            ZoneInfo(spec["timeZone"])
            Cron(spec["schedule"], spec["timeZone"]).find_next_tick(datetime.now(UTC))
            assert spec["startingDeadlineSeconds"] > 10, "Kubernetes looks every ten seconds"


def test_systemd_leaves_the_service_little_and_the_timer_makes_up_for_what_it_missed(tmp_path: Path) -> None:
    (service,) = (DEPLOY / "systemd").glob("*.service")
    named = tmp_path / "cec-connector@hr.service"
    named.write_text(service.read_text())
    call(
        "systemd-analyze", "security", "--offline=true", "--threshold=15", "--no-pager", named
    )  # of 100, less is better
    credentials = re.findall(r"^LoadCredential=([a-z-]+):/", service.read_text(), re.MULTILINE)
    assert credentials == ["ldap-password", "cec-app-key", "cec-app-secret"]
    (timer,) = (DEPLOY / "systemd").glob("*.timer")
    settings = dict(line.split("=", 1) for line in timer.read_text().splitlines() if "=" in line)
    assert (settings["Persistent"], settings["RandomizedDelaySec"]) == ("true", "15min")
    call("systemd-analyze", "calendar", settings["OnCalendar"])


def test_systemd_takes_the_units_and_they_try_again_what_may_go_better() -> None:
    units = sorted((DEPLOY / "systemd").iterdir())
    said = call("systemd-analyze", "verify", "--man=no", *units, code=1).splitlines()
    assert [line for line in said if "is not executable" not in line] == [], "only the program is not installed here"
    (service,) = [path.read_text() for path in units if path.suffix == ".service"]
    (codes,) = [line for line in service.splitlines() if line.startswith("RestartPreventExitStatus=")]
    assert set(map(int, codes.partition("=")[2].split())) == DETERMINISTIC


@pytest.mark.parametrize(
    "path",
    ["Dockerfile", "trial/directory.Dockerfile", "trial/registrar.Dockerfile"],
)
def test_the_dockerfiles_have_no_faults(path: str) -> None:
    assert call(TOOLS / "hadolint", "--no-color", DEPLOY / path) == ""


def test_compose_takes_the_trial_and_its_job_is_one() -> None:
    call(TOOLS / "docker-compose", "-f", DEPLOY / "compose.yaml", "config", "-q")
    call(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", DEPLOY / "compose.yaml")
    jobs.load_job(DEPLOY / "trial" / "job.yaml")


def test_the_trial_s_directory_is_out_of_reach_and_its_registrar_is_where_the_tenant_says() -> None:
    (trial,) = documents(DEPLOY / "compose.yaml")
    services = trial["services"]
    assert trial["networks"]["trial"]["internal"] is True
    assert {name: each["networks"] for name, each in services.items()} == {
        "connector": ["trial"], "directory": ["trial"], "registrar": ["trial", "phones"],
    }  # fmt: skip
    tenant = json.loads((DEPLOY / "trial" / "agents.json").read_text())
    address = f"{tenant['sipServiceIp']}:{tenant['sipServicePort']}"
    assert services["registrar"]["ports"] == [f"{address}:{tenant['sipServicePort']}/udp"]
    (command,) = re.findall(r"^CMD (.*)$", (DEPLOY / "trial" / "registrar.Dockerfile").read_text(), re.MULTILINE)
    assert json.loads(command)[1].partition("/")[2] == address, "what the registrar calls itself"


def test_gitlab_takes_the_pipeline_and_apply_waits_for_a_person_and_takes_that_plan() -> None:
    path = DEPLOY / "gitlab" / "cec-connector.gitlab-ci.yml"
    call(TOOLS / "check-jsonschema", "--builtin-schema", "vendor.gitlab-ci", path)
    (pipeline,) = documents(path)
    assert "--save plan.json" in pipeline["plan"]["script"][0]
    assert "plan.json" in pipeline["plan"]["artifacts"]["paths"]
    apply = pipeline["apply"]
    assert [rule["when"] for rule in apply["rules"]] == ["manual"]
    assert (apply["needs"][0]["job"], "--plan plan.json" in apply["script"][0]) == ("plan", True)
