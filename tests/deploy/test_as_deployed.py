"""The units and pods of deploy/ at work: what they start, with their mounts, their secrets and their user."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connector.demo.simulator import Simulator
from tests.support.deploy_tools import DEPLOY, HARDENED, IMAGE, NOBODY, TOOLS, call, engine
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd, person

pytestmark = [pytest.mark.image, pytest.mark.slapd, pytest.mark.usefixtures("image")]

AGENTS = {
    "sipServiceIp": "192.0.2.10",
    "sipServicePort": 5060,
    "agents": [
        {"workNo": 1000 + n, "accountCode": f"agent{n}", "sipAccount": str(7000 + n), "sipPwd": f"canary-{n}"}
        for n in range(1, 4)
    ],
}
SECRETS = {
    "ldap-password": SYNC_PASSWORD,
    "cec-app-key": "demo-key",
    "cec-app-secret": "demo-secret",
    "state-key": "0" * 64,
}


class Site:
    """A directory, a tenant, and a folder for what is mounted."""

    def __init__(self, folder: Path, server: Slapd, tenant: Simulator) -> None:
        self.folder, self.server, self.tenant = folder, server, tenant
        folder.chmod(0o755)

    def made(self, name: str, files: dict[str, str]) -> Path:
        """A folder that is mounted read-only."""
        folder = self.folder / name
        folder.mkdir()
        for file, text in files.items():
            (folder / file).write_text(text)
            (folder / file).chmod(0o444)
        return folder

    def state(self) -> Path:
        folder = self.folder / "state"
        folder.mkdir()
        os.chown(folder, NOBODY, NOBODY)
        return folder

    def job(self, text: str) -> str:
        """A job of the examples, of this site."""
        text = text.replace("https://cec.example.org", f"{self.tenant.url}\n  allow_plaintext: true")
        text = re.sub(r"urls: .*", f"urls: [{self.server.url}]\n  allow_plaintext: true", text)
        text = re.sub(r"bind_dn: .*", f"bind_dn: {SYNC}", text)
        return text.replace("update: 20%", "update: 100%")

    def seats(self) -> int:
        return self.server.search().count(b"cecWorkNo: ")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    people = [person(f"agent{n}") for n in range(1, 4)]
    with Slapd.start(tmp_path / "slapd", people) as server, Simulator(AGENTS) as tenant:
        yield Site(tmp_path, server, tenant)


# ---------------------------------------------------------------- systemd


def settings_of(unit: Path, instance: str) -> dict[str, list[str]]:
    lines = [line.split("=", 1) for line in unit.read_text().replace("%i", instance).splitlines() if "=" in line]
    return {name: [value for key, value in lines if key == name] for name, _ in lines}


def started(unit: dict[str, list[str]], instance: str, folders: dict[str, Path], state: Path) -> str:
    """What a unit starts, with what systemd gives it: /etc, its credentials, its state, and nothing else."""
    assert unit["DynamicUser"] == ["yes"]
    credentials = folders[instance] / "credentials"
    credentials.mkdir(exist_ok=True)
    for line in unit["LoadCredential"]:
        name, _, path = line.partition(":")
        shutil.copy(folders["etc"] / Path(path).relative_to("/etc/cec-connector"), credentials / name)
        os.chown(credentials / name, NOBODY, NOBODY)
        (credentials / name).chmod(0o400)
    handed = f"/run/credentials/cec-connector@{instance}.service"
    (directory,), (working,) = unit["StateDirectory"], unit["WorkingDirectory"]
    variables = [*unit["Environment"][0].split(), f"CREDENTIALS_DIRECTORY={handed}"]
    command, *arguments = unit["ExecStart"][0].split()
    return engine(
        "run", "--rm", *HARDENED, f"--volume={folders['etc']}:/etc/cec-connector:ro",
        f"--volume={credentials}:{handed}:ro", f"--volume={state}:/var/lib/{directory}", f"--workdir={working}",
        *(f"--env={variable}" for variable in variables), "--entrypoint", command, IMAGE, *arguments,
    )  # fmt: skip


def test_two_instances_of_the_systemd_unit_share_a_state(site: Site) -> None:
    example = (DEPLOY.parent / "examples" / "openldap.yaml").read_text()
    example = example.replace("sqlite:///state.db", "sqlite:////var/lib/cec-connector/state.db")
    for name, secret in (
        ("CEC_APP_KEY", "cec-app-key"),
        ("CEC_APP_SECRET", "cec-app-secret"),
        ("LDAP_PASSWORD", "ldap-password"),
    ):
        example = example.replace(f"{{env: {name}}}", f"{{credential: {secret}}}")
    hr = site.job(example)
    it = hr.replace("mapping: openldap-h350", "mapping: it-mapping.yaml")
    mapping = 'match: [{agent: "{accountCode}", directory: uid}]\nattributes: {employeeNumber: "{workNo}"}\n'
    etc = site.made("etc", {"hr.yaml": hr, "it.yaml": it, "it-mapping.yaml": mapping})
    folders = {"etc": etc}
    for instance in ("hr", "it"):
        (etc / "secrets" / instance).mkdir(parents=True)
        for name, text in SECRETS.items():
            (etc / "secrets" / instance / name).write_text(text)
        folders[instance] = site.folder / instance
        folders[instance].mkdir()
    state = site.state()
    (path,) = (DEPLOY / "systemd").glob("*.service")
    assert "3 of 3 users written" in started(settings_of(path, "hr"), "hr", folders, state)
    said = started(settings_of(path, "it"), "it", folders, state)
    assert "3 of 3 users written" in said
    assert "job hr" in said, "it does not know of the other job"
    assert "can read this secret file" not in said
    assert site.seats() == site.server.search().count(b"employeeNumber: ") == 3


# ---------------------------------------------------------------- Kubernetes


def pod(overlay: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The container of an overlay as kustomize renders it, and the files of its ConfigMap."""
    rendered = list(
        YAML(typ="safe").load_all(call(TOOLS / "kubectl", "kustomize", DEPLOY / "kubernetes" / "overlays" / overlay))
    )
    (texts,) = (each["data"] for each in rendered if each["kind"] == "ConfigMap")
    (spec,) = (
        inner["template"]["spec"]
        for each in rendered
        if "template" in (inner := each.get("spec", {}).get("jobTemplate", {}).get("spec", each.get("spec", {})))
    )
    assert spec["securityContext"]["runAsUser"] == NOBODY
    (container,) = spec["containers"]
    return container, texts


