"""Stale users: which of them are due, what their lines say, and who is kept all the same."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import cast

import pytest

from connector.matching.people import Exclusion
from connector.model import (
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Description,
    Fingerprint,
    Holds,
    Memory,
    Owned,
    ReadRules,
    Secret,
    User,
    UserRef,
)
from connector.model.digests import make_fingerprinter
from connector.model.draft import Draft
from connector.model.mapping import AttributeRule, Disabled, Grace, Mapping, MatchRule, Stale
from connector.model.templates import Template
from connector.planning.brief import PlanBrief
from connector.planning.clearing import (
    DOUBTED,
    MISSED,
    clear_leavers,
    doubted_attributes,
    hidden_attributes,
    judge_leavers,
)
from connector.planning.compare_user import UserComparer
from connector.planning.leavers import ANY, list_leavers
from connector.planning.standing import Leaver, LeaverPlace
from tests.support.asked import answering
from tests.support.worlds import NO_LIMITS, passing_state

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
ANN = UserRef("ann", "uid=ann")
RULE = AttributeRule("seat", Template.parse("{workNo}"))
MATCH = (MatchRule(Template.parse("{accountCode}"), "uid"), MatchRule(Template.parse("{workNo}"), "number"))


def after(days: float) -> datetime:
    return NOON + timedelta(days=days)


def mapping(stale: Stale = "report", disabled: Disabled = "report") -> Mapping:
    return Mapping(MATCH, (RULE,), stale=stale, disabled=disabled)


def seen(*days: float) -> Memory:
    """What is remembered where applies have seen Ann stale on these days."""
    memory = passing_state().memory("test", "job")
    for day in days:
        memory.note_stale({ANN.id}, after(day))
    return memory


def ann(place: LeaverPlace = LeaverPlace.WITHIN, now: User | None = None) -> Leaver:
    return Leaver(ANN, adopted=frozenset({"seat", "line"}), place=place, now=now)


RUNS, DAYS = Grace(2, "runs"), Grace(7, "days")


@pytest.mark.parametrize(
    ("stale", "memory", "today", "left"),
    [
        ("clear", [], 0, ""),
        (RUNS, [], 0, " (seen by 0 applies; cleared after 2)"),
        (RUNS, [0], 0, " (seen by 1 applies; cleared after 2)"),
        (RUNS, [0, 0], 0, ""),
        (DAYS, [], 0, " (cleared 7 days after the first apply that sees it)"),
        (DAYS, [0], 6, " (cleared 7 days after the first apply that sees it)"),
        (Grace(1, "days"), [], 0, " (cleared 1 day after the first apply that sees it)"),
        (DAYS, [0], 7, ""),
        (DAYS, [0, 3], 7, ""),
        (DAYS, [0, 3], 6, " (cleared 7 days after the first apply that sees it)"),
        (DAYS, [0, 40], 6, ""),
    ],
)
def test_a_stale_user_is_due_when_its_grace_is_over(stale: Stale, memory: list[float], today: float, left: str) -> None:
    due, (problem,) = judge_leavers([ann()], mapping(stale), seen(*memory), after(today))
    assert due == ([] if left else [ann()])
    assert problem.why == f"line, seat: values of this job; no agent claims the user any more{left}"
    assert (problem.kind, problem.users) == ("stale", (ANN.name,))


@pytest.mark.parametrize("place", list(LeaverPlace))
@pytest.mark.parametrize("stale", ["report", "clear", RUNS])
@pytest.mark.parametrize("disabled", ["report", "clear"])
def test_only_where_the_mapping_clears_a_user_is_due_or_waits(
    place: LeaverPlace, stale: Stale, disabled: Disabled
) -> None:
    """Users within reach go by `stale`, disabled ones by its `disabled`; nobody else is ever written."""
    clears = {LeaverPlace.WITHIN: stale != "report", LeaverPlace.DISABLED: disabled == "clear"}.get(place, False)
    waits = clears and stale == RUNS
    due, (problem,) = judge_leavers([ann(place)], mapping(stale, disabled), seen(0), after(0))
    assert bool(due) == (clears and not waits)
    said = problem.why.partition("any more")[2]
    assert said.startswith(" (seen by 1 applies") == waits
    assert place.value in said
    assert ("Its values are kept" in said) == (place is LeaverPlace.DISABLED and not clears)


# ---------------------------------------------------------------- who is stale


class Wrote:
    """A memory of nothing but what this job wrote."""

    def __init__(self, **written: dict[str, Owned]) -> None:
        self.written = written

    def read_owned(self) -> Iterator[tuple[UserRef, dict[str, Owned]]]:
        return ((UserRef(id_, f"uid={id_}"), owned) for id_, owned in self.written.items())

    def read_unshown(self) -> dict[str, dict[str, tuple[str, ...]]]:
        return {}

    def read_lapsed(self) -> frozenset[str]:
        return frozenset({"gone"})


def test_who_is_nobodys_and_holds_something_of_ours_is_stale_in_the_order_of_ids() -> None:
    seat, back = Owned("run", ("digest",)), Owned("run", ("digest",), restored=True)
    wrote = Wrote(zoe={"seat": seat, "line": back}, bob={"seat": back}, claimed={"seat": seat}, ann={"line": seat})
    wrote.written["gone"] = {"seat": seat}
    adopted = [User(id_, f"uid=new-{id_}", {}) for id_ in ("zoe", "cid", "claimed", "dan")]
    ours = list_leavers(
        cast("Memory", wrote), lambda ref: ref.id not in ("claimed", "gone"), adopted,
        lambda user: frozenset() if user.id == "dan" else frozenset({"mail"}),
    )  # fmt: skip
    found = ours.users
    assert found == [
        Leaver(UserRef("ann", "uid=ann"), {"line": seat}),
        Leaver(UserRef("cid", "uid=new-cid"), adopted=frozenset({"mail"})),
        Leaver(UserRef("zoe", "uid=new-zoe"), {"seat": seat}, frozenset({"mail"})),
    ]
    assert ours.claimed == {"claimed", "gone"}
    assert ours.holders == {ANY: 5, "seat": 2, "line": 1, "mail": 2}, (
        "what was put back is nobody's, who is gone holds nothing"
    )
    assert [sorted(each.held_names) for each in found] == [["line"], ["mail"], ["mail", "seat"]]
    assert (found[0].find_last("LINE"), found[0].find_last("seat")) == (seat, None)


# ---------------------------------------------------------------- who is cleared


def emptied(user: User, found: Leaver, fingerprint: Fingerprint) -> Draft:
    """Seats go."""
    return Draft(user.ref, None, None, (AttributeChange("seat", user.values.get("seat", ()), ()),))


def clear(
    *due: Leaver, claimed: Iterable[str] = (), spared: Iterable[str] = (), doubtful: Sequence[str] = ()
) -> tuple[list[str], list[str]]:
    """The names of whom clearing takes values from, and the lines. Match attributes that are not shown are hidden."""
    infos = {name: AttributeInfo(name, readable=name == "seat" or None) for name in ("uid", "number", "seat")}
    brief = PlanBrief(
        mapping=mapping("clear", "clear"), limits=NO_LIMITS, description=Description("t", "t", infos),
        memory=seen(), fingerprint=make_fingerprinter(Secret("key")), job="job", plan_id="id", now=after(0),
    )  # fmt: skip
    cleared = clear_leavers(
        answering(lambda questions: [Holds.UNKNOWN] * len(questions)),
        due,
        brief,
        cast("UserComparer", SimpleNamespace(draft_clearing=emptied)),
        exclusion=Exclusion(lambda agent, user: user.name in spared, lambda user: "", {}, (), ()),
        doubtful=doubtful,
        claimers=lambda user: [AgentRef(1, "a")] if user.name in claimed else [],
    )
    problems = [each for each in cleared.problems if "no agent claims the user any more" not in each.why]
    assert {problem.kind for problem in problems} <= {"stale", "exclude"}
    return [draft.user.name for draft in cleared.drafts], [problem.why for problem in problems]


WHOLE = {"uid": "ann", "number": "7"}


def now(values: dict[str, str] = WHOLE, name: str = "uid=ann", place: LeaverPlace = LeaverPlace.WITHIN) -> Leaver:
    return ann(place, User(ANN.id, name, {each: (value,) for each, value in values.items()}))


def test_whoever_is_not_there_any_more_is_not_cleared() -> None:
    assert clear(ann(), now()) == (["uid=ann"], [])


@pytest.mark.parametrize("spared", ["uid=ann", "uid=new"])
def test_whoever_is_spared_by_the_old_name_or_the_new_one_keeps_all(spared: str) -> None:
    other = Leaver(
        UserRef("bob", "uid=bob"),
        adopted=frozenset({"seat"}),
        now=User("bob", "uid=bob", {"uid": ("b",), "number": ("8",)}),
    )
    why = "stale, and on the exclude list; without that it would be cleared"
    assert clear(now(name="uid=new"), other, spared=[spared]) == (["uid=bob"], [why])


def test_whom_an_agent_would_claim_is_not_cleared_and_others_are() -> None:
    zoe = Leaver(
        UserRef("zoe", "uid=zoe"),
        adopted=frozenset({"seat"}),
        now=User("zoe", "uid=zoe", {"uid": ("zoe",), "number": ("8",)}),
    )
    assert clear(now(), zoe, claimed=["uid=ann"]) == (["uid=zoe"], [MISSED])


def test_a_disabled_user_is_cleared_whatever_it_shows_and_whoever_would_claim_it() -> None:
    """Agents do not find disabled users."""
    disabled = now({}, place=LeaverPlace.DISABLED)
    assert clear(disabled, claimed=["uid=ann"]) == (["uid=ann"], [])


@pytest.mark.parametrize("spared", [True, False])
def test_whoever_may_be_some_agents_keeps_all_and_that_is_told(spared: bool) -> None:
    names = ["uid=ann"] if spared else []
    shows = "not cleared: it shows no uid and no number, so an agent may still match it"
    assert clear(now({}), spared=names, doubtful=["uid"]) == ([], [] if spared else [shows])
    assert clear(now(), spared=names, doubtful=["number"]) == ([], [] if spared else [DOUBTED.format(names="number")])


def described(readable: bool | None, *, hides: bool) -> Description:
    infos = {"uid": AttributeInfo("uid", readable=True), "number": AttributeInfo("number", readable=readable)}
    return Description("t", "t", infos, reading=ReadRules(hides=hides))


@pytest.mark.parametrize(
    ("values", "readable", "hides", "answer", "hidden"),
    [
        (WHOLE, None, True, None, []),
        ({"uid": "ann"}, True, False, None, []),
        ({"uid": "ann"}, None, False, Holds.ABSENT, []),
        ({"uid": "ann"}, None, False, Holds.UNKNOWN, ["number"]),
        ({"uid": "ann"}, False, False, Holds.OTHER, ["number"]),
        ({"uid": "ann"}, True, True, None, ["number"]),
        ({}, None, False, Holds.SAME, ["number"]),
        ({}, True, True, None, ["uid", "number"]),
    ],
)
def test_what_a_user_does_not_show_is_absent_where_the_directory_says_so(
    values: dict[str, str], readable: bool | None, hides: bool, answer: Holds | None, hidden: list[str]
) -> None:
    """It is asked of the attribute that may be hidden, and not where a hidden value answers like a missing one."""
    directory = answering([answer])
    description = described(readable, hides=hides)
    found = hidden_attributes(directory, [now(values)], mapping("clear", "clear"), description)
    asked = [(each.user.id, each.attribute) for look_up in directory.asked for each in look_up.given[0]]
    assert asked == ([] if answer is None else [(ANN.id, "number")])
    assert found == ({ANN.id: hidden} if hidden else {})


def test_a_doubt_concerns_users_that_hold_the_attribute_or_may_hide_it() -> None:
    assert doubted_attributes([now()], ["number"], {}) == {ANN.id: ["number"]}
    assert doubted_attributes([now({"uid": "ann"})], ["number"], {}) == {}
    assert doubted_attributes([now({"uid": "ann"})], ["number"], {ANN.id: ["number"]}) == {ANN.id: ["number"]}
    assert doubted_attributes([ann(), now(place=LeaverPlace.DISABLED)], ["number"], {}) == {}
