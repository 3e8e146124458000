"""The part of a job that names a SCIM server: what it takes, what it refuses and on which line, and no secret said."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import FileError
from connector.settings.job import Job
from connector.settings.scim import EXTENSION, Kept, ScimDirectory
from connector.settings.shape import check_document
from connector.settings.textfile import read_yaml

CANARY = "hunter-2-canary"
REST = "source: {type: file, path: agents.json}\nmapping: scim-extension\n"
TOKEN = "  token: {env: SCIM_TOKEN}\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("ca.pem", "client.pem", "client.key", "agents.json"):
        (tmp_path / name).write_text("")
    return tmp_path


def loaded(folder: Path, lines: str, url: str = "https://scim.example.org/v2") -> Job:
    path = folder / "hr.yaml"
    path.write_text(f"directory:\n  type: scim\n  url: {url}\n{lines}{REST}")
    return check_document(Job, read_yaml(path))


def settings(folder: Path, lines: str, **more: str) -> ScimDirectory:
    job = loaded(folder, lines, **more)
    assert isinstance(job.directory, ScimDirectory)
    return job.directory


def faults(folder: Path, lines: str, **more: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        loaded(folder, lines, **more)
    assert CANARY not in str(caught.value)
    return str(caught.value).replace(f"{folder}/hr.yaml:", "").splitlines()


def test_a_base_address_and_a_token_are_enough(folder: Path) -> None:
    directory = settings(folder, TOKEN)
    assert directory.url == "https://scim.example.org/v2"
    assert (directory.filter, directory.read, directory.urn) == (None, "auto", EXTENSION)
    assert (directory.page_size, directory.concurrency, directory.rate) == (100, 8, None)
    assert (directory.timeout, directory.budget, directory.max_bytes) == (30, 300, 64 << 20)
    assert directory.token is not None
    assert directory.secret == Kept(directory.token, "the token", ("token",))


def test_the_extension_that_is_shipped_is_the_default() -> None:
    assert (Path(__file__).parents[2] / "deploy/schema/scim/cec-extension.json").read_text().count(EXTENSION) >= 1


def test_everything_can_be_said(folder: Path) -> None:
    directory = settings(
        folder,
        """\
  oauth:
    token_url: https://login.example.org/o/token/
    client_id: cec-connector
    client_secret: {file: secret}
    scope: scim.read scim.write
    client_auth: client_secret_post
  ca_file: ca.pem
  cert_file: client.pem
  key_file: client.key
  filter: active eq true
  read: scan
  urn: urn:example:params:scim:agent:1.0:User
  page_size: 1000
  concurrency: 16
  rate: 2.5
  timeout: 5
  budget: 60
  max_bytes: 1000
""",
    )
    assert directory.oauth is not None
    assert directory.oauth.token_url == "https://login.example.org/o/token/"
    assert directory.cert_file == folder / "client.pem"
    assert directory.secret == Kept(directory.oauth.client_secret, "the client secret", ("oauth", "client_secret"))
    assert directory.oauth.client_secret.file == folder / "secret"


def test_basic_keeps_a_password_and_a_certificate_alone_keeps_nothing(folder: Path) -> None:
    directory = settings(folder, "  basic: {user: sync, password: {env: PASSWORD}}\n")
    assert directory.basic is not None
    assert directory.secret == Kept(directory.basic.password, "the password", ("basic", "password"))
    assert settings(folder, "  cert_file: client.pem\n").secret is None


def test_plain_http_is_refused_unless_it_is_allowed_and_so_is_that_of_the_token_endpoint(folder: Path) -> None:
    clear = "http:// sends secrets in clear; use https://, or set allow_plaintext: true"
    oauth = "  oauth: {token_url: 'http://login.example.org', client_id: a, client_secret: {env: A}}\n"
    assert faults(folder, TOKEN, url="http://scim.example.org") == [f"3: directory.url: {clear}"]
    assert faults(folder, oauth) == [f"4: directory.oauth: token_url: {clear}"]
    allowed = settings(folder, "  allow_plaintext: true\n" + oauth, url="http://scim.example.org")
    assert allowed.url == "http://scim.example.org"


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://scim.example.org/v2?tenant=1", "must not hold a query or a fragment"),
        (f"https://joe:{CANARY}@scim.example.org/v2", "must not hold a user or a password"),
        ("ftp://scim.example.org", "must begin with https:// or http://"),
        ("https://", "names no host"),
        ("https://scim.example.org:x/", "is no valid URL: check its host and port"),
    ],
)
def test_an_address_that_is_none_says_why(folder: Path, url: str, why: str) -> None:
    assert faults(folder, TOKEN, url=url) == [f"3: directory.url: {why}"]


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("", ["1: directory.token: is missing; set one of token, oauth, basic or cert_file"]),
        (
            TOKEN + "  basic: {user: sync, password: {env: PASSWORD}}\n",
            ["5: directory.basic: cannot be combined: of basic, token set one"],
        ),
        (
            f"  token: {CANARY}\n",
            ["4: directory.token: a secret must not be written here in clear; write {env: NAME} or {file: PATH}"],
        ),
        (
            f"  basic: {{user: sync, password: {CANARY}}}\n",
            [
                (
                    "4: directory.basic.password: a secret must not be written here in clear; write {env: NAME} or "
                    "{file: PATH}"
                )
            ],
        ),
        (
            "  basic: {user: 'a:b', password: {env: PASSWORD}}\n",
            ["4: directory.basic.user: cannot hold a colon (RFC 7617 §2)"],
        ),
        (TOKEN + "  key_file: client.key\n", ["5: directory.key_file: needs a cert_file as well"]),
        (TOKEN + "  cert_file: other.pem\n", ["5: directory.cert_file: there is no file {folder}/other.pem"]),
        (TOKEN + "  rate: 0\n", ["5: directory.rate: must be more than 0"]),
        (TOKEN + "  concurrency: 65\n", ["5: directory.concurrency: must be at most 64"]),
        (TOKEN + "  budget: .inf\n", ["5: directory.budget: must be a number"]),
        (TOKEN + "  urn: cec\n", ["5: directory.urn: must be a URN, such as urn:ietf:params:scim:schemas:…"]),
        (TOKEN + "  base: ou=people\n", ["5: directory.base: unknown key; did you mean basic?"]),
        (
            "  oauth: {token_url: 'https://a.example.org', client_id: a, client_secret: {env: A}, client_auth: jwt}\n",
            ["4: directory.oauth.client_auth: 'jwt' is none of client_secret_basic, client_secret_post"],
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_line(folder: Path, lines: str, said: list[str]) -> None:
    found = faults(folder, lines)
    assert len(found) == len(said)
    for line, expected in zip(found, said, strict=True):
        assert line.startswith(expected.replace("{folder}", str(folder)).removesuffix("…"))
