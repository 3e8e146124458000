"""One user's draft: what falls with what, and what is planned for its own sake."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from connector.model import AgentRef, AttributeChange, Problem, Secret, UserRef
from connector.model.draft import Bond, Draft, Kept

ANN, REF = AgentRef(1, "ann"), UserRef("id-1", "uid=ann")
GROUPS = (("line", "word"), ("seat", "room"))


def put(name: str, *old: str) -> AttributeChange:
    return AttributeChange(name, old, ("new",))


def word(*, seen: bool = True) -> AttributeChange:
    return AttributeChange("word", (), (Secret("x"),), secret=True, seen=seen)


def draft(*planned: AttributeChange, agent: AgentRef | None = ANN) -> Draft:
    return Draft(REF, agent, 2, planned)


def planned(of: Draft) -> list[str]:
    return [each.name for each in of.planned]


def kinds(of: Draft) -> list[tuple[str, str | None]]:
    return [(each.kind, each.attribute) for each in of.held]


def test_a_line_is_about_the_user_its_agent_and_the_rule() -> None:
    problem = draft().problem("shared", "it is", "line", ["uid=bob"])
    assert problem == Problem("shared", "it is", ANN, ("uid=ann", "uid=bob"), 2, "line")


def test_what_is_held_back_falls_alone_until_groups_are_bound_and_whole_from_then_on() -> None:
    of = draft(put("line"), put("seat"), put("room"), word())
    of.hold(("line",), of.problem("shared", "it is", "line"))
    assert (planned(of), kinds(of)) == (["seat", "room", "word"], [("shared", "line")])
    of.bind(Bond(GROUPS))
    assert (planned(of), kinds(of)) == (["seat", "room"], [("shared", "line"), ("together", None)])
    of.hold(("room",), of.problem("shared", "it is", "room"))
    assert planned(of) == []
    assert [kind for kind, _ in kinds(of)] == ["shared", "together", "shared", "together"]
    of.hold(("seat",), of.problem("shared", "it is", "seat"))
    assert len(of.held) == 5, "nothing more falls with it"


def test_a_group_of_which_nothing_is_held_stays() -> None:
    of = draft(put("line"), put("seat"), put("room"))
    of.bind(Bond(GROUPS))
    of.hold(("other", "seat"), of.problem("shared", "it is", "seat"))
    assert (planned(of), kinds(of)) == (["line"], [("shared", "seat"), ("together", None)])
    of = draft(put("line"), put("seat"))
    of.bind(Bond(GROUPS))
    of.hold(("other",), of.problem("shared", "it is", "other"))
    assert (planned(of), kinds(of)) == (["line", "seat"], [("shared", "other")])


@pytest.mark.parametrize(
    ("kept", "falls"),
    [
        (Kept("word", ("sipPwd",), frozenset({"line"})), True),
        (Kept("word", ("sipPwd",), frozenset({"fax"})), False),
        (Kept("room", ("sipPwd",), frozenset({"line"})), False),
        (Kept("other", ("sipPwd",), frozenset({"line"})), False),
    ],
)
def test_what_stays_and_does_not_go_with_the_new_values_holds_its_group(kept: Kept, falls: bool) -> None:
    of = draft(put("line"), put("seat"))
    of.keeps = (kept,)
    of.bind(Bond((("line", "word"),)))
    assert planned(of) == (["seat"] if falls else ["line", "seat"])
    assert [each.kind for each in of.held] == ["together"] * falls


@pytest.mark.parametrize(
    ("agent", "each", "bound"),
    [
        (None, AttributeChange("line", ("a",), ()), False),
        (None, AttributeChange("line", ("a", "b"), ("b",)), False),
        (None, put("line"), True),
        (ANN, AttributeChange("line", ("a",), ()), True),
    ],
)
def test_a_user_without_an_agent_who_gets_nothing_is_cleared_attribute_by_attribute(
    agent: AgentRef | None, each: AttributeChange, bound: bool
) -> None:
    of = draft(each, AttributeChange("word", ("x",), ()), agent=agent)
    of.bind(Bond(GROUPS))
    of.hold(("line",), of.problem("stale", "it is", "line"))
    assert planned(of) == ([] if bound else ["word"])


@pytest.mark.parametrize(
    ("replaced", "seen", "left"),
    [(True, False, []), (True, True, ["seat"]), (False, False, ["seat"])],
)
def test_where_users_are_written_whole_nothing_is_written_without_an_unseen_secret(
    replaced: bool, seen: bool, left: list[str]
) -> None:
    """The write of the others would take it away."""
    of = draft(put("line"), word(seen=seen), put("seat"))
    of.bind(Bond(GROUPS, whole=replaced))
    of.hold(("line",), of.problem("shared", "it is", "line"))
    assert planned(of) == left


def test_what_is_only_written_again_is_no_news_and_falls_with_nothing() -> None:
    of = draft(put("line"), word())
    assert of.news == of.planned
    of.repeats = frozenset({"word"})
    assert [each.name for each in of.news] == ["line"]
    of.bind(Bond(GROUPS))
    of.hold(("line",), of.problem("shared", "it is", "line"))
    assert (planned(of), kinds(of)) == (["word"], [("shared", "line")])
    assert of.differs
    assert not draft().differs


def test_what_is_everybodys_is_said_of_everybody() -> None:
    of = draft(put("line"), word())
    of.bind(Bond(GROUPS))
    of.hold(("line",), Problem("unreadable", "nobody can read it", attribute="line"))
    other = replace(of.held[1])
    assert (other.agent, other.users, other.kind) == (None, (), "together")
    mine = draft(put("line"), word())
    mine.bind(Bond(GROUPS))
    mine.hold(("line",), mine.problem("unreadable", "not of this one", "line"))
    assert (mine.held[1].agent, mine.held[1].users) == (ANN, ("uid=ann",))
