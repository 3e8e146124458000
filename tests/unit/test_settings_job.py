"""Job files: every mistake is said in a sentence, on its line, all of them at once, and no secret is repeated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connector.errors import FileError
from connector.model.limits import Limit
from connector.settings.fields import SecretRef
from connector.settings.job import CecSource, FileSource, Job, LoadedJob, load_job
from connector.settings.ldap import LdapDirectory, LdifDirectory
from connector.settings.shape import list_keys
from connector.settings.textfile import why_no_file

SECRET = "hunter-2-canary"
SAYS_WHO = "where the certificate or the socket identifies the account"
NO_SOCKET = "must name the whole path of a socket, as ldapi://%2Frun%2Fldapi with %2F for each slash"
READY = (
    "389ds, active-directory, inetorgperson, ldif, openldap-h350, scim-enterprise, scim-extension "
    "(a path ends in .yaml)"
)

SOURCE = "source: {type: file, path: agents.json}\n"
DIRECTORY = "directory: {type: ldif, path: people.ldif}\n"
MAPPING = "mapping: ldif\n"
CEC = """\
source:
  type: cec
  url: https://cec.example.org
  app_key: {env: KEY}
  app_secret: {env: SECRET}
"""
LDAP = """\
directory:
  type: ldap
  urls: [ldaps://ldap.example.org]
  base: ou=people,dc=example,dc=org
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("agents.json", "people.ldif", "ca.pem", "key.pem", "pins.csv", "exclude.csv", "own.yaml"):
        (tmp_path / name).write_text("")
    (tmp_path / "a folder").mkdir()
    return tmp_path


def loaded(folder: Path, text: str) -> LoadedJob:
    path = folder / "hr-to-ldap.yaml"
    path.write_text(text)
    return load_job(path)


def faults(folder: Path, text: str) -> list[str]:
    """What is wrong, a line each, as `line: sentence`."""
    with pytest.raises(FileError) as caught:
        loaded(folder, text)
    return str(caught.value).replace(f"{folder}/hr-to-ldap.yaml:", "").replace(f"{folder}/", "").splitlines()


def test_the_job_of_the_design_is_read(folder: Path) -> None:
    job = loaded(
        folder,
        """\
source:
  type: cec
  url: https://service.besclouds.com
  app_key: {env: CEC_APP_KEY}
  app_secret: {file: /run/secrets/cec-app-secret}
directory:
  type: ldap
  urls: [ldaps://ldap1.example.org, ldaps://ldap2.example.org]
  bind_dn: cn=cec-connector,ou=services,dc=example,dc=org
  password: {env: LDAP_PASSWORD}
  ca_file: ca.pem
  base: ou=people,dc=example,dc=org
  filter: (objectClass=inetOrgPerson)
mapping: openldap-h350
limits: {update: 20%, clear: 10, secret: 50%, agents_drop: 10%, matched_drop: 10%}
state: sqlite:///state.db
""",
    )
    assert job.name == "hr-to-ldap"
    assert isinstance(job.job.source, CecSource)
    assert job.job.source.app_secret == SecretRef(file=Path("/run/secrets/cec-app-secret"))
    assert job.job.source.path == "/apiaccess/CC-Mangemant/v1/queryAgentInfo"
    assert isinstance(job.job.directory, LdapDirectory)
    assert job.job.directory.ca_file == folder / "ca.pem"
    assert (job.job.limits.update, job.job.limits.secret) == (Limit(20, percent=True), Limit(50, percent=True))
    assert job.job.mapping == "openldap-h350"
    assert job.state_path == folder / "state.db"
    assert job.where("source", "app_secret") == f"{folder}/hr-to-ldap.yaml:5"


def test_relative_paths_start_from_the_jobs_folder(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "job.yaml").write_text(
        SOURCE + DIRECTORY + "mapping: own.yaml\nkey: {file: key}\npins: pins.csv\nexclude: ./exclude.csv\n"
    )
    monkeypatch.chdir(folder.parent)
    named = Path(folder.name) / "job.yaml"
    loaded_job = load_job(named)
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    job = loaded_job.job
    assert isinstance(job.source, FileSource)
    assert job.source.path == folder / "agents.json"
    assert isinstance(job.directory, LdifDirectory)
    assert job.directory.path == folder / "people.ldif"
    assert job.mapping == str(folder / "own.yaml")
    assert job.key == SecretRef(file=folder / "key")
    assert (job.pins, job.exclude) == (folder / "pins.csv", folder / "exclude.csv")
    assert job.state == f"sqlite:///{folder}/state.db"
    assert loaded_job.state_path == folder / "state.db"
    assert loaded_job.where("mapping") == f"{named}:3"


def test_defaults_are_the_documented_ones(folder: Path) -> None:
    job = loaded(folder, SOURCE + DIRECTORY + MAPPING).job
    limits = job.limits
    named = (limits.update, limits.clear, limits.secret, limits.agents_drop, limits.matched_drop)
    assert [str(one) for one in named] == ["20%", "None", "None", "10%", "10%"]
    assert (job.key, job.pins, job.exclude) == (None, None, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # keys and kinds of values
        (SOURCE + DIRECTORY, ["1: mapping: is missing"]),
        (SOURCE + DIRECTORY + MAPPING + "limts: {}\n", ["4: limts: unknown key; did you mean limits?"]),
        (
            SOURCE + DIRECTORY + MAPPING + "limits:\n  clear: 1\n  xxxxxx: 1\n",
            [
                (
                    "6: limits.xxxxxx: unknown key; there are update, clear, secret, agents_drop, matched_drop, state, "
                    "attributes"
                )
            ],
        ),
        (
            SOURCE + MAPPING + LDAP + "  page-size: 5\n",
            ["7: directory.page-size: unknown key; did you mean page_size?"],
        ),
        (
            SOURCE + DIRECTORY + "mapping: 5\n",
            ["3: mapping: must be a text; put a number, true or false in quotes"],
        ),
        (SOURCE + DIRECTORY + "mapping:\n", ["3: mapping: has no value"]),
        (SOURCE + DIRECTORY + "mapping: ''\n", ["3: mapping: must not be empty"]),
        (SOURCE + DIRECTORY + MAPPING + "limits: 5\n", ["4: limits: must be keys and values"]),
        (SOURCE + "directory: ldif\n" + MAPPING, ["2: directory: must be keys and values"]),
        (
            SOURCE + DIRECTORY + MAPPING + "limits: [5]\n",
            ["4: limits: must be keys and values, not a list; remove the `- ` or the brackets"],
        ),
        (SOURCE + "directory:\n" + MAPPING, ["2: directory: has no value"]),
        (SOURCE + "directory: {path: x}\n" + MAPPING, ["2: directory.type: is missing; one of ldap, ldif, scim"]),
        (
            SOURCE + "directory:\n  path: x\n  type: ldpa\n" + MAPPING,
            ["4: directory.type: 'ldpa' is none of ldap, ldif, scim (did you mean ldap?)"],
        ),
        (SOURCE + "directory: {type: [ldap]}\n" + MAPPING, ["2: directory.type: must be one of ldap, ldif, scim"]),
        ("source: {type: cek}\n" + DIRECTORY + MAPPING, ["1: source.type: 'cek' is none of cec, file"]),
        (SOURCE + MAPPING + LDAP + "  scope: base\n", ["7: directory.scope: 'base' is none of subtree, onelevel"]),
        (SOURCE + MAPPING + LDAP + "  page_size: -1\n", ["7: directory.page_size: must be at least 0"]),
        (SOURCE + MAPPING + LDAP + "  page_size: 1.5\n", ["7: directory.page_size: must be a whole number"]),
        (SOURCE + MAPPING + LDAP + "  window: 257\n", ["7: directory.window: must be at most 256"]),
        (SOURCE + MAPPING + LDAP + "  timeout: 0\n", ["7: directory.timeout: must be more than 0"]),
        (SOURCE + MAPPING + LDAP + "  timeout: .nan\n", ["7: directory.timeout: must be a number"]),
        (SOURCE + MAPPING + LDAP + "  timeout: 30s\n", ["7: directory.timeout: must be a number"]),
        (SOURCE + MAPPING + LDAP + "  start_tls: on\n", ["7: directory.start_tls: must be true or false"]),
        (SOURCE + MAPPING + LDAP + "  filter: ''\n", ["7: directory.filter: must not be empty"]),
        (
            SOURCE + DIRECTORY + MAPPING + "limits: {update: many, clear: -1}\n",
            [
                "4: limits.clear: a limit is a whole number (10) or a percentage (20%)",
                "4: limits.update: a limit is a whole number (10) or a percentage (20%)",
            ],
        ),
        (SOURCE + DIRECTORY + MAPPING + "mapping: x\n", ["4:1: the key 'mapping' is there twice, first on line 3"]),
        # files that are named
        ("source: {type: file, path: no.json}\n" + DIRECTORY + MAPPING, ["1: source.path: there is no file no.json"]),
        (SOURCE + "directory: {type: ldif, path: no}\n" + MAPPING, ["2: directory.path: there is no file no"]),
        (SOURCE + "directory: {type: ldif, path: a folder}\n" + MAPPING, ["2: directory.path: a folder is a folder"]),
        (
            SOURCE + "directory: {type: ldif, path: /dev/zero}\n" + MAPPING,
            ["2: directory.path: /dev/zero is a device, a socket or a pipe: name a regular file"],
        ),
        (CEC + "  ca_file: no.pem\n" + DIRECTORY + MAPPING, ["6: source.ca_file: there is no file no.pem"]),
        (SOURCE + MAPPING + LDAP + "  ca_file: no.pem\n", ["7: directory.ca_file: there is no file no.pem"]),
        (
            SOURCE + MAPPING + LDAP + "  cert_file: no.pem\n  key_file: no.key\n",
            ["7: directory.cert_file: there is no file no.pem", "8: directory.key_file: there is no file no.key"],
        ),
        (SOURCE + DIRECTORY + MAPPING + "pins: no.csv\n", ["4: pins: there is no file no.csv"]),
        (SOURCE + DIRECTORY + MAPPING + "exclude: no.csv\n", ["4: exclude: there is no file no.csv"]),
        (SOURCE + DIRECTORY + MAPPING + "exclude: [a]\n", ["4: exclude: must be the path of a file"]),
        (SOURCE + DIRECTORY + MAPPING + "exclude: ''\n", ["4: exclude: must be the path of a file"]),
        (SOURCE + DIRECTORY + MAPPING + "never: x.csv\n", ["4: never: this key has another name now; write exclude"]),
        (SOURCE + DIRECTORY + "mapping: no.yaml\n", ["3: mapping: there is no file no.yaml (did you mean own.yaml?)"]),
        (SOURCE + DIRECTORY + "mapping: ./no\n", ["3: mapping: there is no file no"]),
        (
            SOURCE + DIRECTORY + "mapping: openldap\n",
            ["3: mapping: no ready mapping is called 'openldap' (did you mean openldap-h350?); there are " + READY],
        ),
        # secrets
        (
            SOURCE + DIRECTORY + MAPPING + "key: {env: A, file: b}\n",
            ["4: key: name exactly one place: {env: NAME}, {file: PATH}, {credential: NAME}, or {vault: …}"],
        ),
        (
            SOURCE + DIRECTORY + MAPPING + "key: {}\n",
            ["4: key: name exactly one place: {env: NAME}, {file: PATH}, {credential: NAME}, or {vault: …}"],
        ),
        (
            SOURCE + DIRECTORY + MAPPING + "key: {env: A-B}\n",
            ["4: key.env: must be the name of an environment variable: letters, digits and _"],
        ),
        # who binds
        (
            SOURCE + MAPPING + LDAP + "  bind_dn: cn=x\n",
            ["7: directory.bind_dn: needs a password as well (RFC 4513 §5.1.2)"],
        ),
        (
            SOURCE + MAPPING + LDAP + "  password: {env: A}\n",
            ["7: directory.password: needs a bind_dn as well"],
        ),
        (SOURCE + MAPPING + LDAP + "  bind_dn: ''\n", ["7: directory.bind_dn: must not be empty"]),
        (
            SOURCE + MAPPING + LDAP + "  cert_file: ca.pem\n  sasl: external\n  bind_dn: cn=x\n",
            ["9: directory.bind_dn: does not go with sasl: external, " + SAYS_WHO],
        ),
        (
            SOURCE + MAPPING + LDAP + "  cert_file: ca.pem\n  sasl: external\n  password: {env: A}\n",
            ["9: directory.password: sasl: external needs none"],
        ),
        (
            SOURCE + MAPPING + LDAP + "  sasl: external\n",
            ["7: directory.sasl: external needs a client certificate (cert_file) or an ldapi:// address"],
        ),
        (
            SOURCE + MAPPING + LDAP + "  sasl: external\n  bind_dn: cn=x\n",
            [
                "7: directory.sasl: external needs a client certificate (cert_file) or an ldapi:// address",
                "8: directory.bind_dn: does not go with sasl: external, " + SAYS_WHO,
            ],
        ),
        (SOURCE + MAPPING + LDAP + "  sasl: plain\n", ["7: directory.sasl: 'plain' is none of external, gssapi"]),
        (
            SOURCE + MAPPING + LDAP + "  sasl: gssapi\n  bind_dn: cn=x\n",
            ["8: directory.bind_dn: does not go with sasl: gssapi, where the Kerberos ticket identifies the account"],
        ),
        (SOURCE + MAPPING + LDAP + "  key_file: key.pem\n", ["7: directory.key_file: needs a cert_file as well"]),
        (
            SOURCE + MAPPING + LDAP.replace("ou=people,dc=example,dc=org", "people"),
            ["6: directory.base: must be a distinguished name, such as ou=people,dc=example,dc=org"],
        ),
        (
            SOURCE + "directory: {type: ldif, path: people.ldif, base: people}\n" + MAPPING,
            ["2: directory.base: must be a distinguished name, such as ou=people,dc=example,dc=org"],
        ),
        # headers
        (
            CEC + "  headers:\n    X-TenantSpaceID: '1'\n    Authorization: Bearer\n" + DIRECTORY + MAPPING,
            ["8: source.headers.Authorization: cannot be set here: the program sets it, or it is a secret"],
        ),
        (
            CEC + "  headers: {Content-Length: '5', TRANSFER-ENCODING: chunked}\n" + DIRECTORY + MAPPING,
            [
                "6: source.headers.Content-Length: cannot be set here: the program sets it, or it is a secret",
                "6: source.headers.TRANSFER-ENCODING: cannot be set here: the program sets it, or it is a secret",
            ],
        ),
        (
            CEC + "  headers:\n    a b: c\n" + DIRECTORY + MAPPING,
            ["7: source.headers.a b: is no header name"],
        ),
        (
            CEC + '  headers:\n    a: "b\\nc"\n' + DIRECTORY + MAPPING,
            ["7: source.headers.a: holds characters that a header cannot have"],
        ),
        (
            CEC + "  path: a\n  token_path: /b?c\n" + DIRECTORY + MAPPING,
            [
                "6: source.path: must begin with / and hold neither spaces nor a query",
                "7: source.token_path: must begin with / and hold neither spaces nor a query",
            ],
        ),
        (
            CEC + "  path: /a/../b\n  token_path: /.\n" + DIRECTORY + MAPPING,
            [
                "6: source.path: must not hold . or .. between slashes",
                "7: source.token_path: must not hold . or .. between slashes",
            ],
        ),
    ],
)
def test_a_mistake_is_said_on_its_line(folder: Path, text: str, expected: list[str]) -> None:
    assert faults(folder, text) == expected


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://cec.example.org", "http:// sends secrets in clear; use https://, or set allow_plaintext: true"),
        ("ftp://cec.example.org", "must begin with https:// or http://"),
        ("cec.example.org", "must begin with https:// or http://"),
        ("https:cec.example.org", "must begin with https:// or http://"),
        ("https://", "names no host"),
        ("https://:443", "names no host"),
        ("https://-x", "is no valid URL: check its host and port"),
        ("https://a_b%2f", "is no valid URL: check its host and port"),
        ("https://x:port", "is no valid URL: check its host and port"),
        ("https://x:65536", "is no valid URL: check its host and port"),
        ("https://[::1", "is no valid URL: check its host and port"),
        ("https://x:0", "port 0 is not valid"),
        ("https://user:pass@x", "must not hold a user or a password"),
        ("https://x?a=b", "must not hold a query or a fragment"),
        ("https://x#a", "must not hold a query or a fragment"),
        ("https://x/api", "must end after the host and port; put the rest into path and token_path"),
        ("https://bücher.example", "holds characters that a URL cannot have; write host names in their xn-- form"),
        ("https://a b", "holds characters that a URL cannot have; write host names in their xn-- form"),
    ],
)
def test_an_address_of_the_source_that_cannot_be_is_refused(folder: Path, url: str, expected: str) -> None:
    text = CEC.replace("https://cec.example.org", json.dumps(url, ensure_ascii=False))
    assert faults(folder, text + DIRECTORY + MAPPING) == [f"3: source.url: {expected}"]


