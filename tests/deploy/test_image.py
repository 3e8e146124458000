"""The image as it will run, built by these tests: not root, nothing writable but what is mounted, a real directory."""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from connector import __version__
from tests.support.deploy_tools import DEPLOY, ENGINE, HARDENED, IMAGE, NOBODY, PROJECT, call, engine
from tests.support.fleet import Fleet
from tests.support.jobs import changed, file, job_file, ldap_directory
from tests.support.ldap_proxy import LdapProxy
from tests.support.slapd import SYNC, SYNC_PASSWORD, Slapd, free_port, person
from tests.support.temporal import Temporal

pytestmark = [pytest.mark.image, pytest.mark.slapd, pytest.mark.usefixtures("image")]


class MountedJob:
    """A job on a server of the tests, mounted as an operator would: files to read, and a folder for the state."""

    def __init__(self, folder: Path, url: str, agents: int) -> None:
        self.folder, self.url = folder, url
        self.files, self.state = folder / "job", folder / "state"
        self.files.mkdir()
        self.state.mkdir()
        os.chown(self.state, NOBODY, NOBODY)
        secret = folder / "ldap-password"
        secret.write_text(SYNC_PASSWORD)
        secret.chmod(0o444)
        self.agents(agents)
        self.job()
        folder.chmod(0o755)

    def job(self, **changes: Any) -> None:
        directory = ldap_directory(self.url, bind_dn=SYNC, password=file("/run/secrets/ldap-password"))
        job = job_file(directory, mapping="openldap-h350", state="sqlite:////var/lib/cec-connector/state.db")
        (self.files / "job.yaml").write_text(changed(job, **changes))

    def agents(self, count: int) -> None:
        listed = [
            {"workNo": 1000 + n, "accountCode": f"agent{n}", "sipAccount": str(7000 + n), "sipPwd": f"canary-{n}"}
            for n in range(1, count + 1)
        ]
        document = {"sipServiceIp": "192.0.2.10", "sipServicePort": 5060, "agents": listed}
        (self.files / "agents.json").write_text(json.dumps(document))

    @property
    def mounts(self) -> list[str]:
        return [
            f"--volume={self.files}:/etc/cec-connector:ro",
            f"--volume={self.state}:/var/lib/cec-connector",
            f"--volume={self.folder / 'ldap-password'}:/run/secrets/ldap-password:ro",
        ]

    def run(self, *arguments: str, code: int = 0) -> str:
        return engine("run", "--rm", *HARDENED, *self.mounts, IMAGE, *arguments, code=code)

    @contextmanager
    def started(self, *arguments: str) -> Iterator[str]:
        """A container that runs on its own, by its name; it is gone afterwards."""
        name = f"cec-connector-test-{os.getpid()}-{free_port()}"
        engine("run", "--detach", "--name", name, *HARDENED, *self.mounts, IMAGE, *arguments)
        try:
            yield name
        finally:
            engine("rm", "--force", name)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Slapd]:
    with Slapd.start(tmp_path / "slapd", [person(f"agent{n}") for n in range(1, 61)]) as running:
        yield running


@pytest.fixture
def mounted(tmp_path: Path, server: Slapd) -> MountedJob:
    return MountedJob(tmp_path, server.url, agents=3)


def until(true: Callable[[], bool], what: str, seconds: float = 180) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def inspected(*arguments: str) -> Any:
    return json.loads(engine(*arguments))[0]


def test_what_the_image_says_of_itself() -> None:
    config = inspected("image", "inspect", IMAGE)["Config"]
    assert config["User"] == f"{NOBODY}:{NOBODY}"
    assert (config["Entrypoint"], config["Cmd"]) == (["cec-connector"], ["plan", "job.yaml"])
    assert config["Labels"]["org.opencontainers.image.version"] == __version__
    assert re.fullmatch("[0-9a-f]{40}|", config["Labels"]["org.opencontainers.image.revision"])
    check = inspected("image", "inspect", IMAGE)
    test = (config.get("Healthcheck") or check["Healthcheck"])["Test"]
    assert test[0] == "CMD", "a shell would be needed for the health check"


def test_ssh_keygen_runs_there_for_signatures() -> None:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    probe = f"""
from connector.approval.signatures import find_verifier_fault
from connector.approval.signers import read_revoked_keys
(key,), _ = read_revoked_keys({key!r})
print("fault:", repr(find_verifier_fault(key)))
"""
    said = engine("run", "--rm", *HARDENED, "--entrypoint", "/opt/cec-connector/bin/python", IMAGE, "-I", "-c", probe)
    assert "fault: ''" in said


