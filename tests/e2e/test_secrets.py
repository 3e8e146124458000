"""Secrets at run time: from systemd's credentials and from Vault, read anew by every run, and in no message."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.demo.simulator import Simulator
from tests.support.jobs import Part, cec_source, env, file
from tests.support.ldif_job import Job
from tests.support.program import Ended, program
from tests.support.receivers import drip
from tests.support.serving import serving
from tests.support.slapd import authority, server_context
from tests.support.vault import ROLE_ID, SECRET_ID, TOKEN, Vault, vault

pytestmark = pytest.mark.slow

KEY, SECRET = "canary-app-key", "canary-app-secret"


@pytest.fixture
def tenant(job: Job) -> Iterator[Simulator]:
    with Simulator(json.loads(job.read("agents.json")), KEY, SECRET) as simulator:
        yield simulator


@pytest.fixture
def job(tmp_path: Path) -> Job:
    made = Job(tmp_path, users=2)
    made.write("token", TOKEN + "\n")
    made.write("secret-id", SECRET_ID + "\n")
    authority()[0].cert_pem.write_to_path(tmp_path / "ca.pem")
    return made


def asks(job: Job, tenant: Simulator, key: Part, secret: Part) -> None:
    job.configure(source=cec_source(tenant.url, retries=0, app_key=key, app_secret=secret))


def plan(job: Job, **env: str) -> Ended:
    ended = program("plan", "job.yaml", folder=job.folder, env=env)
    for secret in (KEY, SECRET, TOKEN, SECRET_ID):
        assert secret not in ended.said
    return ended


def test_systemds_credentials_are_read(job: Job, tenant: Simulator) -> None:
    asks(job, tenant, {"credential": "cec-key"}, {"credential": "cec-secret"})
    folder = job.folder / "credentials"
    folder.mkdir()
    (folder / "cec-key").write_text(KEY)
    (folder / "cec-secret").write_text(SECRET + "\n")
    assert plan(job, CREDENTIALS_DIRECTORY=str(folder)).code == 0
    (folder / "cec-secret").unlink()
    ended = plan(job, CREDENTIALS_DIRECTORY=str(folder))
    assert (ended.code, "job.yaml:1: the app secret: " in ended.err) == (78, True)
    ended = plan(job)
    assert (ended.code, "CREDENTIALS_DIRECTORY is not set" in ended.err) == (78, True)
    asks(job, tenant, {"credential": "../x"}, {"credential": "cec-secret"})
    assert "must be the name of a credential" in plan(job).err


@pytest.fixture
def store(job: Job) -> Iterator[Vault]:
    with vault(server_context()) as opened:
        opened.secrets["secret/cec/production"] = {"key": KEY, "app_secret": SECRET, "number": 5}
        yield opened


def place(store: Vault, key: str, proof: Part, **more: str) -> Part:
    return {"vault": {"url": store.url, "ca_file": "ca.pem", "path": "cec/production", "key": key} | proof | more}


BY_TOKEN = {"token": file("token")}
BY_ROLE = {"approle": {"role_id": ROLE_ID, "secret_id": file("secret-id")}}
ANOTHER_ROLE = {"approle": {"role_id": ROLE_ID.replace("5f0c", "0000"), "secret_id": file("secret-id")}}


def test_a_secret_in_vault_costs_one_request_with_a_token_and_two_as_a_role(
    job: Job, tenant: Simulator, store: Vault
) -> None:
    asks(job, tenant, place(store, "key", BY_TOKEN), place(store, "app_secret", BY_ROLE))
    ended = plan(job)
    assert ended.code == 0, ended.err
    assert store.requests == [
        ("GET", "/v1/secret/data/cec/production"),
        ("POST", "/v1/auth/approle/login"),
        ("GET", "/v1/secret/data/cec/production"),
    ]


def test_a_store_mounted_elsewhere_in_a_namespace_is_asked_there(job: Job, tenant: Simulator, store: Vault) -> None:
    store.namespace = "telephony"
    store.secrets["kv/team/cec/production"] = store.secrets["secret/cec/production"]
    store.roles = "team-roles"
    by_role = {"approle": BY_ROLE["approle"] | {"mount": "team-roles"}}
    key, secret = (
        place(store, name, by_role, mount="kv/team", namespace="telephony") for name in ("key", "app_secret")
    )
    asks(job, tenant, key, secret)
    ended = plan(job)
    assert ended.code == 0, ended.err


@pytest.mark.parametrize(
    ("key", "proof", "code", "said"),
    [
        ("app_secret", {"token": env("WRONG")}, 1, "the app secret: Vault denied it (403 Forbidden)"),
        ("app_secret", ANOTHER_ROLE, 1, "the app secret: Vault refused the log-in of the role"),
        ("else", BY_TOKEN, 78, "job.yaml:1: the app secret: the secret secret/cec/production in Vault has no"),
        ("number", BY_TOKEN, 78, "has no text under the key number"),
    ],
)  # fmt: skip
def test_what_vault_does_not_give_is_said(
    job: Job, tenant: Simulator, store: Vault, key: str, proof: Part, code: int, said: str
) -> None:
    asks(job, tenant, place(store, "key", BY_TOKEN), place(store, key, proof))
    ended = plan(job, WRONG="canary-wrong")
    assert (ended.code, said in ended.err) == (code, True), ended.err
    assert "canary-wrong" not in ended.err


def test_a_vault_that_is_sealed_strange_away_or_not_trusted_fails_the_run(
    job: Job, tenant: Simulator, store: Vault
) -> None:
    asks(job, tenant, place(store, "key", BY_TOKEN), place(store, "app_secret", BY_TOKEN))
    store.sealed = True
    assert "Vault answered with 503" in _failed(plan(job))
    store.sealed = False
    for odd in (b"<html>canary</html>", b'"\xff"', b"[" * 100_000):
        store.reply = odd
        assert "not an answer of Vault" in _failed(plan(job))
    store.reply = None
    store.secrets.clear()
    ended = plan(job)
    assert (ended.code, "Vault has no secret at secret/cec/production" in ended.err) == (78, True)
    job.configure(source={"app_key": {"vault": {"ca_file": None}}, "app_secret": {"vault": {"ca_file": None}}})
    assert "not trusted" in _failed(plan(job))
    nowhere = {"vault": {"url": "https://127.0.0.1:9"}}
    job.configure(source={"app_key": nowhere, "app_secret": nowhere})
    assert "no connection" in _failed(plan(job))


def _failed(ended: Ended) -> str:
    assert ended.code == 1, ended.err
    return ended.err


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"vault": {"url": "http://vault.example.org"}}, "app_secret.vault.url: http:// sends secrets in clear"),
        ({"vault": BY_ROLE}, "needs exactly one of token and approle"),
        ({"vault": {"token": "canary-clear"}}, "a secret must not be written here in clear"),
        (
            {"vault": {"token": {"file": None, "vault": {}}}},
            "a key that is not known here; there are env, file, credential",
        ),
        ({"vault": {"path": "/cec/production"}}, "must be a path in Vault without a slash"),
        ({"env": "X"}, "name exactly one place"),
    ],
)
def test_what_is_wrong_in_the_job_is_said(job: Job, tenant: Simulator, store: Vault, change: Part, said: str) -> None:
    asks(job, tenant, env("KEY"), place(store, "app_secret", BY_TOKEN))
    job.configure(source={"app_secret": change})
    ended = plan(job, KEY=KEY)
    assert (ended.code, said in ended.err) == (78, True), ended.err
    assert "canary-clear" not in ended.err


def test_a_secret_that_is_rotated_in_vault_is_used_from_the_next_run_on(
    job: Job, tenant: Simulator, store: Vault
) -> None:
    asks(job, tenant, place(store, "key", BY_TOKEN), place(store, "app_secret", BY_ROLE))
    job.configure(serve={"every": "1s"})
    with serving(job.folder, "job.yaml") as served:
        assert served.next("run ended")["ending"] == "done"
        tenant.credentials["app_secret"] = "canary-rotated"
        tenant.revoke()
        served.next("run ended", ending="failed")
        store.secrets["secret/cec/production"]["app_secret"] = "canary-rotated"
        served.next("run ended", ending="done")
        assert served.stop() == 0


def test_a_vault_that_drips_costs_no_more_than_its_bound(job: Job, tenant: Simulator) -> None:
    with drip(b"HTTP/1.1 200 OK\r\nX: ", server_context()) as port:
        slow = Vault()
        slow.url = f"https://localhost:{port}"
        asks(job, tenant, place(slow, "key", BY_TOKEN), env("SECRET"))
        began = time.monotonic()
        ended = plan(job, SECRET=SECRET)
        assert (ended.code, "the answer did not end within 15 s" in ended.err) == (1, True), ended.err
        assert time.monotonic() - began < 40


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("what", ["app secret", "key", "authority", "client key", "webhook"])
def test_what_is_no_regular_file_is_refused_at_once(job: Job, tenant: Simulator, what: str, kind: str) -> None:
    name = {"pipe": "odd", "device": "/dev/zero", "folder": "folder"}[kind]
    os.mkfifo(job.folder / "odd")
    (job.folder / "folder").mkdir()
    asks(job, tenant, env("KEY"), file(name) if what == "app secret" else env("SECRET"))
    match what:
        case "key":
            job.configure(key=file(name))
        case "authority":
            job.configure(source={"ca_file": name})
        case "client key":
            job.write("cert.pem", "")
            scim = {"type": "scim", "url": "https://scim.example.org", "cert_file": "cert.pem", "key_file": name}
            job.configure(directory=scim | {"token": env("KEY")})
        case "webhook":
            hook = {"url": "https://hooks.example.org/x", "secret": env("KEY"), "ca_file": name}
            job.configure(notify={"webhook": hook})
    began = time.monotonic()
    ended = plan(job, KEY=KEY, SECRET=SECRET)
    assert ended.code == 78, ended.err
    assert (name in ended.err, "job.yaml:" in ended.err) == (True, True)
    assert ("name a regular file" in ended.err) == (kind != "folder")
    assert time.monotonic() - began < 10