@pytest.mark.parametrize(
    ("url", "more", "expected"),
    [
        (
            "ldap://x",
            "",
            "ldap:// sends secrets in clear; use ldaps:// or start_tls: true, or set allow_plaintext: true",
        ),
        ("http://x", "", "must begin with ldaps:// or ldap:// or ldapi://"),
        ("ldaps://x", "  start_tls: true\n", "start_tls goes with ldap://, not with ldaps://"),
        ("ldapi://%2Frun%2Fldapi", "  start_tls: true\n", "start_tls goes with ldap://, not with ldapi://"),
        (
            "ldaps://x/dc=example",
            "",
            "must end after the host and port; put a DN into base, write a socket as ldapi://%2Fpath",
        ),
        (
            "ldapi:///run/ldapi",
            "",
            "must end after the host and port; put a DN into base, write a socket as ldapi://%2Fpath",
        ),
        ("ldapi://a:b", "", "is no valid URL: check its host and port"),
        *((url, "", NO_SOCKET) for url in ("ldapi:///", "ldapi://", "ldapi://run%2Fldapi", "ldapi://%2Fa%2")),
        *((url, "", NO_SOCKET) for url in ("ldapi://%00ldapi", "ldapi://%2Frun%2Fldapi%00", "ldapi://%2F")),
        ("ldaps://x:0", "", "port 0 is not valid"),
        ("ldaps://cn=x:y@x", "", "must not hold a user or a password"),
        ("ldaps://x??sub", "", "must not hold a query or a fragment"),
    ],
)
def test_an_address_of_the_directory_that_cannot_be_is_refused(
    folder: Path, url: str, more: str, expected: str
) -> None:
    directory = LDAP.replace("[ldaps://ldap.example.org]", f"\n  - ldaps://first.example.org\n  - {url}")
    said = faults(folder, SOURCE + MAPPING + directory + more)
    assert said[-1] == f"7: directory.urls[2]: {expected}"