def mounts(container: dict[str, Any], volumes: dict[str, Path]) -> list[str]:
    return [
        f"--volume={volumes[mount['name']]}:{mount['mountPath']}{':ro' if mount.get('readOnly') else ''}"
        for mount in container["volumeMounts"]
    ]


@pytest.mark.parametrize(("overlay", "code", "seats"), [("dry-run", 2, 0), ("apply", 0, 3)])
def test_a_pod_of_a_cron_job_does_what_its_overlay_is_called(site: Site, overlay: str, code: int, seats: int) -> None:
    container, texts = pod(overlay)
    job = site.made("job", {name: site.job(text) for name, text in texts.items()})
    volumes = {"job": job, "secrets": site.made("secrets", SECRETS), "state": site.state()}
    engine("run", "--rm", *HARDENED, *mounts(container, volumes), IMAGE, *container["args"], code=code)
    assert site.seats() == seats


def test_the_pod_of_serve_is_well_by_its_own_probes(site: Site) -> None:
    container, texts = pod("serve")
    job = site.made("job", {name: site.job(text) for name, text in texts.items()})
    volumes = {"job": job, "secrets": site.made("secrets", SECRETS), "state": site.state()}
    name = f"cec-connector-pod-{os.getpid()}"
    engine("run", "--detach", "--name", name, *HARDENED, *mounts(container, volumes), IMAGE, *container["args"])
    try:
        assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
        check = "--entrypoint", "python", IMAGE, "-c"
        asks = (
            "import time, urllib.request as ask\n"
            "for _ in range(600):\n"
            "    try: print(ask.urlopen('http://127.0.0.1:9467/healthz').status); break\n"
            "    except OSError: time.sleep(0.1)\n"
        )
        assert "200" in engine("run", "--rm", *HARDENED, *check, asks)
    finally:
        engine("rm", "--force", name)


def test_what_is_commented_in_the_site_can_be_switched_on(tmp_path: Path) -> None:
    shutil.copytree(DEPLOY / "kubernetes", tmp_path / "kubernetes")
    site = tmp_path / "kubernetes" / "site"
    text = (site / "kustomization.yaml").read_text()
    head, marker, rest = text.partition("apiVersion:")
    rest = re.sub(r"^(\s*)# (- |secretGenerator|  )", r"\1\2", rest, flags=re.MULTILINE)
    (site / "kustomization.yaml").write_text(head + marker + rest)
    (site / "secrets").mkdir()
    for name in ("mapping.yaml", "ldap-ca.pem", "pins.csv", "exclude.csv", *(f"secrets/{name}" for name in SECRETS)):
        (site / name).write_text("x")
    rendered = list(
        YAML(typ="safe").load_all(call(TOOLS / "kubectl", "kustomize", tmp_path / "kubernetes" / "overlays" / "apply"))
    )
    (texts,) = (each["data"] for each in rendered if each["kind"] == "ConfigMap")
    assert set(texts) == {"job.yaml", "mapping.yaml", "ldap-ca.pem", "pins.csv", "exclude.csv"}
    (secret,) = (each for each in rendered if each["kind"] == "Secret")
    assert set(secret["data"]) == set(SECRETS)
    assert json.dumps(rendered).count(secret["metadata"]["name"]) == 2, "the pod mounts another one"
