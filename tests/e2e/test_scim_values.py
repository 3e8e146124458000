"""Values that a SCIM server shows otherwise than they were sent: a plan after an apply is empty all the same."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.scim_job import ScimJob, agent
from tests.support.scim_servers import CEC, EACH_KIND, ScimServer, extension, people

pytestmark = pytest.mark.slow

TYPES = "urn:example:types:1.0:User"
MAPPING = """\
match: [{{agent: "{{accountCode}}", directory: userName}}]
attributes:
{attributes}"""


def types() -> dict[str, Any]:
    """An extension with one attribute of each type, which says nothing of case."""
    kinds = ("decimal", "dateTime", "boolean", "integer", "binary", "reference", "string")
    attributes = [{"name": f"{kind}Value", "type": kind, "multiValued": False} for kind in kinds]
    attributes.append({"name": "several", "type": "string", "multiValued": True})
    return {"id": TYPES, "name": "types", "schemas": extension()["schemas"], "attributes": attributes}


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), schemas=[types()]) as started:
        yield started


@pytest.fixture(scope="module", params=EACH_KIND)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ScimServer]:
    with ScimServer.start(tmp_path_factory.mktemp("scim"), kind=request.param) as started:
        yield started


def job(folder: Path, server: ScimServer, values: list[str], *lines: str) -> ScimJob:
    """A job whose agents have these SIP accounts, and account codes in the other case than the users' names."""
    server.restore([])
    server.put(people(len(values)))
    made = ScimJob(folder / "job", server, agents=0)
    (made.folder / "mapping.yaml").write_text(MAPPING.format(attributes="".join(f"  {line}\n" for line in lines)))
    made.configure(mapping="mapping.yaml")
    sip_accounts(made, values)
    return made


def sip_accounts(job: ScimJob, values: list[str]) -> None:
    job.agents = [
        agent(number, sipAccount=value, accountCode=f"AGENT{number:03}") for number, value in enumerate(values, 1)
    ]
    job.tenant()


def settled(job: ScimJob) -> None:
    """Applied once, there is nothing left to do."""
    outcomes = job.outcomes(job.run("apply"))
    assert set(outcomes.values()) == {"written"}
    assert len(outcomes) == len(job.agents)
    assert job.run("plan", "--fail-on-changes")["changes"] == []


SAME_AND_OTHER = {
    "decimal": (["1", "1.0", "1.10", "-0.5", "1e3"], ["1.00", "1", "1.1", "-0.50", "1000"],
                ["2", "1.5", "0.1", "0", "-1"]),
    "dateTime": (
        ["2026-01-31T12:00:00Z", "2026-01-31T13:00:00+01:00", "2026-01-31T12:00:00.500Z"],
        ["2026-01-31T12:00:00.0Z", "2026-01-31T12:00:00Z", "2026-01-31T11:00:00.5-01:00"],
        ["2026-01-31T12:00:01Z", "2026-01-31T13:00:00Z", "2026-01-31T12:00:00.501Z"],
    ),
    "string": (["a  b", "Ab", "e\u0301"], ["A  B", "aB", "E\u0301"], ["a b", "Abc", "\u00e9"]),
    "boolean": (["true", "FALSE", "yes", "no"], ["TRUE", "false", "1", "0"], ["no", "yes", "FALSE", "true"]),
    "integer": (["007", "+7", "-0", "2147483647"], ["7", "7", "0", "2147483647"], ["8", "-7", "1", "1"]),
    "binary": (["aGVsbG8=", "YQ=="], ["aGVsbG8=", "YQ=="], ["AGVsbG8=", "yQ=="]),
    "reference": (["https://example.org/A"], ["https://example.org/A"], ["https://example.org/a"]),
}  # fmt: skip
QUICK = ("decimal", "dateTime")


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in SAME_AND_OTHER]
)
def test_values_of_every_type_settle_and_are_written_again_only_where_they_are_others(
    tmp_path: Path, typed: ScimServer, kind: str
) -> None:
    values, same, others = SAME_AND_OTHER[kind]
    made = job(tmp_path, typed, values, f'{TYPES}:{kind}Value: "{{sipAccount}}"')
    settled(made)
    sip_accounts(made, same)
    assert made.run("plan", "--fail-on-changes")["changes"] == []
    sip_accounts(made, others)
    settled(made)


def test_what_a_type_cannot_hold_is_told_for_that_user_and_not_sent(tmp_path: Path, typed: ScimServer) -> None:
    values = ["nan", "1,5", "0.12345678901234567890"]
    made = job(tmp_path, typed, values, f'{TYPES}:decimalValue: "{{sipAccount}}"')
    typed.forget()
    planned = made.run("apply")
    assert planned["changes"] == []
    assert len(planned["problems"]) == len(values)
    assert typed.writes() == []


TEXTS = [
    "e\u0301", "\u00e9", "a  b", " x ", "\ufb01", "\u0130", "\u0663", "null", "0", "a\u200bb", "[]",
    'say "x"', "back\\slash", "\U0001f600",
]  # fmt: skip


def test_text_is_kept_to_the_letter_and_settles(tmp_path: Path, server: ScimServer) -> None:
    lines = [f'{CEC}:{name}: "{{sipAccount}}"' for name in ("accountCode", "sipAccount", "sipServiceIp")]
    made = job(tmp_path, server, TEXTS, *lines, f'{CEC}:workNo: "{{workNo|pad:9}}"')
    settled(made)
    assert [user[CEC]["sipAccount"] for user in server.all()] == TEXTS
    sip_accounts(made, [*TEXTS[1:], "last"])
    settled(made)


def test_values_among_those_of_others_settle(tmp_path: Path, typed: ScimServer) -> None:
    lines = (
        f'{TYPES}:several: {{value: "line:{{sipAccount}}", owns: "line:*"}}',
        'phoneNumbers[type eq "work"].value: {value: "{sipAccount}", owns: "*"}',
        'ims[type eq "sip"].value: {value: "im:{sipAccount}", owns: "im:*"}',
    )
    made = job(tmp_path, typed, TEXTS, *lines)
    for user in typed.all():
        others = [{"type": "home", "value": "+49 1"}, {"type": "WORK", "value": "old"}]
        typed.patch(user["id"], {"op": "replace", "path": "phoneNumbers", "value": others},
                    {"op": "replace", "path": f"{TYPES}:several", "value": ["theirs", "LINE:old"]})  # fmt: skip
    settled(made)
    assert [user[TYPES]["several"] for user in typed.all()] == [["theirs", f"line:{text}"] for text in TEXTS]
    assert [user["phoneNumbers"][0]["value"] for user in typed.all()] == ["+49 1"] * len(TEXTS)