@pytest.mark.parametrize(
    ("url", "more"),
    [
        ("ldaps://ldap.example.org", ""),
        ("LDAPS://ldap.example.org:1636/", ""),
        ("ldap://ldap.example.org", "  start_tls: true\n"),
        ("ldap://192.0.2.1:389", "  allow_plaintext: true\n"),
        ("ldaps://[2001:db8::1]:636", ""),
        ("ldapi://%2Fvar%2Frun%2Fslapd%2Fldapi", "  sasl: external\n"),
        ("ldaps://dc1.example.org", "  sasl: gssapi\n"),
        ("ldapi://%2frun%2Fldapi/", ""),
    ],
)
def test_an_address_of_a_directory_is_taken(folder: Path, url: str, more: str) -> None:
    directory = LDAP.replace("ldaps://ldap.example.org", f'"{url}"')
    job = loaded(folder, SOURCE + MAPPING + directory + more).job
    assert isinstance(job.directory, LdapDirectory)
    assert job.directory.urls == [url.removesuffix("/") if not url.startswith("ldapi") else url]


@pytest.mark.parametrize("url", ["https://cec.example.org:28070/", "http://127.0.0.1:8080"])
def test_an_address_of_a_source_is_taken(folder: Path, url: str) -> None:
    job = loaded(
        folder, CEC.replace("https://cec.example.org", url) + "  allow_plaintext: true\n" + DIRECTORY + MAPPING
    )
    assert isinstance(job.job.source, CecSource)
    assert job.job.source.url == url.rstrip("/")


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("postgresql://cec:hunter2@db.example.org/cec", "holds a password"),
        ("postgresql://db.example.org/cec?password=hunter2", "holds a password"),
        ("postgresql://db.example.org", "names no database"),
        ("mysql://db.example.org/cec", "is not supported"),
        ("state.db", "must be a URL, such as sqlite:///state.db"),
        ("sqlite://state.db", "names no file"),
        ("sqlite:///", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///:memory:", "names no file"),
        ("sqlite:///state.db?mode=ro", "names no file"),
    ],
)
def test_a_state_that_cannot_be_is_refused(folder: Path, state: str, expected: str) -> None:
    (said,) = faults(folder, SOURCE + DIRECTORY + MAPPING + f"state: '{state}'\n")
    assert said.startswith("4: state: ")
    assert expected in said


