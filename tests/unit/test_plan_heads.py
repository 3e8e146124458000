"""What a plan says of the run as a whole: how many of each kind there are, and what is less sure than it looks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import pytest
from msgspec.structs import replace

from connector.apply.sync import apply_run, dry_run
from connector.directories.port import Directory
from connector.errors import FileError
from connector.explain.explainer import explain_name
from connector.matching.near_misses import AGENTS
from connector.matching.people import ExcludeList
from connector.model import Agent, Change, InvalidRecord, Outcome, Plan, Result, Secret, Tenant, View
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.assembly import UNSURE
from connector.planning.check_drafts import UNSEEN
from connector.reports import explanation
from tests.support.disturbed import Disturbed
from tests.support.memory import MemoryDirectory, MemoryStore
from tests.support.worlds import BASE, FILTER, World

SEAT, PASSWORD = "employeeNumber", "SIPIdentityPassword"
CLASSES = ["inetOrgPerson", "SIPIdentity"]
MAPPING = Mapping(
    (MatchRule(Template.parse("{accountCode}"), "uid"),), (AttributeRule(SEAT, Template.parse("{workNo}")),),
    stale="clear",
)  # fmt: skip
SECRETS = replace(
    MAPPING,
    attributes=(AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", secret=True),),
    object_classes=("SIPIdentity",),
)


def world(*agents: Agent, mapping: Mapping = MAPPING, hidden: bool = False, compares: bool = True) -> World:
    entries = {
        f"id-{n}": (f"uid=u{n},{BASE}", {"objectClass": CLASSES, "uid": [f"u{n}"], "cn": [f"U {n}"]}) for n in range(6)
    }
    return World(
        Tenant([*agents]), MemoryStore(entries, hidden=[PASSWORD] if hidden else [], compares=compares), mapping
    )


def agents(*numbers: int, password: str | None = None) -> list[Agent]:
    return [Agent(n, f"u{n}", None, Secret(f"{password}-{n}") if password else None) for n in numbers]


def plan(of: World, only: Collection[str] = ()) -> Plan:
    with of.context() as context:
        return dry_run(context, lambda plan, outcomes: None, only).plan


def apply(of: World) -> None:
    with of.context() as context:
        apply_run(context, lambda plan, outcomes: None)


def test_everybody_is_counted_once_by_what_became_of_them() -> None:
    of = world(*agents(0, 1, 2, 3))
    apply(of)
    of.tenant = Tenant(
        [*agents(0, 1), Agent(9, "u2"), Agent(7, "nobody"), Agent(8), Agent(11, "u4"), Agent(12, "u4"), Agent(13)],
        [InvalidRecord(99, "no")],
    )
    of.exclude = ExcludeList(frozenset({"u2"}))
    counted = plan(of).summary
    assert (counted.agents, counted.invalid, counted.unassigned) == (9, 1, 2)
    assert (counted.matched, counted.unmatched, counted.ambiguous, counted.contested) == (3, 1, 0, 2)
    assert (counted.unchanged, counted.update, counted.clear, counted.secret) == (2, 0, 0, 0)
    assert counted.stale == 1
    of.exclude = ExcludeList()
    assert (plan(of).summary.unchanged, plan(of).summary.update) == (2, 1)
    assert plan(of, ["u0"]).summary.unchanged == 2, "who is left out is not in step"


def test_what_is_left_out_is_counted_and_what_is_held_back_is_told_all_the_same() -> None:
    """Of users whose change is left out, and of those who have none."""
    of = world(*agents(0, 1, 2), mapping=replace(MAPPING, attributes=(*MAPPING.attributes, UNFIT)))
    found = plan(of, ["u0"])
    assert [change.user.id for change in found.changes] == ["id-0"]
    assert [each for each in found.cautions if "--only" in each] == [
        "limited to u0 (--only): changes of 2 other users are left out"
    ]
    assert sorted(each.users[0][4:6] for each in found.problems if each.attribute == "mail") == ["u0", "u1", "u2"]
    assert not any("--only" in each for each in plan(of).cautions)


UNFIT = AttributeRule("mail", Template.parse("{accountCode}\u00e9"), owns="*")


@pytest.mark.parametrize("another", [True, False])
@pytest.mark.parametrize("leaves", [True, False])
def test_a_mapping_that_no_longer_calls_a_written_secret_one_is_refused(*, another: bool, leaves: bool) -> None:
    """Its plan would show the old value, also that of another job and of whoever left, and keep it in the state."""
    of = world(*agents(0, password="canary"), mapping=SECRETS)
    apply(of)
    of.tenant = Tenant([] if leaves else agents(0))
    of.tenant = Tenant([*of.tenant.agents, Agent(1, "u1")])
    plain = AttributeRule(PASSWORD, Template.parse("unset"), owns="*", take_over=True, line=7)
    of.mapping = replace(SECRETS, attributes=(plain,))
    of.job = "another" if another else of.job
    with pytest.raises(FileError) as refused:
        plan(of)
    assert str(refused.value) == (
        f"mapping:7: {PASSWORD} is secret: this job, or another one of its state, wrote secrets into it. "
        "Add `secret: true` to it. If it holds none any more, run: "
        f"cec-connector state forget-secret JOB {PASSWORD}"
    )
    of.mapping = replace(SECRETS, attributes=(replace(plain, secret=True),))
    assert plan(of).changes


def test_a_written_secret_is_shown_by_no_explanation_and_is_still_ours_when_its_user_is_stale() -> None:
    of = world(*agents(0, password="canary"), mapping=SECRETS)
    apply(of)
    unset = AttributeRule(PASSWORD, Template.parse("{sipPwd}"), owns="*", take_over=True, secret=True)
    of.mapping = replace(SECRETS, attributes=(unset,), stale="report")
    of.tenant = Tenant(agents(0))
    assert plan(of).changes == (), "the template makes nothing"
    for job in ("another", of.job):
        of.job = job
        with of.context() as context:
            said = explain_name(context, "u0")
        assert [trace.held for trace in said.explanations[0].attributes] == [(Secret(b"canary-0"),)]
        assert "canary" not in "".join(explanation.render_text(said)) + explanation.as_document(job, said)
    of.tenant = Tenant(agents(1))
    assert [each.why.partition(":")[0] for each in plan(of).problems if each.kind == "stale"] == [PASSWORD]


def left(of: World, *, invalid: bool) -> Plan:
    """The plan after the agent of one of two users has left."""
    of.tenant = Tenant(agents(0, 1, password="canary"))
    apply(of)
    of.tenant = Tenant(agents(0, password="canary"), [InvalidRecord(9, "no")] if invalid else [])
    return plan(of)


@pytest.mark.parametrize(
    ("stale", "invalid", "unsure"), [("clear", True, True), ("clear", False, False), ("report", True, False)]
)
def test_where_somebody_may_not_have_been_found_nobody_is_cleared_and_that_is_said(
    stale: str, invalid: bool, unsure: bool
) -> None:
    of = world(mapping=replace(MAPPING, stale=stale))
    found = left(of, invalid=invalid)
    assert (UNSURE in found.cautions) is unsure
    assert [change.user.id for change in found.changes] == (["id-1"] if (stale, invalid) == ("clear", False) else [])
    assert found.summary.stale == 1
    of.tenant = Tenant(agents(0, 1), of.tenant.invalid)
    assert UNSURE not in plan(of).cautions, "nobody is stale"


def test_of_a_tenant_without_agents_nobody_is_cleared() -> None:
    of = world()
    left(of, invalid=False)
    of.tenant = Tenant([])
    found = plan(of)
    assert found.changes == ()
    assert found.refusals


@pytest.mark.parametrize("hidden", [True, False])
def test_that_a_secret_is_cleared_unseen_is_said(hidden: bool) -> None:
    of = world(mapping=SECRETS, hidden=hidden)
    found = left(of, invalid=False)
    assert [change.user.id for change in found.changes] == ["id-1"]
    assert (UNSEEN in found.cautions) is hidden
    set_ = world(*agents(0, password="canary"), mapping=SECRETS, hidden=hidden)
    assert plan(set_).changes
    assert UNSEEN not in plan(set_).cautions


class Cut(Disturbed):
    """A directory that takes every change of a batch, or none, and the run is ended before the answers come."""

    takes = True

    def write(self, changes: Iterable[Change]) -> Iterator[Outcome]:
        sent = list(changes)
        for _ in super().write(sent) if self.takes else ():
            pass
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("count", "compares", "takes", "said"),
    [
        (1, False, True, "secrets of one user. They"),
        (3, False, False, "secrets of 3 users. They"),
        (2, True, True, ""),
        (2, True, False, ""),
    ],
)
def test_secrets_that_a_run_without_an_end_may_have_written_are_said_to_be_written_again(
    count: int, compares: bool, takes: bool, said: str
) -> None:
    """Where a comparison tells, nothing has to be said: they are there, or they are set for the first time."""
    of = world(*agents(*range(count), password="canary"), mapping=SECRETS, hidden=True, compares=compares)

    def connect(view: View) -> Directory:
        cut = Cut(MemoryDirectory(of.store, view, base=BASE, filter=FILTER), lambda: None)
        cut.takes = takes
        return cut

    of.connect = connect
    apply(of)
    of.connect = None
    with of.context() as context:
        run = apply_run(context, lambda plan, outcomes: None)
    about = [each for each in run.plan.cautions if "an interrupted run" in each]
    assert [each.partition("wrote ")[2].startswith(said) for each in about] == [True] * bool(said)
    assert all(outcome.result is Result.WRITTEN for outcome in run.outcomes or ())
    assert len(run.plan.changes) == (0 if compares and takes else count)


@pytest.mark.parametrize("shown", [True, False])
def test_that_some_users_show_no_object_classes_is_said(shown: bool) -> None:
    of = world(*agents(0, 1))
    if not shown:
        of.store.put("id-1", f"uid=u1,{BASE}", {"uid": ["u1"], "objectClass": CLASSES})
        of.store.hidden, of.store.veiled = frozenset({"objectclass"}), ["id-1"]
    assert any("do not show their object classes" in each for each in plan(of).cautions) is not shown


@pytest.mark.parametrize("beyond", [True, False])
def test_a_user_of_the_exclude_list_that_is_there_is_not_looked_for_elsewhere(beyond: bool) -> None:
    """One that is nowhere refuses the plan, also where nobody may look past base and filter."""
    of = world(*agents(0))
    for listed, lost in (({"id-1"}, 0), ({"id-1", "id-9"}, 1)):
        of.exclude = ExcludeList(users=frozenset(listed))
        with of.context() as context:
            asked = context if beyond else replace(context, beyond=None)
            found = dry_run(asked, lambda plan, outcomes: None).plan
        assert [each.planned for each in found.refusals] == [1] * lost


def test_what_kept_near_misses_from_being_told_is_said_at_the_head() -> None:
    few = world(Agent(1, "nobody"), Agent(2, "u0"))
    assert "near misses" not in dict(plan(few).about)
    many = world(*(Agent(number, f"nobody{number}") for number in range(AGENTS + 1)))
    assert dict(plan(many).about)["near misses"].endswith("1 more are left out")
