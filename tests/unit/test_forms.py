"""The form of each attribute's change: what a reviewer is told of where the value comes from and what goes for it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from connector.matching.questions import Brief
from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Change,
    Description,
    Equality,
    Form,
    Held,
    Memory,
    Moment,
    Owned,
    Secret,
    User,
    UserRef,
)
from connector.model.digests import fingerprinter
from connector.model.equality import digest
from connector.model.mapping import Mapping
from connector.planning.conflicts import held_now, replanned, unlike
from connector.planning.overview.forms import Places, formed
from tests.support.worlds import NO_LIMITS

ANN = UserRef("id-1", "uid=ann")
PRINT = fingerprinter(Secret("key"))
INFOS = {name: AttributeInfo(name, single=False) for name in ("mail", "uid")}
INFOS["word"] = AttributeInfo("word", equality=Equality.OCTETS)
DESCRIPTION = Description("test", "test", INFOS)


def mail(old: str, new: str, *, seen: bool = True, absent: bool = False) -> AttributeChange:
    return AttributeChange("mail", tuple(old.split()), tuple(new.split()), seen=seen, absent=absent)


def word(old: str, new: str) -> AttributeChange:
    values = [(Secret(value),) if value else () for value in (old, new)]
    return AttributeChange("word", values[0], values[1], secret=True)


def wrote(*values: str, secret: str = "") -> Owned:
    return Owned("run", tuple(digest(Equality.CASE_IGNORE, each) for each in values), PRINT(ANN, "word", secret))


def form(
    each: AttributeChange, owned: Owned | None = None, *, last: AgentRef | None = None, now: AgentRef | None = None,
    beside: Places = (), taken: Places = (), loses: bool = False,
) -> Form | None:  # fmt: skip
    """The form of one change where this job wrote that last, for that agent."""
    memory = SimpleNamespace(
        confirmed=lambda users: {ANN.id: {each.name: owned}} if owned else {},
        agents=lambda users: {ANN.id: last} if last else {},
    )
    brief = Brief(
        mapping=Mapping((), ()), limits=NO_LIMITS, description=DESCRIPTION, memory=cast("Memory", memory),
        fingerprint=PRINT, job="job", plan_id="id", now=Moment(datetime.now(UTC)),
    )  # fmt: skip
    (change,), losing, _ = formed([Change(ANN, now, 1, (each,))], brief, beside=beside, taken=taken)
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


def shows(**values: tuple[Held, ...]) -> User:
    return User(ANN.id, ANN.name, values)


def names(each: AttributeChange, user: User) -> list[str]:
    return [found.name for found in unlike(Change(ANN, None, 1, (each,)), user, DESCRIPTION)]


@pytest.mark.parametrize(
    ("each", "user", "differs"),
    [
        (mail("a", "b"), shows(mail=("A",)), False),
        (mail("a", "b"), shows(mail=("a", "c")), True),
        (mail("a", "b"), shows(), True),
        (mail("", "b"), shows(), False),
        (mail("", "b", seen=False), shows(mail=("c",)), False),
        (replace(mail("a1", "a2"), pattern="a*"), shows(mail=("a1", "x")), False),
        (replace(mail("a1", "a2"), pattern="a*"), shows(mail=("a1", "a3")), True),
        (AttributeChange(OBJECT_CLASS, (), ("x",)), shows(objectClass=("top", "y")), False),
        (AttributeChange(OBJECT_CLASS, ("X",), ()), shows(objectClass=("top", "x")), False),
        (AttributeChange(OBJECT_CLASS, ("x",), ()), shows(objectClass=("top",)), True),
    ],
)
def test_a_user_is_in_conflict_by_the_attributes_that_no_longer_hold_what_was_seen(
    each: AttributeChange, user: User, differs: bool
) -> None:
    assert names(each, user) == ([each.name] if differs else [])


def test_of_a_conflict_each_attribute_is_told_with_what_the_user_holds_now() -> None:
    change = Change(ANN, AgentRef(1, "ann"), 1, (mail("a", "b"), AttributeChange("uid", (), ("x",))))
    (found,) = held_now(change, shows(mail=("c",)), (), ["mail"])
    assert (found.name, found.wanted, found.now, found.then, found.reviewed) == (
        "mail", change.attributes[0], ("c",), None, True,
    )  # fmt: skip
    assert not held_now(change, shows(mail=("c",)), (), ["mail"], reviewed=False)[0].reviewed
    assert not unlike(change, shows(mail=("c",)), DESCRIPTION)[0].reviewed


def test_of_a_plan_that_has_changed_each_attribute_is_told_that_differs() -> None:
    """With the new aim only where that is another one; the agent and the rule do not count."""
    uid = AttributeChange("uid", (), ("x",))
    before = Change(ANN, AgentRef(1, "ann"), 1, (mail("a", "b"), uid, word("", "p")))
    now = Change(ANN, AgentRef(2, "bob"), 2, (mail("c", "b"), word("", "p")))
    found = {each.name: each for each in replanned(before, now, shows(mail=("c",)), ())}
    assert list(found) == ["mail", "uid"]
    assert all(each.reviewed for each in found.values())
    assert (found["mail"].wanted, found["mail"].now, found["mail"].then) == (before.attributes[0], ("c",), None)
    assert (found["uid"].wanted, found["uid"].now, found["uid"].then) == (uid, (), None)
    (back,) = replanned(now, replace(now, attributes=(*now.attributes, uid)), None, ())
    assert (back.name, back.wanted, back.now, back.then) == ("uid", None, None, uid)
    other = replanned(before, replace(now, attributes=(mail("a", "d"), uid, word("", "p"))), None, ())
    assert [(each.name, each.then) for each in other] == [("mail", mail("a", "d"))]
    assert replanned(before, replace(before, agent=None, rule=None), None, ()) == ()


@pytest.mark.parametrize(
    ("each", "held", "hidden", "now"),
    [
        (mail("a", "b"), ("c",), (), ("c",)),
        (mail("a", "b"), (), (), ()),
        (mail("a", "b"), (), ["mail"], None),
        (replace(mail("", "b"), seen=False), (), (), None),
        (mail("a", "b"), ("c",), ["mail"], ("c",)),
        (replace(mail("a", "b"), pattern="a*"), ("a2", "x"), (), ("a2",)),
        (replace(word("a", "b"), name="mail"), (Secret("c"),), (), None),
    ],
)
def test_what_a_user_holds_now_is_told_where_that_is_known_and_no_secret(
    each: AttributeChange, held: tuple[Held, ...], hidden: list[str], now: tuple[Held, ...] | None
) -> None:
    user = shows(mail=held) if held else shows()
    (found,) = held_now(Change(ANN, None, 1, (each,)), user, hidden, ["mail"])
    assert found.now == now


def test_a_password_is_another_aim_only_where_one_is_set_or_cleared() -> None:
    set_, again, cleared = word("", "p"), word("", "q"), word("o", "")
    for one, other, then in ((set_, again, None), (set_, cleared, cleared), (cleared, set_, set_)):
        before, now = (
            replace(each, fingerprint=PRINT(ANN, "word", each.new[0]) if each.new else "") for each in (one, other)
        )
        (found,) = replanned(Change(ANN, None, 1, (before,)), Change(ANN, None, 1, (now,)), None, ())
        assert (found.then is None) is (then is None)