def test_a_state_in_a_database_server_needs_a_key_that_is_not_kept_there(folder: Path) -> None:
    text = SOURCE + DIRECTORY + MAPPING + "state: postgresql://cec@db.example.org/cec\n"
    (said,) = faults(folder, text)
    assert said == "4: state: in PostgreSQL needs a key outside the database; add `key: {file: PATH}`"
    assert loaded(folder, text + "key: {env: CEC_KEY}\n").job.key == SecretRef(env="CEC_KEY")


def test_an_absolute_state_is_where_it_says(folder: Path) -> None:
    job = loaded(folder, SOURCE + DIRECTORY + MAPPING + "state: sqlite:////var/lib/cec/state.db\n")
    assert job.state_path == Path("/var/lib/cec/state.db")


def test_a_key_that_is_called_like_the_type_has_its_own_line(folder: Path) -> None:
    (said,) = faults(folder, SOURCE + MAPPING + LDAP + "  ldap: 5\n")
    assert said.startswith("7: directory.ldap: unknown key; there are type, allow_plaintext, ")


def test_all_mistakes_of_a_file_are_reported_at_once_by_line(folder: Path) -> None:
    said = faults(
        folder,
        f"""\
source:
  type: cec
  url: http://cec.example.org
  app_key: {SECRET}
  ap_secret: x
directory:
  type: ldap
  urls: []
  bind_dn: cn=x
  base: ou=people
mapping: &x none
pins: no.csv
limits: {{update: x}}
""",
    )
    assert [line.split(": ")[:2] for line in said] == [
        ["1", "source.app_secret"],
        ["3", "source.url"],
        ["4", "source.app_key"],
        ["5", "source.ap_secret"],
        ["8", "directory.urls"],
        ["9", "directory.bind_dn"],
        ["11", "mapping"],
        ["11:10", "anchors are not supported; write the value out, or put the text in quotes"],
        ["12", "pins"],
        ["13", "limits.update"],
    ]


