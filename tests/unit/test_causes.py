"""Why a scheduled run did not end well, as /readyz says it: without a name of a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.errors import ConnectorError, DeniedError, FileError, StateError, UnreachableError, UsageError
from connector.model import Refusal
from connector.observers.run_summary import PlanFigures, RunSummary, describe_impersonally
from connector.serve.run_process import describe_ending

DN = "uid=ann,ou=people,dc=example,dc=org"


def summary(**more: object) -> RunSummary:
    known = {"job": "hr", "run": "1", "kind": "apply", "started": 0.0, "seconds": 1.0, "exit_code": 4}
    return RunSummary(**known | more)  # type: ignore[arg-type]  # the fields are of these types


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (UnreachableError("no answer", where="ldaps://ldap.example.org"), "ldaps://ldap.example.org: no answer"),
        (FileError("no such key", where="/etc/cec/hr.yaml:3"), "/etc/cec/hr.yaml:3: no such key"),
        (DeniedError("hides its id", where=DN), "hides its id"),
        (DeniedError("hides its id", where="ann@example.org"), "hides its id"),
        (DeniedError(f"the user {DN} hides its id; show it"), "the user (an entry) hides its id; show it"),
        (StateError("cannot be read"), "cannot be read"),
        (UsageError("the source has no 'ann'", where="--only"), "--only: a name that is given there cannot be used"),
        (UsageError("name a run", where="RUN"), "name a run"),
        (KeyError(DN), "KeyError"),
        (None, ""),
    ],
)  # fmt: skip
def test_a_fault_is_told_without_a_person(fault: ConnectorError | None, said: str) -> None:
    assert describe_impersonally(fault) == said


def test_the_end_of_a_run_is_told_with_all_that_counts() -> None:
    began = "The last run, of 1970-01-01T00:00:00+00:00, ended as:"
    outcomes = {"written": 1200, "failed": 2, "conflict": 0}
    assert (
        describe_ending(summary(outcomes=outcomes), None)
        == f"{began} in part (exit code 4); users: 2 failed, 1,200 written"
    )
    refused = summary(
        exit_code=3, plan=PlanFigures(refusals=[Refusal("clear", 1, 2, f"of {DN}"), Refusal("update", 1, 2, "x")])
    )
    assert describe_ending(refused, Path("/plans/hr.plan.json")) == (
        f"{began} refused (exit code 3); too many users to empty (2 planned, 1 allowed), "
        "too many updates (2 planned, 1 allowed); a plan waits in /plans/hr.plan.json"
    )
    assert describe_ending(summary(exit_code=1, cause="no\x1b"), None) == f"{began} failed (exit code 1); no<U+001B>"
