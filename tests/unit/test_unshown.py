"""What the directory took and does not show: the next value takes the last one out by saying it, or is held back."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.sync import FinishedRun, apply_run, dry_undo
from connector.directories.common.entries import Entry
from connector.model import Agent, AttributeChange, AttributeInfo, Description, Result, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.check_drafts import UNSEEN, UNSHOWN
from connector.planning.standing import CHANGED, UNSHOWN_LEAVER
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

SHY = "telephoneNumber"
ONE, TWO = Template.parse("{sipAccount}"), Template.parse("0{accountCode|digits}")
SEAT = AttributeRule("employeeNumber", Template.parse("{workNo}"))
LOOKS = (MatchRule(Template.parse("{accountCode}"), "uid"),)
ENTRY = {"objectClass": ["inetOrgPerson"], "uid": ["u0"]}


class Shy(MemoryDirectory):
    """It takes values of an attribute that others may read, and shows none."""

    hides = by_value = comparable = True
    single = shows = False

    def describe(self) -> Description:
        described = super().describe()
        return replace(
            described,
            reading=replace(described.reading, hides=self.hides),
            writing=replace(described.writing, by_value=self.by_value),
        )

    def info(self, name: str) -> AttributeInfo:
        info = super().info(name)
        return replace(info, single=self.single, comparable=self.comparable) if name == SHY else info

    def entries(self, attributes: Collection[str] = (), *, disabled: bool = False) -> Iterator[Entry]:
        for entry in super().entries(attributes, disabled=disabled):
            shown = {name: some for name, some in entry.values.items() if self.shows or name != SHY.lower()}
            yield replace(entry, values=shown)


class Case:
    """One user whose directory is shy, and its agent's line."""

    def __init__(self, *more: Template, **odd: bool) -> None:
        self.odd = dict(odd)
        self.store = MemoryStore({"id-0": (f"uid=u0,{BASE}", ENTRY)})
        rules = (SEAT, AttributeRule(SHY, ONE, owns="*", more=more, together=""))
        self.world = World(Tenant([]), self.store, Mapping(LOOKS, rules))
        self.world.connect = self._connect

    def _connect(self, view: View) -> Shy:
        directory = Shy(self.store, view, base=BASE, filter=FILTER)
        for name, value in self.odd.items():
            setattr(directory, name, value)
        return directory

    def apply(self, line: str | None, seat: int = 7) -> FinishedRun:
        self.world.tenant = Tenant([Agent(seat, "u0", line)])
        with self.world.context() as context:
            return apply_run(context, lambda plan, outcomes: None)

    def after(self, line: str | None, seat: int = 8) -> FinishedRun:
        """The run after one whose value `1` is not shown."""
        (outcome,) = self.apply("1").outcomes or ()
        assert (outcome.result, outcome.lost) == (Result.FAILED, (SHY,))
        return self.apply(line, seat)

    @property
    def held(self) -> set[object]:
        return set(self.store.snapshot()["id-0"][1].get(SHY, ()))


def planned(run: FinishedRun) -> dict[str, AttributeChange]:
    return {each.name: each for change in run.plan.changes for each in change.attributes}


def told(run: FinishedRun) -> bool:
    return any((problem.attribute, problem.why) == (SHY, UNSHOWN) for problem in run.plan.problems)


def test_the_last_value_is_taken_out_by_saying_it_and_all_else_is_as_planned() -> None:
    case = Case()
    run = case.after("2")
    found = planned(run)
    assert (found[SHY].old, found[SHY].new, found[SHY].seen) == (("1",), ("2",), False)
    assert (found["employeeNumber"].old, found["employeeNumber"].seen) == (("7",), True)
    assert not told(run)
    assert case.held == {"2"}


@pytest.mark.parametrize("odd", [{"by_value": False}, {"comparable": False}])
def test_where_no_value_can_be_taken_out_the_next_is_held_back_alone(odd: dict[str, bool]) -> None:
    case = Case(**odd)
    run = case.after("2")
    assert list(planned(run)) == ["employeeNumber"]
    assert told(run)
    assert case.held == {"1"}


def test_the_same_value_is_not_written_again() -> None:
    run = Case().after("1")
    assert list(planned(run)) == ["employeeNumber"]
    assert told(run)


@pytest.mark.parametrize("odd", [{"single": True}, {"hides": False}])
def test_where_a_value_takes_the_place_of_the_last_or_would_be_shown_it_is_set(odd: dict[str, bool]) -> None:
    """Of one value the new one takes its place; what would be shown, somebody has taken away."""
    run = Case(**odd).after("2")
    assert (planned(run)[SHY].old, planned(run)[SHY].seen) == ((), True)
    assert not told(run)


def test_where_a_template_made_nothing_what_it_made_last_may_be_to_stay() -> None:
    case = Case(TWO)
    run = case.after(None)
    assert list(planned(run)) == ["employeeNumber"]
    assert told(run)
    assert case.held == {"1", "00"}


def test_all_that_templates_made_last_is_taken_out() -> None:
    case = Case(TWO)
    run = case.after("2")
    assert set(planned(run)[SHY].old) == {"1", "00"}
    assert case.held == {"2", "00"}


def test_once_it_is_shown_it_is_as_any_other() -> None:
    case = Case()
    case.apply("1")
    case.odd["shows"] = True
    run = case.apply("2")
    assert (planned(run)[SHY].old, planned(run)[SHY].seen) == (("1",), True)
    assert not told(run)
    assert case.held == {"2"}