IN_CLEAR = [
    f"{SECRET}", f"'{SECRET}'", f"{{{SECRET}: x}}", f"{{{SECRET}}}", f"[{SECRET}]", f"{{env: {SECRET}}}",
    f"{{value: {SECRET}}}", f"{{env: [{SECRET}]}}", f"{{file: [{SECRET}]}}", f"{{env: {{a: {SECRET}}}}}",
    f"*{SECRET}", f"&{SECRET}", f"!{SECRET} x", f'"{SECRET}', f"@{SECRET}", f"|\n   {SECRET}",
]  # fmt: skip


@pytest.mark.parametrize("value", IN_CLEAR)
@pytest.mark.parametrize("key", ["app_key", "app_secret", "password", "key"])
def test_a_secret_in_clear_is_refused_on_its_line_and_not_repeated(folder: Path, key: str, value: str) -> None:
    text = CEC + LDAP + "  bind_dn: cn=x\n  password: {env: P}\n" + MAPPING + "key: {env: K}\n"
    lines = [f"{line.partition(':')[0]}: {value}" if line.strip().startswith(f"{key}:") else line
             for line in text.splitlines()]  # fmt: skip
    line = next(place for place, line in enumerate(lines, 1) if line.strip().startswith(f"{key}:"))
    path = folder / "hr-to-ldap.yaml"
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(FileError) as caught:
        load_job(path)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value)
    assert caught.value.__cause__ is None
    places = [int(said.removeprefix(f"{path}:").split(":")[0]) for said in str(caught.value).splitlines()]
    assert max(places) >= line, "it is said where the secret is, or where the syntax breaks behind it"
    if value == SECRET:
        assert str(caught.value).endswith(
            f"{key}: a secret must not be written here in clear; write {{env: NAME}} or {{file: PATH}}"
        )


