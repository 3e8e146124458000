"""What users do not show: whom a plan asks about, and what it makes of the answers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import cast

import pytest

from connector.model import (
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Description,
    Equality,
    Held,
    Holds,
    Memory,
    Question,
    Secret,
    UserRef,
)
from connector.model.digests import make_fingerprinter
from connector.model.draft import Draft, Kept
from connector.model.mapping import AttributeRule, Mapping as AttributeMapping
from connector.model.templates import Template
from connector.planning.brief import PlanBrief
from connector.planning.unseen import PROBES, UnseenValues, judge_alike
from tests.support.asked import answering
from tests.support.worlds import NO_LIMITS, passing_state

PRINT = make_fingerprinter(Secret("key"))
OPEN, HIDDEN = AttributeRule("mail", Template.parse("{workNo}")), AttributeRule("seat", Template.parse("{workNo}"))
PASSWORD = AttributeRule("password", Template.parse("{sipPwd}"), secret=True)
READABLE = {"mail": True, "seat": None, "password": None}
ABSENT, OTHER, SAME, UNKNOWN = Holds.ABSENT, Holds.OTHER, Holds.SAME, Holds.UNKNOWN
SEAT = AttributeChange("seat", (), ("7",))
WORD = AttributeChange("password", (), (Secret("word"),), secret=True, seen=False)
GONE = AttributeChange("password", (), (), secret=True, seen=False)


def draft(number: int, *planned: AttributeChange, keeps: Sequence[Kept] = (), shows: Collection[str] = ()) -> Draft:
    user = UserRef(f"u{number}", f"uid=u{number}")
    return Draft(user, AgentRef(number, "a"), 1, planned, keeps=tuple(keeps), shows=frozenset(shows))


def judged(
    drafts: Sequence[Draft],
    answers: Mapping[str, Holds] | Callable[[Question], Holds],
    *,
    rules: Sequence[AttributeRule] = (OPEN, HIDDEN),
    shown: Collection[str] = (),
    equality: Equality = Equality.OCTETS,
    memory: Memory | None = None,
) -> tuple[list[list[tuple[str, str, Held]]], UnseenValues]:
    """What is asked, in rounds. `answers`: by user; whoever is not named holds nothing."""
    infos = {rule.name: AttributeInfo(rule.name, equality=equality, readable=READABLE[rule.name]) for rule in rules}
    brief = PlanBrief(
        mapping=AttributeMapping((), tuple(rules)), limits=NO_LIMITS,
        description=Description("t", "t", infos), memory=memory or passing_state().memory("test", "job"),
        fingerprint=PRINT, job="job", plan_id="id", now=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    unseen = UnseenValues(brief, drafts)

    def told(questions: Sequence[Question]) -> list[Holds]:
        return [answers(each) if callable(answers) else answers.get(each.user.id, ABSENT) for each in questions]

    directory = answering(told)
    unseen.judge_drafts(directory, shown)
    rounds = [[(each.user.id, each.attribute, each.value) for each in asked.given[0]] for asked in directory.asked]
    return rounds, unseen


# ---------------------------------------------------------------- attributes that may be hidden


def test_where_all_is_shown_nothing_is_asked() -> None:
    drafts = [draft(1, AttributeChange("mail", (), ("x",)))]
    rounds, _unseen = judged(drafts, {}, rules=[OPEN])
    assert rounds == []
    assert judged(drafts, {})[0] == []
    assert len(drafts[0].planned) == 1


def test_a_sample_is_asked_about_a_first_value_and_if_nobody_has_one_all_are_planned() -> None:
    drafts = [draft(n, AttributeChange("seat", (), (str(n),))) for n in range(PROBES + 2)]
    rounds, _unseen = judged(drafts, {})
    assert rounds == [[(f"u{n}", "seat", str(n)) for n in range(PROBES)]]
    assert all(each.planned for each in drafts)


def test_of_several_values_the_first_is_asked_about() -> None:
    several = AttributeChange("seat", (), ("7", "8"))
    drafts = [draft(n, several) for n in range(PROBES + 1)]
    rounds, _ = judged(drafts, {"u0": OTHER})
    assert {value for each in rounds for _, _, value in each} == {"7"}


@pytest.mark.parametrize("place", [0, PROBES - 1])
@pytest.mark.parametrize(("answer", "why"), [(OTHER, "has a"), (SAME, "has a"), (UNKNOWN, "shows no")])
def test_if_one_of_the_sample_may_hide_a_value_everybody_is_asked(place: int, answer: Holds, why: str) -> None:
    count = PROBES + 2
    drafts = [draft(n, SEAT) for n in range(count)]
    rounds, _ = judged(drafts, {f"u{place}": answer, f"u{count - 1}": answer})
    assert [[user for user, _, _ in each] for each in rounds] == [
        [f"u{n}" for n in range(PROBES)], [f"u{n}" for n in range(PROBES, count)]
    ]  # fmt: skip
    for number, each in enumerate(drafts):
        if number in (place, count - 1):
            (problem,) = each.held
            assert (problem.kind, problem.users, problem.attribute) == ("unreadable", (each.user.name,), "seat")
            assert problem.why.startswith(f"seat {why} value")
            assert each.planned == ()
        else:
            assert (each.held, each.planned) == ((), (SEAT,))


@pytest.mark.parametrize(("shown", "silent"), [((), True), (("seat",), False)])
def test_where_nothing_tells_of_any_it_is_unreadable_for_all_unless_somebody_shows_it(
    shown: tuple[str, ...], *, silent: bool
) -> None:
    drafts = [draft(n, SEAT, AttributeChange("mail", (), ("x",))) for n in range(PROBES + 1)]
    rounds, _ = judged(drafts, lambda question: UNKNOWN, shown=shown)
    assert len(rounds) == (1 if silent else 2)
    assert [[change.name for change in each.planned] for each in drafts] == [["mail"]] * len(drafts)
    said = {problem for each in drafts for problem in each.held}
    assert len(said) == (1 if silent else len(drafts))
    assert all((problem.agent is None and not problem.users) == silent for problem in said)


@pytest.mark.parametrize("shown", [(), ("seat",)])
def test_where_everybody_hides_a_value_that_is_said_once(shown: tuple[str, ...]) -> None:
    drafts = [draft(n, SEAT) for n in range(2)]
    judged(drafts, lambda question: OTHER, shown=shown)
    assert len({problem for each in drafts for problem in each.held}) == (2 if shown else 1)


@pytest.mark.parametrize(
    "each",
    [
        draft(1, AttributeChange("seat", ("6",), ("7",))),
        draft(1, SEAT, shows=["seat"]),
        draft(1, AttributeChange("mail", (), ("7",))),
    ],
)
def test_whoever_shows_a_value_or_what_is_readable_is_not_asked_about(each: Draft) -> None:
    rounds, _unseen = judged([each], lambda question: OTHER)
    assert rounds == []
    assert each.planned


# ---------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("change", "answer", "stays", "confirmed", "absent"),
    [
        (WORD, SAME, False, PRINT(UserRef("u1", "uid=u1"), "password", Secret("word")), False),
        (WORD, OTHER, True, None, False),
        (WORD, ABSENT, True, None, True),
        (WORD, UNKNOWN, True, None, False),
        (GONE, ABSENT, False, "", False),
        (GONE, OTHER, True, None, False),
        (GONE, SAME, True, None, False),
        (GONE, UNKNOWN, False, None, False),
    ],
)
def test_a_secret_that_is_as_it_is_to_be_is_in_step(
    change: AttributeChange, answer: Holds, confirmed: str | None, *, stays: bool, absent: bool
) -> None:
    each = draft(1, change)
    rounds, unseen = judged([each], {"u1": answer}, rules=[PASSWORD])
    assert rounds == [[("u1", "password", Secret("word") if change.new else Secret("-"))]]
    assert unseen.confirmed == ({} if confirmed is None else {("u1", "password"): confirmed})
    assert [change.absent for change in each.planned] == ([absent] if stays else [])
    prints = [PRINT(each.user, "password", Secret("word")) if change.new else ""]
    assert [change.fingerprint for change in each.planned] == (prints if stays else [])


class Wrote:
    """A state that knows what was written last."""

    def __init__(self, word: str) -> None:
        self.word = word

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        return PRINT(UserRef(user_id, f"uid={user_id}"), attribute, Secret(self.word))

    def read_unsettled(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize("rule", [each for each in Equality if each not in (Equality.OCTETS, Equality.CASE_EXACT)])
@pytest.mark.parametrize(("wrote", "stays"), [("word", False), ("WORD", True), (None, True)])
def test_a_comparison_that_is_not_exact_is_believed_of_what_was_written_last(
    rule: Equality, wrote: str | None, *, stays: bool
) -> None:
    each = draft(1, WORD)
    memory = cast("Memory", Wrote(wrote)) if wrote else None
    _, unseen = judged([each], {"u1": SAME}, rules=[PASSWORD], equality=rule, memory=memory)
    assert bool(each.planned) is stays
    assert unseen.denied == {}, "nothing says that it is not there"
    assert bool(unseen.confirmed) is not stays
    gone = draft(1, GONE)
    judged([gone], {"u1": SAME}, rules=[PASSWORD], equality=rule, memory=memory)
    assert gone.planned, "that there is a value is believed"


def test_a_secret_that_is_seen_is_not_asked_about_and_written_with_its_fingerprint() -> None:
    seen = AttributeChange("password", (Secret("old"),), (Secret("word"),), secret=True)
    each = draft(1, seen)
    assert judged([each], {}, rules=[PASSWORD])[0] == []
    (change,) = each.planned
    assert change.fingerprint == PRINT(each.user, "password", Secret("word"))
    assert not change.absent


def test_each_secret_is_compared_however_many_there_are() -> None:
    drafts = [draft(n, WORD) for n in range(PROBES + 3)]
    assert len(judged(drafts, {}, rules=[PASSWORD])[0][0]) == PROBES + 3


# ---------------------------------------------------------------- values that stay


def kept(name: str, probe: Held | None) -> Kept:
    return Kept(name, ("sipAccount",), frozenset({"mail"}), probe)


MAIL = AttributeChange("mail", (), ("x",))


@pytest.mark.parametrize(
    ("one", "answer", "asked", "stays"),
    [
        (kept("seat", None), OTHER, False, True),
        (kept("seat", "1"), ABSENT, True, False),
        (kept("seat", "1"), OTHER, True, True),
        (kept("password", Secret("1")), ABSENT, True, False),
        (kept("password", Secret("1")), OTHER, True, True),
        (kept("password", Secret("1")), UNKNOWN, True, False),  # we wrote none
    ],
)
def test_a_value_that_stays_unseen_holds_only_where_there_is_one(
    one: Kept, answer: Holds, *, asked: bool, stays: bool
) -> None:
    each = draft(1, MAIL, keeps=[one])
    rounds, _unseen = judged([each], {"u1": answer}, rules=[OPEN, HIDDEN, PASSWORD])
    assert rounds == ([[("u1", one.name, one.probe)]] if asked else [])
    assert each.keeps == ((one,) if stays else ())
    assert each.planned == (MAIL,)


def test_values_that_stay_are_asked_about_by_a_sample_and_then_all() -> None:
    drafts = [draft(n, MAIL, keeps=[kept("seat", "1")]) for n in range(PROBES + 2)]
    rounds, _ = judged(drafts, {"u0": OTHER, f"u{PROBES}": OTHER})
    assert [len(each) for each in rounds] == [PROBES, 2]
    assert [bool(each.keeps) for each in drafts] == [n in (0, PROBES) for n in range(PROBES + 2)]


def test_a_value_that_is_shown_is_not_asked_about_though_others_hide_theirs() -> None:
    drafts = [draft(n, MAIL, keeps=[kept("seat", None if n == PROBES + 1 else "1")]) for n in range(PROBES + 3)]
    rounds, _ = judged(drafts, {"u0": OTHER})
    assert [id_ for id_, _, _ in rounds[1]] == [f"u{PROBES}", f"u{PROBES + 2}"]


def test_what_may_not_be_read_of_anybody_stays() -> None:
    """Also of those beyond the sample; and of whom nothing tells where some user shows one."""
    drafts = [draft(n, MAIL, keeps=[kept("seat", "1")]) for n in range(PROBES + 2)]
    judged(drafts, lambda question: UNKNOWN)
    assert all(each.keeps for each in drafts)
    judged(drafts[:2], {"u0": UNKNOWN}, shown=["seat"])
    assert [bool(each.keeps) for each in drafts[:2]] == [True, False]


# ---------------------------------------------------------------- values that a directory may take for the same


def respelt(drafts: Sequence[Draft], answers: Mapping[str, Holds]) -> list[Held]:
    """What is asked, by value; `answers`: by value, else another is there."""
    infos = {name: AttributeInfo(name, single=False) for name in ("mail", "password")}
    brief = PlanBrief(
        mapping=AttributeMapping((), ()), limits=NO_LIMITS, description=Description("t", "t", infos),
        memory=passing_state().memory("test", "job"), fingerprint=PRINT, job="job", plan_id="id",
        now=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    directory = answering(lambda questions: [answers.get(str(each.value), OTHER) for each in questions])
    judge_alike(directory, drafts, brief)
    return [each.value for asked in directory.asked for each in asked.given[0]]


def mail(old: str, new: str) -> AttributeChange:
    return AttributeChange("mail", tuple(old.split()), tuple(new.split()))


@pytest.mark.parametrize(
    ("each", "asked", "answers", "stays"),
    [
        (mail("stra\u00dfe", "strasse"), ["strasse"], {"strasse": SAME}, False),
        (mail("stra\u00dfe", "strasse"), ["strasse"], {"strasse": OTHER}, True),
        (mail("stra\u00dfe", "strasse"), ["strasse"], {"strasse": UNKNOWN}, True),
        (mail("stra\u00dfe b", "strasse b"), ["strasse"], {"strasse": SAME}, False),
        (mail("stra\u00dfe ma\u00df", "strasse mass"), ["strasse", "mass"], {"strasse": SAME, "mass": SAME}, False),
        (mail("stra\u00dfe ma\u00df", "strasse mass"), ["strasse", "mass"], {"strasse": SAME}, True),
        (mail("stra\u00dfe ma\u00df", "strasse mass"), ["strasse", "mass"], {"mass": SAME}, True),
        (mail("stra\u00dfe", "other"), [], {}, True),
        (mail("stra\u00dfe", "strasse other"), [], {}, True),
        (mail("", "strasse"), [], {}, True),
        (mail("stra\u00dfe", ""), [], {}, True),
        (AttributeChange("password", (Secret("ma\u00df"),), (Secret("mass"),), secret=True), [], {}, True),
    ],
)
def test_a_value_that_may_be_there_in_another_spelling_is_asked_about_before_it_is_written(
    each: AttributeChange, asked: list[str], answers: Mapping[str, Holds], stays: bool
) -> None:
    one, other = draft(1, each, SEAT), draft(2, SEAT)
    assert respelt([one, other], answers) == asked
    assert one.planned == ((each, SEAT) if stays else (SEAT,))
    assert other.planned == (SEAT,)
