"""Names of people are hints: a directory that cannot tell them leaves the plan as it is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest

from connector.errors import IncompleteRead
from connector.model import NAME, Description, Memory, Moment, Plan
from connector.reconcile.mapping import Mapping
from connector.reconcile.overview.person_names import with_people
from connector.reconcile.questions import Brief, Find
from tests.support.report_samples import sample
from tests.support.worlds import NO_LIMITS

BRIEF = Brief(
    mapping=Mapping((), ()), limits=NO_LIMITS, description=Description("LDIF file", "file:people", {}),
    memory=cast("Memory", None), fingerprint=lambda *_: "", job="job", plan_id="id", now=Moment(datetime.now(UTC)),
    show=("cn",),
)  # fmt: skip


def test_names_that_cannot_be_read_are_said_to_be_missing() -> None:
    planning = with_people(sample(), BRIEF)
    asked = next(planning)
    assert isinstance(asked, Find)
    assert (NAME, "uid=nobdy,ou=people,dc=example,dc=org") in list(asked.keys)
    with pytest.raises(StopIteration) as ended:
        planning.throw(IncompleteRead("the server is busy"))
    plan: Plan = ended.value.value
    assert plan.about[-1] == ("names", "not shown: the server is busy")
    assert not plan.people
    assert plan.digest == sample().digest
