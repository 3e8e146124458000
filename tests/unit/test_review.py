"""Holding a fresh plan to a reviewed one: what is written, what is left and why, and who is read again for that."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

import pytest
from msgspec.structs import replace

from connector.matching.selection import EVERYBODY, Selection
from connector.model import (
    AGAIN,
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Change,
    Description,
    Memory,
    Plan,
    Refusal,
    Result,
    Secret,
    Summary,
    User,
    UserRef,
)
from connector.model.digests import digest_of_change, make_fingerprinter
from connector.model.limits import MATCHED_DROP, Limit, Limits
from connector.model.mapping import Mapping as Rules
from connector.planning.brief import PlanBrief
from connector.planning.review import HeldPlan, Progress, find_fresh_refusals, hold_to
from tests.support.asked import answering
from tests.support.worlds import NO_LIMITS

PRINT = make_fingerprinter(Secret("key"))
INFOS = {name: AttributeInfo(name) for name in ("mail", "shown")}
INFOS["unseen"] = AttributeInfo("unseen", readable=None)


def user(number: int) -> UserRef:
    return UserRef(f"id-{number}", f"uid=u{number},dc=example")


def change(number: int, *attributes: AttributeChange, agent: bool = True) -> Change:
    ref = AgentRef(number, f"a{number}") if agent else None
    made = Change(user(number), ref, 1 if agent else None, attributes)
    return Change(made.user, ref, made.rule, attributes, digest_of_change(made))


def mail(number: int, new: str = "new", *, agent: bool = True, old: str = "old", unique: bool = False) -> Change:
    values = ((old,) if old else (), (new,) if new else ())
    return change(number, AttributeChange("mail", *values, unique=unique), agent=agent)


def secret(number: int, name: str, fingerprint: str) -> Change:
    return change(number, AttributeChange(name, (), (), secret=True, seen=False, fingerprint=fingerprint))


def plan(*changes: Change, refusals: Collection[Refusal] = ()) -> Plan:
    return Plan("id", "", "job", "", Summary(), changes, (), tuple(refusals))


def held(
    reviewed: Plan,
    fresh: Plan,
    *now: User,
    done: dict[str, str] | None = None,
    released: Mapping[str, Collection[str]] | None = None,
    only: Selection = EVERYBODY,
    mapping: Rules = Rules((), ()),  # noqa: B008  # a frozen value
    since: Mapping[str, frozenset[str]] | None = None,
    remembered: str | None = None,
) -> tuple[HeldPlan, list[UserRef]]:
    """What came of it, and who was read. What the state knows of spellings is all read: once, however many changes."""
    spellings: list[tuple[()]] = [()]
    brief = PlanBrief(
        mapping=mapping, limits=NO_LIMITS, description=Description("test", "test", INFOS),
        memory=cast("Memory", SimpleNamespace(fingerprint_of=lambda *_: remembered, read_respelt=spellings.pop)),
        fingerprint=PRINT, job="job", plan_id="id", now=datetime.now(UTC),
    )  # fmt: skip
    directory = answering(now)
    progress = Progress(done=done or {}, released=released or {}, since=since or {})
    result = hold_to(directory, reviewed, fresh, brief, progress, only=only)
    return result, directory.asked[0].given[0]


def left(result: HeldPlan) -> dict[str, tuple[Result, str]]:
    return {change.user.id: (outcome.result, outcome.why) for change, outcome in result.left}


def test_what_is_still_planned_is_written_and_only_who_differs_is_read_for_it() -> None:
    result, asked = held(plan(mail(1), mail(2)), plan(mail(1), mail(2, "else"), mail(3)))
    assert result.changes == (mail(1),)
    assert asked == [user(2)]
    assert left(result) == {
        "id-2": (Result.CONFLICT, "differs from the reviewed plan in mail. Not written. Review a new plan"),
        "id-3": (Result.SKIPPED, "new since the plan was reviewed"),
    }
    assert result.aside == {"id-3"}
    assert [change.user.id for change, outcome in result.left if outcome.aside] == ["id-3"]


def test_who_is_no_longer_planned_is_read_for_what_became_of_it() -> None:
    now = [User("id-1", user(1).name, {"mail": ("NEW",)}), User("id-2", user(2).name, {"mail": ("third",)})]
    result, asked = held(plan(mail(1), mail(2), mail(3)), plan(), *now)
    assert asked == [user(1), user(2), user(3)]
    assert [left(result)[f"id-{number}"][0] for number in (1, 2, 3)] == [
        Result.UNCHANGED, Result.CONFLICT, Result.CONFLICT,
    ]  # fmt: skip
    assert left(result)["id-2"][1].endswith(": mail")
    assert left(result)["id-3"][1].endswith("the user is gone, or outside base and filter")


def differences(result: HeldPlan, number: int) -> tuple[str, ...]:
    (outcome,) = (outcome for change, outcome in result.left if change.user == user(number))
    return outcome.differs


def test_of_a_conflict_it_is_told_which_attributes_differ() -> None:
    unseen = change(5, AttributeChange("unseen", (), ("x",)))
    reviewed = plan(mail(1), mail(2), mail(3), secret(4, "unseen", "a"), unseen)
    instead = change(5, AttributeChange("mail", ("m",), ("n",)))
    fresh = plan(mail(1, old="third"), mail(2, "else"), secret(4, "unseen", "b"), instead)
    values = {1: "third", 2: "old", 3: "9", 5: "m"}
    now = [User(f"id-{number}", user(number).name, {"mail": (value,)}) for number, value in values.items()]
    result, asked = held(reviewed, fresh, *now, User("id-4", user(4).name, {"unseen": (Secret("canary"),)}))
    assert asked == [user(number) for number in (1, 2, 3, 4, 5)]
    assert [differences(result, number) for number in (1, 2, 3, 4, 5)] == [
        ("mail",), ("mail",), ("mail",), ("unseen",), ("unseen", "mail"),
    ]  # fmt: skip


def test_what_a_killed_run_wrote_stays_written_whatever_is_there_now() -> None:
    result, _ = held(plan(mail(1), mail(2), mail(3)), plan(), done={"id-1": "", "id-2": AGAIN, "id-3": "found"})
    assert left(result) == {
        "id-1": (Result.WRITTEN, "before this run was interrupted"),
        "id-2": (Result.WRITTEN, f"before this run was interrupted; {AGAIN}"),
        "id-3": (Result.WRITTEN, "before this run was interrupted"),
    }


def test_of_a_change_that_is_half_written_the_rest_is_what_was_reviewed() -> None:
    reviewed, rest = plan(mail(1, unique=True)), mail(1, old="", unique=True)
    assert held(reviewed, plan(rest), released={"id-1": ["mail"]})[0].changes == (rest,)
    assert held(reviewed, plan(rest))[0].changes == ()
    assert held(reviewed, plan(rest), released={"id-2": ["mail"]})[0].changes == ()


def test_of_what_was_let_go_alone_all_else_is_what_was_reviewed() -> None:
    """Also where that attribute is no part of the plan any more, for it went before the rest."""
    pager = AttributeChange("pager", (), ("7",))
    whole = change(1, AttributeChange("mail", ("old",), ()), pager)
    for fresh in (change(1, pager), change(1, AttributeChange("pager", (), ("8",)))):
        changes = held(plan(whole), plan(fresh), released={"id-1": ["mail"]})[0].changes
        assert changes == ((fresh,) if fresh.attributes == (pager,) else ())
    assert held(plan(whole), plan(change(1, pager)))[0].changes == ()


def test_what_a_later_run_wrote_is_not_written_over_by_an_earlier_plan() -> None:
    """By any spelling of the attribute's name; what others wrote to other attributes is not in the way."""
    mixed = change(1, AttributeChange("Mail", ("old",), ("new",)))
    since = {"id-1": frozenset({"mail"}), "id-2": frozenset({"pager"})}
    result, _ = held(plan(mixed, mail(2), mail(3)), plan(mixed, mail(2), mail(3)), since=since)
    assert result.changes == (mail(2), mail(3))
    ((what, why),) = left(result).values()
    assert what is Result.CONFLICT
    assert why.startswith("a later run wrote these attributes")