def test_it_is_nobody_and_can_do_and_write_nothing() -> None:
    probe = """
import os
print("ids", os.getuid(), os.getgid(), os.getgroups())
for line in open("/proc/self/status"):
    if line.startswith(("CapEff", "CapBnd", "NoNewPrivs", "Seccomp:")):
        print(*line.split())
for folder in ("/", "/opt/cec-connector", "/etc/cec-connector", "/usr/bin"):
    try:
        open(folder + "/x", "w")
        print("wrote to", folder)
    except OSError as fault:
        pass
"""
    said = engine("run", "--rm", *HARDENED, "--entrypoint", "python", IMAGE, "-c", probe)
    assert f"ids {NOBODY} {NOBODY}" in said
    assert "CapEff: 0000000000000000" in said
    assert "CapBnd: 0000000000000000" in said
    assert "NoNewPrivs: 1" in said
    assert "Seccomp: 2" in said
    assert "wrote to" not in said


def test_no_pip_no_build_tools_and_everything_compiled() -> None:
    probe = """
import importlib.metadata, pathlib, connector
names = {each.metadata["Name"].lower() for each in importlib.metadata.distributions()}
print("tools:", sorted(names & {"pip", "hatchling", "setuptools", "wheel", "pytest"}))
source = pathlib.Path(connector.__file__).parent
def compiled(path):
    return any((path.parent / "__pycache__").glob(path.stem + ".*"))
print("uncompiled:", [str(path) for path in source.rglob("*.py") if not compiled(path)])
"""
    said = engine("run", "--rm", *HARDENED, "--entrypoint", "/opt/cec-connector/bin/python", IMAGE, "-I", "-c", probe)
    assert "tools: []" in said
    assert "uncompiled: []" in said


def test_there_is_no_shell_in_these_tests() -> None:
    for shell in ("/bin/sh", "/bin/bash"):
        ran = subprocess.run([ENGINE, "run", "--rm", *HARDENED, "--entrypoint", shell, IMAGE, "-c", ":"], check=False)
        assert ran.returncode == 126, "it can be run"


def test_the_list_of_packages_is_of_those_that_are_in_the_image(tmp_path: Path) -> None:
    call(PROJECT / "scripts" / "list-packages", tmp_path / "bom.json")
    bom = json.loads((tmp_path / "bom.json").read_text())
    assert bom["bomFormat"] == "CycloneDX"
    assert bom["metadata"]["component"]["name"] == "cec-connector"
    probe = """
import importlib.metadata, json
print(json.dumps([[each.metadata["Name"].lower(), each.version] for each in importlib.metadata.distributions()]))
"""
    said = engine("run", "--rm", *HARDENED, "--entrypoint", "/opt/cec-connector/bin/python", IMAGE, "-I", "-c", probe)
    there = {tuple(each) for each in json.loads(said)}
    listed = {(each["name"].lower(), each["version"]) for each in bom["components"]}
    assert there - listed == {("cec-connector", __version__)}


def test_the_demo_runs() -> None:
    said = engine("run", "--rm", *HARDENED, IMAGE, "demo")
    assert "Nothing is left to write." in said


def test_the_default_is_a_dry_run_and_an_apply_writes_once(mounted: MountedJob, server: Slapd) -> None:
    before = server.search()
    assert "3 users would be changed" in mounted.run()
    assert server.search() == before
    assert "3 of 3 users written" in mounted.run("apply", "job.yaml")
    assert b"SIPIdentityUserName: 7001" in server.search("uid=agent1")
    assert (mounted.state / "state.db").stat().st_uid == NOBODY
    assert "Nothing" in mounted.run("plan", "job.yaml", "--fail-on-changes")


def test_a_refused_plan_ends_with_3_and_a_wrong_file_with_78(mounted: MountedJob, server: Slapd) -> None:
    before = server.search()
    mounted.job(limits={"update": 1})
    assert "REFUSED" in mounted.run("apply", "job.yaml", code=3)
    mounted.job(colour="red")
    assert "job.yaml:6: colour: unknown key" in mounted.run("plan", "job.yaml", code=78)
    assert server.search() == before


def test_sigterm_lets_what_is_in_flight_finish_and_the_next_run_goes_on(tmp_path: Path, server: Slapd) -> None:
    asked: list[str] = []
    told = threading.Event()

    def held(name: str, message: bytes) -> bytes:
        asked.append(name)
        if len(asked) == 10:
            told.wait(180)
        return message

    with LdapProxy(int(server.url.rpartition(":")[2]), held) as proxy:
        mounted = MountedJob(tmp_path, proxy.url, agents=60)
        with mounted.started("apply", "job.yaml") as name:
            until(lambda: len(asked) == 10, "ten writes")
            engine("kill", "--signal=TERM", name)
            told.set()
            assert engine("wait", name).strip() == "4"
            said = engine("logs", name)
        assert "not sent: stopped by SIGTERM" in said
    mounted.url = server.url
    mounted.job()
    mounted.run("apply", "job.yaml")
    assert server.search().count(b"SIPIdentityUserName:") == 60


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.2"])
def test_the_health_check_asks_serve_where_it_listens(mounted: MountedJob, host: str) -> None:
    port = free_port()
    mounted.job(serve={"every": "1d", "mode": "dry-run"})
    with mounted.started("serve", "job.yaml", "--listen", f"{host}:{port}") as name:
        until(lambda: not _ill(name), "serve is healthy")
        engine("stop", "--time=30", name)
        assert inspected("inspect", name)["State"]["ExitCode"] == 0


