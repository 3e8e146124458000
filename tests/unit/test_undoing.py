"""What is taken back of a run, by its journal, by what the state knows, and by the users as they are now."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest
from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.matching.people import ExcludeList
from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    AttributeDefinition,
    AttributeInfo,
    Change,
    Description,
    Equality,
    Form,
    Held,
    Holds,
    Memory,
    Owned,
    Past,
    Plan,
    Problem,
    Question,
    Result,
    Secret,
    Unsettled,
    User,
    UserRef,
)
from connector.model.digests import make_fingerprinter
from connector.model.equality import digest_value
from connector.model.mapping import AttributeRule, Mapping as Rules
from connector.model.templates import Template
from connector.planning.brief import PlanBrief
from connector.planning.undoing import WrittenRun, WrittenStep, make_undo_plan
from tests.support.worlds import NO_LIMITS

ANN, BOB = UserRef("1", "uid=ann"), UserRef("2", "uid=bob")
AGENT = AgentRef(1, "ann")
PRINT = make_fingerprinter(Secret("key"))
RULE = Equality.CASE_IGNORE
INFOS = {name: AttributeInfo(name, single=False, equality=RULE) for name in ("mail", "pager", "seat")}
INFOS["hidden"] = AttributeInfo("hidden", readable=None, equality=RULE)
INFOS["word"] = AttributeInfo("word", readable=None, equality=Equality.OCTETS)
DESCRIPTION = Description("test", "test", INFOS, server="here")
RULES = Rules((), tuple(AttributeRule(name, Template.parse("{workNo}"), unique=name == "seat") for name in INFOS))


def put(name: str, *new: Held, old: tuple[Held, ...] = (), seen: bool = True, absent: bool = False) -> AttributeChange:
    return AttributeChange(name, old, new, seen=seen, absent=absent, unique=name == "seat")


def word(new: str, *, old: str = "", seen: bool = False, absent: bool = False) -> AttributeChange:
    values = [(Secret(value),) if value else () for value in (old, new)]
    print_ = PRINT(ANN, "word", new) if new else ""
    return AttributeChange("word", values[0], values[1], secret=True, seen=seen, fingerprint=print_, absent=absent)


def shows(ref: UserRef = ANN, *, disabled: bool = False, **values: Held | tuple[Held, ...]) -> User:
    held = {name: value if isinstance(value, tuple) else (value,) for name, value in values.items()}
    return User(ref.id, ref.name, held, disabled)


def wrote(
    *attributes: AttributeChange, outcome: Result | None = Result.WRITTEN, server: str = "here",
    user: UserRef = ANN, agent: AgentRef | None = AGENT,
) -> WrittenStep:  # fmt: skip
    """A write of the run `run`."""
    return WrittenStep(Change(user, agent, 1, attributes), outcome, server, "run")


@dataclass
class Undone:
    """An undo of a run: the users as they are now, and what the state knows; `asked`: its questions."""

    now: Collection[User] = ()
    mapping: Rules = RULES
    description: Description = DESCRIPTION
    ours: Mapping[str, Owned] = field(default_factory=dict)
    bobs: Mapping[str, Owned] = field(default_factory=dict)
    past: Sequence[Past] = ()
    open_: Collection[str] = ()
    holders: Collection[User] = ()
    compared: Holds = Holds.UNKNOWN
    fingerprints: Collection[str] = ()
    exclude: ExcludeList = field(default_factory=ExcludeList)
    asked: list[Any] = field(default_factory=list)

    def memory(self) -> Memory:
        owned = [(ref, some) for ref, some in ((ANN, self.ours), (BOB, self.bobs)) if some]
        return cast(
            "Memory",
            SimpleNamespace(
                read_owned=lambda: owned, read_confirmed=lambda users: {ref.id: some for ref, some in owned},
                read_past=lambda users: {ANN.id: self.past}, read_other_jobs=list, read_agents=lambda users: {}, read_excluded=dict,
                read_unsettled=lambda: [Unsettled(run, "there", ANN, ("mail",)) for run in self.open_], read_late=list,
                read_respelt=list, read_former=list,
                fingerprint_of=lambda user, name: "f" if name in self.fingerprints else None,
            ),
        )  # fmt: skip

    def plan(self, *steps: WrittenStep, **known: Any) -> Plan:
        brief = PlanBrief(
            mapping=self.mapping, limits=NO_LIMITS, description=self.description, memory=self.memory(),
            fingerprint=PRINT, job="job", plan_id="id", now=datetime.now(UTC),
        )  # fmt: skip
        return make_undo_plan(cast("Lookup", self), brief, WrittenRun(steps, **known), self.exclude)

    def read(self, users: Iterable[UserRef], *, disabled: bool = False) -> Collection[User]:
        self.asked.append(("read", list(users), disabled))
        return self.now

    def compare(self, questions: Iterable[Question]) -> list[tuple[Question, Holds]]:
        return [(each, self.compared) for each in questions]

    def find(self, *_: object, **_named: object) -> Collection[User]:
        return self.holders

    search = find


def mine(**values: str) -> dict[str, Owned]:
    return {name: Owned("run", (digest_value(RULE, value),)) for name, value in values.items()}


def whys(plan: Plan) -> list[str]:
    return [each.why for each in plan.problems]


def test_what_a_run_wrote_is_taken_back_and_those_are_read_to_whom_it_wrote_or_may_have() -> None:
    cid = UserRef("3", "uid=cid")
    of = Undone([shows(mail="a")], ours=mine(mail="a"))
    plan = of.plan(
        wrote(put("mail", "a", old=("b",))), wrote(put("mail", "x"), user=BOB, outcome=None),
        wrote(put("mail", "x"), user=cid, outcome=Result.FAILED),
    )  # fmt: skip
    assert [(each.user, each.attributes[0].old, each.attributes[0].new) for each in plan.changes] == [
        (ANN, ("a",), ("b",))
    ]
    read = of.asked[0]
    assert read == ("read", [ANN, BOB], False)
    for policy, told in (("clear", True), ("keep", False)):
        of = Undone(mapping=replace(RULES, disabled=policy))
        of.plan(wrote(put("mail", "a")))
        assert of.asked[0][2] is told


@pytest.mark.parametrize(
    ("agent", "disabled", "taken_back"), [(AGENT, True, False), (AGENT, False, True), (None, True, True)]
)
def test_who_is_disabled_by_now_is_out_of_reach_but_where_its_values_were_cleared(
    agent: AgentRef | None, disabled: bool, taken_back: bool
) -> None:
    of = Undone([shows(mail="a", disabled=disabled)], ours=mine(mail="a"))
    plan = of.plan(wrote(put("mail", "a"), agent=agent))
    assert bool(plan.changes) is taken_back
    assert ("the user is gone, or outside base and filter; kept" in whys(plan)) is not taken_back


@pytest.mark.parametrize(("server", "late"), [("here", False), ("", False), ("there", True)])
def test_what_another_server_was_told_and_this_one_does_not_show_is_late(server: str, late: bool) -> None:
    """Where a run did not note its server, it is the one of now."""
    plan = Undone([shows(mail="b")]).plan(wrote(put("mail", "a", old=("b",)), server=server))
    assert whys(plan) == (["that run wrote it at there. here does not show it yet. Rerun the undo once it does"] * late)


@pytest.mark.parametrize(("old", "late"), [((), False), (("b",), True)])
def test_what_a_killed_undo_emptied_alone_is_back_where_there_was_no_value_before(
    old: tuple[str, ...], late: bool
) -> None:
    """Elsewhere it is on its way: the value of before has still to be put there."""
    ann = shows(mail=old) if old else shows()
    plan = Undone([ann]).plan(
        wrote(put("mail", "a", old=old), server="there"), begun={ANN.id: {"mail"}}, since={ANN.id: {"mail"}}
    )
    assert any("does not show it yet" in why for why in whys(plan)) is late


def test_a_value_that_comes_back_to_a_user_while_another_holds_it_is_taken_over() -> None:
    step, other = wrote(put("seat", "2", old=("1",))), wrote(put("seat", "1", old=("2",)), user=BOB)
    of = Undone([shows(seat="2"), shows(BOB, seat="1")], ours=mine(seat="2"))
    of.holders = list(of.now)
    of.bobs = mine(seat="1")
    plan = of.plan(step, other)
    assert {each.form for change in plan.changes for each in change.attributes} == {Form.TAKEN_OVER}


@pytest.mark.parametrize(
    ("known", "taken_back"),
    [
        ({}, True),
        ({"ours": {"mail": Owned("other", (digest_value(RULE, "a"),))}}, False),
        ({"ours": {"mail": Owned("run", (digest_value(RULE, "a"),))}}, True),
    ],
)
def test_of_a_write_of_which_nobody_knows_the_user_as_it_is_tells(known: dict[str, Any], taken_back: bool) -> None:
    """Unless it may be so by another run."""
    of = Undone([shows(mail="a", pager="7")], **known)
    plan = of.plan(wrote(put("mail", "a"), put("pager", "8", old=("7",)), outcome=None))
    assert bool(plan.changes) is taken_back


@pytest.mark.parametrize(("open_", "taken_back"), [(("first",), False), ((), True), (("later",), True)])
def test_what_an_open_write_elsewhere_may_have_brought_is_not_taken_back(
    open_: tuple[str, ...], *, taken_back: bool
) -> None:
    """As a resumed run judges it: an earlier one may have written it at another server."""
    mail = put("mail", "a")
    of = Undone([shows(mail="a")], past=[("first", "there", mail), ("run", "here", mail)], open_=open_)
    plan = of.plan(wrote(mail, put("pager", "8"), outcome=None))
    assert bool(plan.changes) is taken_back


@pytest.mark.parametrize(
    ("now", "more", "since", "why"),
    [
        ([], (), (), "the user is gone, or outside base and filter"),
        ([], (), ("hidden",), "the user is gone, or outside base and filter"),
        ([shows()], (), (), "nothing that is read tells of hidden, word"),
        ([shows()], (), ("hidden",), "nothing that is read tells of word"),
        ([shows()], (), ("hidden", "word"), None),
        ([shows()], (put("mail", "a"),), (), None),  # what is shown tells: it did not happen
    ],
)
def test_who_may_have_been_written_is_named_where_nothing_tells(
    now: list[User], more: tuple[AttributeChange, ...], since: Collection[str], why: str | None
) -> None:
    emptied = put("hidden", old=("a",), seen=False)
    plan = Undone(now).plan(wrote(emptied, word("x"), *more, outcome=None), since={ANN.id: since})
    assert not plan.changes
    assert whys(plan) == ([f"no answer tells whether that run wrote here, and {why}; kept"] if why else [])


def test_who_was_written_and_is_gone_is_named_once() -> None:
    plan = Undone().plan(wrote(put("mail", "a")), wrote(put("pager", "1"), outcome=None))
    assert whys(plan) == ["the user is gone, or outside base and filter; kept"]


@pytest.mark.parametrize(
    ("server", "past", "taken_back"),
    [
        ("here", [("other", "here", put("mail", "a"))], True),
        ("there", [("other", "here", put("mail", "a"))], False),
        ("there", [], True),
        ("here", [("other", "there", put("pager", old=("7",)))], True),
    ],
)
def test_at_a_server_that_may_lag_what_other_runs_set_out_to_do_tells_nothing(
    server: str, past: list[Past], taken_back: bool
) -> None:
    of = Undone([shows(mail="a")], past=past)
    plan = of.plan(wrote(put("mail", "a"), outcome=None, server=server))
    assert ([each.user for each in plan.changes] == [ANN]) is taken_back


@pytest.mark.parametrize(
    ("held", "answer", "kept"),
    [
        (("a",), Holds.UNKNOWN, False),
        ((), Holds.UNKNOWN, True),
        ((), Holds.SAME, True),
        ((), Holds.ABSENT, False),
    ],
)
def test_what_nobody_can_see_stays_unless_it_is_known_to_be_away(
    held: tuple[Held, ...], answer: Holds, kept: bool
) -> None:
    user = shows(hidden=held) if held else shows()
    of = Undone([user], ours=mine(hidden="a"), compared=answer)
    plan = of.plan(wrote(put("hidden", "a")))
    assert bool(plan.changes) is bool(held)
    assert any("cannot read it" in why for why in whys(plan)) is kept


def test_of_a_user_that_is_gone_nothing_is_compared() -> None:
    of = Undone()
    assert whys(of.plan(wrote(put("hidden", "a")))) == ["the user is gone, or outside base and filter; kept"]
    assert [each[0] for each in of.asked] == ["read"]


def test_of_a_group_that_goes_back_what_stays_is_told_and_of_one_that_does_not_nothing() -> None:
    """A later run wrote the pager."""
    groups = {"mail": "one", "pager": "one", "hidden": "two", "seat": "two"}
    rules = tuple(replace(rule, together=groups.get(rule.name, "")) for rule in RULES.attributes)
    mapping = replace(RULES, attributes=rules)
    of = Undone([shows(mail="a", pager="7", seat="1")], ours=mine(mail="a"), mapping=mapping)
    plan = of.plan(wrote(put("mail", "a")), since={ANN.id: ["pager", "seat"]})
    assert plan.changes == ()
    assert [each.attribute for each in plan.problems if each.kind == "undo"] == ["pager"]
    of.ours = mine(mail="b")
    plan = of.plan(wrote(put("mail", "a")), since={ANN.id: ["pager", "seat"]})
    assert [each.attribute for each in plan.problems] == ["mail"]


@pytest.mark.parametrize(
    ("change", "held", "why"),
    [
        (word("new", old="old", seen=True), "new", ""),
        (word("new", absent=True), "new", ""),
        (word("new"), "new", "its value before that run could not be read, or is sealed with another key; kept"),
        (word("new", old="old", seen=True), "other", "changed since that run; kept"),
    ],
)
def test_a_password_goes_back_where_it_is_what_that_run_set_and_what_it_was_is_known(
    change: AttributeChange, held: str, why: str
) -> None:
    ours = {"word": Owned("run", (), change.fingerprint)}
    of = Undone([shows(word=Secret(held))], ours=ours)
    plan = of.plan(wrote(change))
    assert bool(plan.changes) is not bool(why)
    assert whys(plan) == ([why] if why else [])


def test_a_password_that_is_absent_again_as_before_that_run_is_back_already() -> None:
    description = replace(DESCRIPTION, attributes={**INFOS, "word": replace(INFOS["word"], readable=True)})
    for change in (word("new", absent=True), word("new", seen=True)):
        plan = Undone([shows()], description=description).plan(wrote(change))
        assert (plan.changes, plan.problems) == ((), ())


@pytest.mark.parametrize(
    ("readable", "fingerprints", "goes"),
    [(True, (), True), (None, (), True), (None, ("extra",), False), (True, ("extra",), True)],
)
def test_a_class_that_the_run_added_goes_where_nothing_that_needs_it_can_be_left(
    readable: bool | None, fingerprints: tuple[str, ...], goes: bool
) -> None:
    """A hidden value that this job wrote, and did not take back, may need it."""
    infos = {
        name: AttributeInfo(
            name, equality=RULE, definition=AttributeDefinition(classes=frozenset({"cecagent"})), readable=shown
        )
        for name, shown in (("mail", True), ("extra", readable))
    }
    of = Undone(
        [shows(mail="a", objectClass=("top", "cecAgent"))], ours=mine(mail="a"), fingerprints=fingerprints,
        description=replace(DESCRIPTION, attributes=infos), mapping=replace(RULES, attributes=()),
    )  # fmt: skip
    plan = of.plan(wrote(AttributeChange(OBJECT_CLASS, (), ("cecAgent",)), put("mail", "a")))
    (change,) = plan.changes
    assert any(each.name == OBJECT_CLASS for each in change.attributes) is goes


def test_a_class_stays_where_a_value_comes_back_that_needs_it() -> None:
    infos = {
        "mail": AttributeInfo("mail", equality=RULE, definition=AttributeDefinition(classes=frozenset({"cecagent"})))
    }
    of = Undone(
        [shows(mail="a", objectClass=("top", "cecAgent"))], ours=mine(mail="a"),
        description=replace(DESCRIPTION, attributes=infos), mapping=replace(RULES, attributes=()),
    )  # fmt: skip
    plan = of.plan(wrote(AttributeChange(OBJECT_CLASS, (), ("cecAgent",)), put("mail", "a", old=("b",))))
    assert [each.name for change in plan.changes for each in change.attributes] == ["mail"]


def test_a_password_that_a_directory_shows_as_text_is_a_secret_in_the_plan() -> None:
    change = word("new", old="old", seen=True)
    plan = Undone([shows(word="new")], ours={"word": Owned("run", (), change.fingerprint)}).plan(wrote(change))
    (back,) = plan.changes[0].attributes
    assert (back.old, back.new, back.seen) == ((Secret("new"),), (Secret("old"),), True)


def test_a_line_is_told_for_what_the_directory_took_and_did_not_show() -> None:
    step = wrote(put("mail", "a"))
    plan = Undone([shows(mail="a")], ours=mine(mail="a")).plan(unshown=[(step.change, ["mail", "pager"])])
    why = "that run wrote mail, pager, and the directory did not show it. All its values of this user are kept"
    assert plan.problems == (Problem("undo", why, AGENT, (ANN.name,)),)