# ---------------------------------------------------------------- leavers


def left(case: Case) -> FinishedRun:
    """The run after one whose value is not shown; its agent has left, and stale values are to be cleared."""
    case.world.mapping = replace(case.world.mapping, stale="clear")
    case.apply("1")
    case.world.tenant = Tenant([Agent(9, "nobody")])
    with case.world.context() as context:
        return apply_run(context, lambda plan, outcomes: None)


def stays(run: FinishedRun) -> bool:
    return any((problem.attribute, problem.why) == (SHY, UNSHOWN_LEAVER) for problem in run.plan.problems)


def test_what_a_leaver_does_not_show_is_taken_out_by_saying_it() -> None:
    case = Case()
    run = left(case)
    found = planned(run)
    assert (found[SHY].old, found[SHY].new, found[SHY].seen) == (("1",), (), False)
    assert not stays(run)
    assert case.held == set()
    assert UNSEEN not in run.plan.cautions, "of secrets"


@pytest.mark.parametrize("by_value", [True, False])
def test_a_leaver_to_whom_nothing_else_was_written_is_stale_too(by_value: bool) -> None:
    """Until the value was taken out; if that cannot be, each plan says so."""
    case = Case(by_value=by_value)
    case.world.mapping = replace(case.world.mapping, attributes=case.world.mapping.attributes[1:])
    assert case.apply("1").plan.summary.stale == 0
    run = left(case)
    assert (run.plan.summary.stale, SHY in planned(run), stays(run)) == (1, by_value, not by_value)
    (line,) = (each for each in run.plan.problems if each.kind == "stale" and each.attribute is None)
    assert (line.users, line.why.partition(":")[0]) == ((f"uid=u0,{BASE}",), SHY)
    assert case.held == (set() if by_value else {"1"})
    case.world.tenant = Tenant([Agent(9, "nobody")])
    with case.world.context() as context:
        again = apply_run(context, lambda plan, outcomes: None)
    assert again.plan.summary.stale == (not by_value)


@pytest.mark.parametrize(("owns", "stale"), [("*", 0), ("8*", 1)])
def test_what_another_job_has_written_since_is_no_leavers_value(owns: str, stale: int) -> None:
    """But for values of a pattern of its own, which are beside ours."""
    case = Case()
    rules = (replace(case.world.mapping.attributes[1], owns="1*"),)
    case.world.mapping = replace(case.world.mapping, attributes=rules)
    case.apply("1")
    other = World(Tenant([Agent(9, "u0", "8")]), case.store, case.world.mapping, state=case.world.state)
    other.job, other.connect = "other", case.world.connect
    other.mapping = replace(other.mapping, attributes=(replace(rules[0], owns=owns, take_over=True),))
    case.store.put("id-0", f"uid=u0,{BASE}", ENTRY)  # somebody has taken ours away
    with other.context() as context:
        (outcome,) = apply_run(context, lambda plan, outcomes: None).outcomes or ()
    assert outcome.lost == (SHY,)
    case.world.tenant = Tenant([Agent(9, "nobody")])
    case.world.mapping = replace(case.world.mapping, stale="clear")
    with case.world.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    assert (run.plan.summary.stale, SHY in planned(run)) == (stale, bool(stale))
    assert case.held == {"8"}


@pytest.mark.parametrize("odd", [{"by_value": False}, {"comparable": False}])
def test_where_a_leavers_value_cannot_be_taken_out_a_line_says_so(odd: dict[str, bool]) -> None:
    case = Case(**odd)
    run = left(case)
    assert list(planned(run)) == ["employeeNumber"]
    assert stays(run)
    assert case.held == {"1"}


def test_what_a_leaver_would_show_is_gone_and_no_line_is_needed() -> None:
    case = Case()
    case.apply("1")
    case.odd["shows"] = True
    case.store.put("id-0", f"uid=u0,{BASE}", {**ENTRY, "employeeNumber": ["7"]})
    case.odd["hides"] = False
    case.world.mapping = replace(case.world.mapping, stale="clear")
    case.world.tenant = Tenant([Agent(9, "nobody")])
    with case.world.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    assert list(planned(run)) == ["employeeNumber"]
    assert not stays(run)


def test_an_undo_says_which_values_it_keeps_since_nobody_was_shown_them() -> None:
    case = Case()
    run = case.apply("1").plan.id
    with case.world.back(run) as context:
        found = dry_undo(context, lambda plan, outcomes: None).plan
    assert found.changes == ()
    assert [(each.kind, str(each.agent), each.users, each.why.partition(", and")[0]) for each in found.problems] == [
        ("undo", "u0 (workNo 7)", (f"uid=u0,{BASE}",), f"that run wrote {SHY}")
    ]


@pytest.mark.parametrize("now", ["1", "2"])
def test_what_a_leaver_shows_by_now_is_cleared_if_it_is_what_the_directory_took(now: str) -> None:
    case = Case()
    case.world.mapping = replace(case.world.mapping, stale="clear")
    case.apply("1")
    case.odd["shows"] = True
    case.store.put("id-0", f"uid=u0,{BASE}", {**ENTRY, "employeeNumber": ["7"], SHY: [now, "3"]})
    case.world.tenant = Tenant([Agent(9, "nobody")])
    with case.world.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    assert set(planned(run)) == ({"employeeNumber", SHY} if now == "1" else {"employeeNumber"})
    assert case.held == ({"3"} if now == "1" else {"2", "3"})
    assert [each.why for each in run.plan.problems if each.attribute == SHY] == [CHANGED]
