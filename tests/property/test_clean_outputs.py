"""No text of a server or of the source does anything at a terminal, or in a log, but be read."""

from __future__ import annotations

import json
import re
import unicodedata
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings, strategies as st

from connector import errors
from connector.cli.advice import report_fault
from connector.directories.ldap import ber, requests, responses
from connector.directories.ldap.responses import DONE
from tests.support import ldap_answers
from tests.support.http_server import HttpServer, said
from tests.support.jobs import cec_source, job_file, ldap_directory, ldif_directory
from tests.support.ldap_server import SYNC
from tests.support.ldif_job import BASE, Job, agent
from tests.support.program import program
from tests.support.scripted_ldap import ScriptedLdap
from tests.support.terminal import at_a_terminal

EVIL = (
    "\x1b]0;owned\x07", "\x1b[2J", "\n* FORGED line", "\r* FORGED line", "\x9b31m", "\x9d0;owned\x9c", "\x08\x7f",
    *map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A)), "\u2028* FORGED", "\u200b", "\u3164",
)  # fmt: skip
evil = st.lists(st.sampled_from(EVIL), min_size=1, max_size=4).map("x".join)
OURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
"""Colours and a bar, as the log and the progress have them at a terminal: CSI, never followed by text of others."""


def clean(text: str, *, terminal: bool = False) -> None:
    """No line is forged, and no character is there that does not show as itself.

    At a terminal long lines go on in the next one, indented, where a terminal itself would go on at the edge.
    """
    shown = OURS.sub("", text).replace("\r\n", "\n").replace("\r", "\n") if terminal else text
    assert not re.search(r"^[^\w ]\W*FORGED|^FORGED" if terminal else r"^\W*FORGED", shown, re.MULTILINE), text
    odd = {letter for letter in shown if unicodedata.category(letter) in {"Cc", "Cf", "Zl", "Zp"}}
    assert odd <= {"\n"}, (odd, text)
    assert "\x1b[2J" not in text
    assert "\u3164" not in text


def clean_log(text: str) -> None:
    """Nor is there one in the values of an event, for whoever reads those shows them at a terminal, too."""
    clean(text)
    for line in filter(None, text.splitlines()):
        if line.startswith("{"):
            for value in flat(json.loads(line)):
                clean(value)


def flat(held: Any) -> list[str]:
    if isinstance(held, dict):
        return [text for each in (*held, *held.values()) for text in flat(each)]
    return [text for each in held for text in flat(each)] if isinstance(held, list) else [str(held)]