def test_a_change_for_another_agent_or_by_another_rule_is_not_what_was_reviewed() -> None:
    by_other = Change(user(1), AgentRef(1, "a1"), 2, mail(1).attributes)
    fresh = replace(by_other, digest=digest_of_change(by_other))
    result, _ = held(plan(mail(1)), plan(fresh))
    assert result.changes == ()
    assert left(result)["id-1"][1].startswith("differs from the reviewed plan in its agent or rule. ")
    both = change(1, *mail(1).attributes, AttributeChange("pager", (), ("7",)))
    result, _ = held(plan(both), plan(change(1, AttributeChange("fax", (), ("7",)), *both.attributes[1:])))
    assert "in mail, fax. " in left(result)["id-1"][1]


def test_only_keeps_the_changes_of_these_agents_and_clears_nobody() -> None:
    changes = (mail(1), mail(2), mail(3, "", agent=False))
    for only in (Selection(("a2",), accounts=frozenset({"a2"})), Selection(("2",), seats=frozenset({2}))):
        result, _ = held(plan(*changes), plan(*changes), only=only)
        assert result.changes == (mail(2),)
        assert result.aside == {"id-1", "id-3"}
        assert set(left(result).values()) == {(Result.SKIPPED, "left out (--only)")}
        assert all(outcome.aside for _, outcome in result.left)