@pytest.mark.parametrize("scheme", ["http", "https", "ldap", "ldaps", "ldapi", "ftp", "sqlite", "postgresql"])
def test_a_password_in_an_address_is_not_repeated(folder: Path, scheme: str) -> None:
    url = f"{scheme}://user:{SECRET}@example.org/x"
    text = CEC.replace("https://cec.example.org", url) + LDAP.replace("ldaps://ldap.example.org", url) + MAPPING
    said = faults(folder, text + f"state: {url}\n")
    assert [line.partition(": ")[0] for line in said] == ["3", "8", "11"]
    assert SECRET not in str(said)


def test_a_job_that_a_program_builds_keeps_its_paths(folder: Path) -> None:
    directory = LdifDirectory(type="ldif", path=Path("not/there.ldif"))
    assert directory.path == Path("not/there.ldif")
    with pytest.raises(ValueError, match="sends secrets in clear"):
        LdapDirectory.model_validate({"type": "ldap", "urls": ["ldap://x"], "base": "dc=x"})


def refusal(path: Path) -> FileError | None:
    """Why the job is refused; None where it is read."""
    try:
        load_job(path)
    except FileError as fault:
        return fault
    return None


KEYS = [
    *list_keys(Job), *list_keys(CecSource), *list_keys(LdapDirectory), "env", "update", "clear", "x",
]  # fmt: skip
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
    | st.sampled_from(["cec", "file", "ldap", "ldif", "external", "20%", "ldap://x", "http://y", "sqlite:///z", "."]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=6),
    max_leaves=20,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(list(list_keys(Job))) | st.text(max_size=5), VALUES, max_size=7))
def test_any_job_is_read_or_refused_with_its_lines(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-job.yaml"
    path.write_text(json.dumps(data, indent=1))  # JSON is YAML, as far as this reader goes
    fault = refusal(path)
    assert fault is None or all(line.startswith(f"{path}:") for line in str(fault).splitlines())
    str(fault).encode()


@given(st.text(max_size=300))
def test_any_text_as_a_job_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any-text.yaml"
    path.write_bytes((SOURCE + DIRECTORY + MAPPING + text).encode("utf-8", "replace"))
    fault = refusal(path)
    assert fault is None or fault.where.startswith(f"{path}:")


def test_the_example_is_read() -> None:
    example = Path(__file__).parents[2] / "examples" / "openldap.yaml"
    assert load_job(example).job.limits.update == Limit(100, percent=True)


def test_a_link_to_nowhere_is_not_said_to_be_meant_instead_of_itself(tmp_path: Path) -> None:
    (tmp_path / "agents.json").symlink_to("nowhere")
    assert why_no_file(tmp_path / "agents.json") == f"{tmp_path}/agents.json is a link to a file that is not there"