slowly = settings(
    max_examples=4,
    phases=[Phase.generate],
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def everything(folder: Path, env: dict[str, str] | None = None) -> str:
    """All that the program says in a folder with a job, and the reports that it writes; all of it is clean."""
    heard = ""
    reports = [option for suffix in ("csv", "md", "html", "ldif", "json") for option in ("--report", f"out.{suffix}")]
    for command in (("check",), ("plan", *reports), ("apply", *reports)):
        name, *options = command
        ended = program("--log-level", "debug", name, "job.yaml", *options, folder=folder, env=env)
        clean(ended.out)
        clean_log(ended.err)
        assert "fault of the program" not in ended.err
        heard += ended.said
    for path in folder.glob("out.*"):
        text = path.read_bytes().decode()
        clean(text.replace("\r\n", "\n") if path.suffix == ".csv" else text)
    code, seen = at_a_terminal(folder, "--log-level", "debug", "apply", "job.yaml", "--yes", env=env)
    clean(seen, terminal=True)
    assert code in {0, 1, 3, 4}
    return heard + seen


@pytest.mark.slow
@slowly
@given(st.data())
def test_what_a_file_and_a_source_say_is_only_read(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    job = Job(tmp_path_factory.mktemp("odd"), users=0)

    def base64(name: str, text: str) -> str:
        return f"{name}:: {b64encode(text.encode()).decode()}\n"

    entries, agents = [], []
    for number in range(1, 4):
        odd = data.draw(evil)
        name = "".join(f"\\{octet:02x}" for octet in f"u{number}{odd}".encode()) if number == 1 else f"u{number}{odd}"
        entries += [
            base64("dn", f"cn={name},{BASE}"), "objectClass: inetOrgPerson\n", f"uid: user{number}\n", "sn: x\n",
            base64("cn", odd), base64("employeeNumber", data.draw(evil)), base64("mail", data.draw(evil)),
            base64("entryUUID", f"{number}{data.draw(evil)}"), "\n",
        ]  # fmt: skip
        agents.append(agent(number))
    agents += [agent(4, accountCode=data.draw(evil)), agent(5, accountCode="user5", sipAccount=data.draw(evil))]
    agents += [{"workNo": data.draw(evil)}, agent(6, accountCode=f"y{data.draw(st.sampled_from(EVIL[7:]))}")]
    job.write("people.ldif", "".join(entries))
    job.agents(agents)
    everything(job.folder)
    for command in (("explain", "user1"), ("explain", "user1", "--json"), ("runs",), ("runs", "--json")):
        ended = job.program(command[0], "job.yaml", *command[1:])
        clean(ended.out)
        clean_log(ended.err)


@pytest.mark.slow
@slowly
@given(evil, evil, evil, st.sampled_from([10, 1, 4, 53, 32, 80]))
def test_what_an_ldap_server_says_in_its_answers_is_only_read(
    tmp_path_factory: pytest.TempPathFactory, uri: str, matched: str, diagnostic: str, code: int
) -> None:
    def answer(number: int) -> bytes:
        referral = (
            [ber.encode_tlv(0xA3, ber.encode_tlv(4, f"ldap://{uri}/ou={uri}".encode()))]
            if code == responses.REFERRAL
            else []
        )
        parts = (
            ber.encode_integer(code, ber.ENUMERATED),
            ber.encode_tlv(4, matched.encode()),
            ber.encode_tlv(4, diagnostic.encode()),
        )
        return requests.encode_message(number, ber.encode_sequence((*parts, *referral), DONE))

    folder = tmp_path_factory.mktemp("said")
    job = Job(folder, users=2)
    with ScriptedLdap(lambda frame: answer(frame.id)) as server:
        job.write("job.yaml", job_file(ldap_directory(server.url, bind_dn=SYNC)))
        everything(folder, env={"LDAP_PASSWORD": "secret"})


@pytest.mark.slow
@slowly
@given(evil, evil)
def test_what_an_ldap_server_names_and_refers_to_is_only_read(
    tmp_path_factory: pytest.TempPathFactory, name: str, uri: str
) -> None:
    folder = tmp_path_factory.mktemp("named")
    job = Job(folder, users=2)

    def answer(number: int) -> bytes:
        entry = ldap_answers.entry(number, f"cn={name},{BASE}", name.encode())
        return entry + ldap_answers.reference(number, f"ldap://{uri}".encode()) + ldap_answers.result(number)

    with ScriptedLdap(lambda frame: answer(frame.id)) as server:
        job.write("job.yaml", job_file(ldap_directory(server.url, bind_dn=SYNC)))
        everything(folder, env={"LDAP_PASSWORD": "secret"})


@pytest.mark.slow
@slowly
@given(evil, evil, st.sampled_from([200, 302, 400, 401, 404, 500]))
def test_what_a_tenant_s_server_says_is_only_read(
    tmp_path_factory: pytest.TempPathFactory, text: str, code: str, status: int
) -> None:
    folder = tmp_path_factory.mktemp("tenant")
    job = Job(folder, users=2)
    answer = said(status, {"resultCode": code, "resultMessage": text, "retCode": code, "retMsg": text})
    with HttpServer(otherwise=answer) as server:
        job.write("job.yaml", job_file(ldif_directory(), source=cec_source(server.url, timeout=1)))
        everything(folder, env={"CEC_APP_KEY": "key", "CEC_APP_SECRET": "secret"})


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ConnectorError)]
KINDS.remove(errors.ConnectorError)


@given(what=st.text(), where=st.text(), odd=evil)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.parametrize("kind", KINDS)
def test_an_error_is_told_in_lines_of_our_own(
    capsys: pytest.CaptureFixture[str], kind: type[errors.ConnectorError], what: str, where: str, odd: str
) -> None:
    fault = kind(f"{what}{odd}", where=f"{where}{odd}")
    if not isinstance(fault, errors.FileError):  # which lists a file's faults, each in a line
        report_fault(fault)
        clean(capsys.readouterr().err)