def test_the_health_check_leaves_a_single_run_alone() -> None:
    ill = engine("run", "--rm", *HARDENED, "--entrypoint", "python", IMAGE, "/opt/cec-connector/healthcheck.py")
    assert ill == "", "a run without serve is well as long as it runs"


def _ill(name: str) -> bool:
    ran = subprocess.run([ENGINE, "healthcheck", "run", name], capture_output=True, check=False)
    return ran.returncode != 0


@pytest.mark.temporal
def test_an_image_with_the_extra_fleet_makes_schedules_in_temporal(tmp_path: Path, temporal_server: Temporal) -> None:
    extras = ("--build-arg", "EXTRAS=postgresql fleet")
    engine("build", *extras, "-f", DEPLOY / "Dockerfile", "-t", "cec-connector-fleet", PROJECT)
    fleet = Fleet(tmp_path, temporal_server)
    fleet.job("acme", serve={"every": "1h"})
    tmp_path.chmod(0o755)
    mounted = f"--volume={tmp_path}:/etc/cec-connector:ro"
    said = engine("run", "--rm", *HARDENED, mounted, "cec-connector-fleet", "fleet", "schedule", ".", "--apply")
    assert "Made 1 change of 1." in said
    fleet.lists({"cec-connector/acme"})


def test_the_trial_of_compose_works_on_its_own_directory_and_registers_a_phone(tmp_path: Path) -> None:
    for image in ("directory", "registrar"):
        dockerfile = DEPLOY / "trial" / f"{image}.Dockerfile"
        engine("build", "-f", dockerfile, "-t", f"cec-connector-trial-{image}", DEPLOY)
    port, sip_port = free_port(), free_port()
    url = f"ldap://127.0.0.1:{port}"
    files, state = tmp_path / "job", tmp_path / "state"
    state.mkdir()
    os.chown(state, NOBODY, NOBODY)
    files.mkdir()
    for source in (DEPLOY / "trial").iterdir():
        (files / source.name).write_text(source.read_text().replace("ldap://directory:1389", url))
    mounts = [f"--volume={files}:/etc/cec-connector:ro", f"--volume={state}:/var/lib/cec-connector"]
    run = ["run", "--rm", *HARDENED, *mounts, "--env", "LDAP_PASSWORD=trial-password", IMAGE]
    slapd = ["--entrypoint", "/usr/sbin/slapd", "cec-connector-trial-directory", "-d", "none", "-h", url]
    settings = [f"--volume={files}/ldap.cfg:/etc/kamailio/ldap.cfg:ro", "cec-connector-trial-registrar"]
    with _running("directory", *slapd, "-f", "/etc/trial/slapd.conf"):
        until(lambda: _ends_well(*run, "plan", "job.yaml"), "the directory of the trial answers")
        with _running("registrar", *settings, "-l", f"udp:127.0.0.1:{sip_port}"):
            sipsak = ["run", "--rm", *HARDENED, "--entrypoint", "sipsak", "cec-connector-trial-registrar"]
            address = f"127.0.0.1:{sip_port}"
            until(lambda: _ends_well(*sipsak, "-s", f"sip:{address}"), "the registrar of the trial answers")
            phone = [*sipsak, "-U", "-i", "-s", f"sip:7001@{address}", "-u", "7001", "-x", "60", "-a"]
            assert not _ends_well(*phone, "trial-sip-001")
            assert "2 of 2 users written" in engine(*run, "apply", "job.yaml")
            assert _ends_well(*phone, "trial-sip-001")
            assert not _ends_well(*phone, "trial-sip-002")
        said = engine(*run, "plan", "job.yaml", "--fail-on-changes")
        assert "agent003" in said, "the third is there for its near miss"


@contextmanager
def _running(what: str, *arguments: str) -> Iterator[None]:
    """A container of the trial, as little as Compose lets it be, on the network of the machine."""
    name = f"cec-connector-trial-{what}-{os.getpid()}"
    own = ["--read-only", "--tmpfs=/tmp"] if what == "registrar" else []  # the directory's data is in its container
    hardened = ["--network=host", "--cap-drop=ALL", "--security-opt=no-new-privileges", *own]
    engine("run", "--detach", "--name", name, *hardened, *arguments)
    try:
        yield
    finally:
        engine("rm", "--force", name)


def _ends_well(*arguments: str) -> bool:
    return subprocess.run([ENGINE, *arguments], capture_output=True, check=False).returncode == 0
