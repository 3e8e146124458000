"""The form of each attribute's change: what a reviewer is told of where the value comes from and what goes for it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Change,
    Description,
    Equality,
    Form,
    Memory,
    Owned,
    Secret,
    UserRef,
)
from connector.model.digests import make_fingerprinter
from connector.model.equality import digest_value
from connector.model.mapping import Mapping
from connector.planning.brief import PlanBrief
from connector.planning.forms import OtherValues, Places, add_forms
from tests.support.worlds import NO_LIMITS

ANN = UserRef("id-1", "uid=ann")
PRINT = make_fingerprinter(Secret("key"))
INFOS = {name: AttributeInfo(name, single=False) for name in ("mail", "uid")}
INFOS["word"] = AttributeInfo("word", equality=Equality.OCTETS)
DESCRIPTION = Description("test", "test", INFOS)


def mail(old: str, new: str, *, seen: bool = True, absent: bool = False) -> AttributeChange:
    return AttributeChange("mail", tuple(old.split()), tuple(new.split()), seen=seen, absent=absent)


def word(old: str, new: str) -> AttributeChange:
    values = [(Secret(value),) if value else () for value in (old, new)]
    return AttributeChange("word", values[0], values[1], secret=True)


def wrote(*values: str, secret: str = "") -> Owned:
    return Owned("run", tuple(digest_value(Equality.CASE_IGNORE, each) for each in values), PRINT(ANN, "word", secret))


def form(
    each: AttributeChange, owned: Owned | None = None, *, last: AgentRef | None = None, now: AgentRef | None = None,
    beside: Places = (), taken: Places = (), loses: bool = False,
) -> Form | None:  # fmt: skip
    """The form of one change where this job wrote that last, for that agent."""
    memory = SimpleNamespace(
        read_confirmed=lambda users: {ANN.id: {each.name: owned}} if owned else {},
        read_agents=lambda users: {ANN.id: last} if last else {},
    )
    brief = PlanBrief(
        mapping=Mapping((), ()), limits=NO_LIMITS, description=DESCRIPTION, memory=cast("Memory", memory),
        fingerprint=PRINT, job="job", plan_id="id", now=datetime.now(UTC),
    )  # fmt: skip
    formed = add_forms([Change(ANN, now, 1, (each,))], brief, OtherValues(beside, taken))
    (change,), losing = formed.changes, formed.losing
    (found,) = change.attributes
    assert replace(found, form=None) == each
    assert bool(losing) == (loses or found.form is Form.FOREIGN)
    return found.form


@pytest.mark.parametrize(
    ("each", "owned", "expected"),
    [
        (mail("", "a"), None, Form.FIRST),
        (mail("", "a"), wrote("b"), Form.FIRST),
        (mail("", "a", seen=False), wrote("b"), Form.OURS),
        (mail("", "a", seen=False, absent=True), wrote("b"), Form.FIRST),
        (mail("", "a", seen=False), None, Form.FIRST),
        (mail("b", "a"), None, Form.FOREIGN),
        (mail("b", "a"), wrote("c"), Form.FOREIGN),
        (mail("b", "a"), wrote("B", "c"), Form.OURS),
        (mail("b c", "a"), wrote("b"), Form.FOREIGN),
        (mail("b c", "c a"), wrote("b"), Form.OURS),
        (mail("b", "b a"), None, Form.BESIDE),
        (mail("b", "b a"), wrote("b"), Form.FIRST),
        (word("", "x"), None, Form.SECRET),
        (word("y", "x"), None, Form.FOREIGN),
        (word("y", "x"), wrote(secret="y"), Form.SECRET),
        (word("y", "x"), wrote(secret="z"), Form.FOREIGN),
        (replace(word("y", "x"), old=(Secret("y"), Secret("z"))), wrote(secret="y"), Form.FOREIGN),
        (replace(word("y", "x"), old=(Secret("y"), Secret("x"))), wrote(secret="y"), Form.FOREIGN),
        (AttributeChange(OBJECT_CLASS, (), ("a",)), None, None),
    ],
)
def test_what_a_change_replaces_decides_its_form(
    each: AttributeChange, owned: Owned | None, expected: Form | None
) -> None:
    assert form(each, owned) is expected


@pytest.mark.parametrize(
    ("each", "owned", "loses"),
    [
        (mail("b", ""), None, True),
        (mail("b", ""), wrote("c"), True),
        (mail("b c", "B"), None, True),
        (mail("b", ""), wrote("b"), False),
        (mail("b c", "B"), wrote("c"), False),
        (mail("b", "", seen=False), None, False),
        (word("y", ""), wrote(secret="y"), False),
        (word("y", ""), wrote(secret="z"), True),
        (replace(word("", ""), seen=False), wrote(secret="y"), False),
        (replace(word("", ""), seen=False), None, True),
        (replace(word("", ""), seen=False, absent=True), None, False),
    ],
)
def test_what_is_emptied_is_lost_where_this_job_did_not_write_it(
    each: AttributeChange, owned: Owned | None, loses: bool
) -> None:
    assert form(each, owned, loses=loses) is Form.EMPTIED


def test_a_value_that_another_user_holds_is_taken_over_whatever_goes_for_it() -> None:
    place = {(ANN.id, "mail")}
    assert form(mail("b", "a"), wrote("b"), taken=place) is Form.TAKEN_OVER
    assert form(mail("b", "a"), wrote("c"), taken=place, loses=True) is Form.TAKEN_OVER
    assert form(mail("b", ""), wrote("b"), taken=place) is Form.EMPTIED
    assert form(mail("b", "a"), wrote("b"), taken={("id-2", "mail"), (ANN.id, "uid")}) is Form.OURS


def test_a_first_value_of_ours_joins_those_of_others_where_the_user_shows_some() -> None:
    assert form(mail("", "a"), beside={(ANN.id, "mail")}) is Form.BESIDE
    assert form(mail("b", "a"), wrote("b"), beside={(ANN.id, "mail")}) is Form.OURS
    assert form(mail("", "a"), beside={(ANN.id, "uid")}) is Form.FIRST


@pytest.mark.parametrize(
    ("last", "now", "moved"),
    [
        (AgentRef(1, "ann"), AgentRef(1, "ann"), False),
        (AgentRef(1, "ann"), AgentRef(2, "ann"), False),
        (AgentRef(1, "ann"), AgentRef(1, "bob"), True),
        (AgentRef(1, None), AgentRef(1, "bob"), False),
        (AgentRef(1, "ann"), AgentRef(1, None), False),
        (AgentRef(1, "ann"), AgentRef(2, None), True),
        (None, AgentRef(1, "bob"), False),
        (AgentRef(1, "ann"), None, False),
    ],
)
def test_that_a_user_stands_for_another_agent_than_before_matters_more_than_a_mild_form(
    last: AgentRef | None, now: AgentRef | None, moved: bool
) -> None:
    """By the account; by the seat where one has none."""
    ours = wrote("b", secret="b")
    for each, mild in ((mail("", "a"), Form.FIRST), (mail("b", "a"), Form.OURS), (word("b", "a"), Form.SECRET)):
        assert form(each, ours, last=last, now=now) is (Form.OTHER_AGENT if moved else mild)
    for each, grave in ((mail("c", "a"), Form.FOREIGN), (mail("b", ""), Form.EMPTIED)):
        assert form(each, ours, last=last, now=now) is grave


# ---------------------------------------------------------------- conflicts