def test_a_secret_that_cannot_be_read_is_known_by_what_is_remembered_or_not_at_all() -> None:
    """Also one that the mapping names no more; that something was cleared and is not remembered, is true."""
    cleared, set_ = "", PRINT(user(1), "unseen", "new")
    now = User("id-1", user(1).name, {})
    for name in ("unseen", "unknown"):
        for print_, expected in ((cleared, Result.UNCHANGED), (set_, Result.CONFLICT)):
            result, _ = held(plan(secret(1, name, print_)), plan(), now)
            assert left(result)["id-1"][0] is expected
    for name, expected in (("unseen", Result.UNCHANGED), ("shown", Result.CONFLICT)):  # one that would be seen is gone
        result, _ = held(plan(secret(1, name, set_)), plan(), now, remembered=set_)
        assert left(result)["id-1"][0] is expected
    shown = User("id-1", now.name, {"unseen": (Secret("new"),)})
    assert left(held(plan(secret(1, "unseen", set_)), plan(), shown)[0])["id-1"][0] is Result.UNCHANGED


@pytest.mark.parametrize("some", [True, False])
def test_drops_that_a_reviewer_has_not_seen_refuse_the_plan_and_those_of_users_only_where_all_is_written(
    some: bool,
) -> None:
    drops = [Refusal(limit, 1, 5, "") for limit in ("agents_drop", MATCHED_DROP, "update")]
    seen = [Refusal(each.limit, 1, number, "") for each, number in zip(drops, (5, 4, 0), strict=True)]
    everything = [] if some else [MATCHED_DROP]
    shown = find_fresh_refusals(plan(refusals=seen), plan(refusals=drops), NO_LIMITS, some=some)
    assert [each.limit for each in shown] == everything
    fresh = find_fresh_refusals(plan(), plan(refusals=drops), NO_LIMITS, some=some)
    assert [each.limit for each in fresh] == ["agents_drop", *everything]


SECRET_AND_A = ["secret", "attributes.a"]


@pytest.mark.parametrize(
    ("limits", "beyond"),
    [
        (Limits(update=Limit(50, percent=True), clear=Limit(2)), []),
        (Limits(update=Limit(40, percent=True), clear=Limit(2)), ["update"]),
        (Limits(update=Limit(50, percent=True), clear=Limit(1)), ["clear"]),
        (
            Limits(update=Limit(9), secret=Limit(0), clear=Limit(2), attributes={"a": Limit(0)}),
            ["secret", "attributes.a"],
        ),
    ],
)
def test_limits_that_were_lowered_since_refuse_the_reviewed_plan_by_its_own_numbers(
    limits: Limits, beyond: list[str]
) -> None:
    """Ten users were matched, and are six now, so that half of them is less; and there is more to be changed now."""
    one = change(1, AttributeChange("a", (), ("1",)))
    reviewed = replace(plan(one), summary=Summary(matched=10, update=5, clear=2, secret=1))
    assert limits.clear is not None
    numbers = {"update": (limits.update.of(6), 7), "clear": (limits.clear.of(6), 3), "secret": (0, 2)}
    now = [Refusal(name, *said, "") for name, said in numbers.items()] + [Refusal("attributes.a", 0, 2, "")]
    fresh = replace(plan(refusals=now), summary=Summary(matched=6))
    assert [each.limit for each in find_fresh_refusals(reviewed, fresh, limits)] == beyond
    seen = replace(reviewed, refusals=tuple(now))
    assert list(find_fresh_refusals(seen, fresh, limits)) == []


@pytest.mark.parametrize(
    ("limits", "before", "now", "refused"),
    [
        (Limits(), 8, 6, False),  # 40 held something, and 30 do: ten were emptied
        (Limits(clear=Limit(20, percent=True)), 8, 6, False),
        (Limits(clear=Limit(10, percent=True)), 8, 3, True),
        (Limits(clear=Limit(6)), 8, 6, True),
        (Limits(), 15, 6, True),  # the job said 15, and its default is ten at most
    ],
)
def test_an_interrupted_run_goes_on_emptying_though_its_share_is_of_fewer_users_by_now(
    limits: Limits, before: int, now: int, refused: bool
) -> None:
    reviewed = replace(plan(refusals=[Refusal("clear", before, 20, "")]), summary=Summary(matched=40, clear=20))
    fresh = replace(plan(refusals=[Refusal("clear", now, 10, "")]), summary=Summary(matched=40, clear=10))
    assert bool(list(find_fresh_refusals(reviewed, fresh, limits))) == refused
