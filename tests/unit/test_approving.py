"""Who counts as an approver, and that nothing beyond what is free is written without enough of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace as with_fields
from datetime import UTC, datetime
from itertools import count
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from connector.apply.approval import Review, SignedFile
from connector.apply.sync import FinishedRun, apply_run, dry_run
from connector.approval.approvers import Approvers
from connector.approval.signers import PublicKey, read_allowed_signers
from connector.errors import UnapprovedError
from connector.model import Agent, Outcome, Plan, Tenant
from connector.model.limits import APPROVAL, Limit, Limits
from connector.model.mapping import AttributeRule, Mapping, MatchRule
from connector.model.templates import Template
from connector.reports import document
from connector.state.store import open_state
from tests.support.examples import examples
from tests.support.memory import MemoryStore
from tests.support.ssh_keys import KINDS, Pen, pen
from tests.support.worlds import BASE, NO_LIMITS, World, closed_with_the_test

pytestmark = pytest.mark.openssh
ANNA, BORIS, CARLA, STRANGER = pen(), pen(KINDS[1]), pen(KINDS[-1]), pen(number=9)
NOTHING = Limits(Limit(0), Limit(0), Limit(0))
FILE = b"any octets"
NOW = datetime(2026, 11, 28, tzinfo=UTC)


def approvers(needed: int = 2, free: Limits = NOTHING, revoked: Sequence[Pen] = (), anna: str = "") -> Approvers:
    lines = (f"anna {anna} {ANNA.public}", f"boris {BORIS.public}", f"carla {CARLA.public}")
    signers, faults = read_allowed_signers("\n".join(lines))
    assert not faults
    return Approvers(signers, needed, frozenset(PublicKey(each.kind, each.blob) for each in revoked), free)


def judged(of: Approvers, *signatures: bytes) -> tuple[list[str], list[str]]:
    found, faults = of.judge_signatures(FILE, [(str(number), each) for number, each in enumerate(signatures)], NOW)
    return [each.who for each in found], faults


def test_each_signature_counts_or_has_its_reason() -> None:
    anna, boris = ANNA.sign(FILE), BORIS.sign(FILE)
    assert judged(approvers(), anna, boris, CARLA.sign(FILE)) == (["anna", "boris", "carla"], [])
    twice = "1: the signature is a second one of the same person, who counts once"
    assert judged(approvers(), anna, anna, boris) == (["anna", "boris"], [twice])
    for signature, of, why in (
        (
            STRANGER.sign(FILE),
            approvers(),
            f"is by a key that is not among the allowed signers, {STRANGER.fingerprint}",
        ),
        (anna, approvers(revoked=[ANNA]), f"is by a revoked key, {ANNA.fingerprint}"),
        (
            anna,
            approvers(anna='valid-before="20261127Z"'),
            "is by the key of line 1, which has expired",
        ),
        (
            anna,
            approvers(anna='valid-after="20261129Z"'),
            "is by the key of line 1, which is not valid before",
        ),
        (
            anna,
            approvers(anna='namespaces="git"'),
            "is by the key of line 1, which is not allowed for the namespace",
        ),
        (with_fields(ANNA, namespace="file").sign(FILE), approvers(), "is for the namespace 'file'"),
        (ANNA.sign(b"other"), approvers(), "does not fit this file"),
    ):
        who, (fault,) = judged(of, boris, signature)
        assert who == ["boris"]
        assert fault.startswith(f"1: the signature {why}")


def test_an_approval_says_who_by_which_key_and_when_that_was_judged() -> None:
    ((approval,), _) = approvers().judge_signatures(FILE, [("a", ANNA.sign(FILE))], NOW)
    assert str(approval) == f"anna ({ANNA.fingerprint}, judged 2026-11-28T00:00:00+00:00)"


def test_one_of_several_lines_of_a_key_is_enough() -> None:
    lines = f'anna valid-before="20200101Z" {ANNA.public}\nanna valid-after="20260101Z" {ANNA.public}'
    signers, _ = read_allowed_signers(lines)
    assert judged(Approvers(signers, 1), ANNA.sign(FILE)) == (["anna"], [])


# ---------------------------------------------------------------- an apply


_folder = TemporaryDirectory()
_states = count()


def world(users: int = 3) -> World:
    """One whose state is a file, so that it can keep a plan."""
    entry = {"objectClass": ["inetOrgPerson"], "cn": ["U"]}
    store = MemoryStore({f"id-{n}": (f"uid=u{n},{BASE}", entry | {"uid": [f"u{n}"]}) for n in range(users)})
    match, seat = MatchRule(Template.parse("{accountCode}"), "uid"), Template.parse("{workNo}")
    mapping = Mapping((match,), (AttributeRule("employeeNumber", seat),))
    state = closed_with_the_test(open_state(f"sqlite:///{_folder.name}/{next(_states)}.db"))
    return World(Tenant([Agent(n, f"u{n}") for n in range(users)]), store, mapping, state=state)


def written(of: World) -> int:
    return sum("employeeNumber" in held for _, held in of.store.snapshot().values())


def silent(plan: Plan, outcomes: Sequence[Outcome] | None) -> None:
    pass


def saved(of: World, who: Approvers) -> bytes:
    with of.context() as context:
        plan = dry_run(replace(context, rules=replace(context.rules, approvers=who)), silent, save=True).plan
    return "".join(document.render(plan)).encode()


def apply(
    of: World, who: Approvers, plan: bytes = b"", pens: Sequence[Pen] = (), accept: str | None = None
) -> FinishedRun:
    signed = SignedFile(plan, [(str(number), each.sign(plan)) for number, each in enumerate(pens)])
    with of.context() as context:
        reviewed = document.parse_plan(plan) if plan else None
        return apply_run(
            replace(context, rules=replace(context.rules, approvers=who)),
            silent,
            accept=accept,
            review=Review(reviewed, signed),
        )


@pytest.mark.slow
@given(
    st.integers(1, 3), st.lists(st.sampled_from([ANNA, BORIS, CARLA, STRANGER]), max_size=4), st.integers(0, 4),
    st.booleans(), st.booleans(),
)  # fmt: skip
@settings(max_examples=examples(40))
def test_nothing_beyond_what_is_free_is_written_without_enough_people(
    needed: int, pens: list[Pen], free: int, planned: bool, accepts: bool
) -> None:
    of, who = world(), approvers(needed, Limits(Limit(free), Limit(0), Limit(0)))
    plan = saved(of, who)
    good = len(pens) == len(set(pens)) and STRANGER not in pens and len(pens) >= needed and not accepts and planned
    accept = document.parse_plan(plan).digest if accepts else None
    try:
        run = apply(of, who, plan if planned else b"", pens if planned else (), accept)
    except UnapprovedError:
        refused = True
    else:
        refused = run.refused
        assert not refused or [each.limit for each in run.plan.refusals] == [APPROVAL]
    assert written(of) == (0 if refused else 3)
    assert refused == (not (good or (free >= 3 and not (pens and planned))))


def test_the_digest_of_an_unapproved_plan_lifts_nothing() -> None:
    of, who = world(), approvers()
    refused = apply(of, who)
    assert [each.limit for each in refused.plan.refusals] == [APPROVAL]
    assert apply(of, who, accept=refused.plan.digest).refused
    assert written(of) == 0


def test_signatures_lift_the_refusals_of_their_plan_and_no_later_ones() -> None:
    of, who = world(), approvers()
    of.limits = replace(NO_LIMITS, update=Limit(0))
    plan = saved(of, who)
    agents, of.tenant = of.tenant, Tenant([])
    assert apply(of, who, plan, [ANNA, BORIS]).refused
    assert written(of) == 0
    of.tenant = agents
    assert not apply(of, who, plan, [ANNA, BORIS]).refused
    assert written(of) == 3


def test_a_percentage_that_is_free_is_of_matched_users() -> None:
    for percent, refused in ((99, True), (100, False)):
        of, free = world(), Limits(Limit(percent, percent=True), Limit(0), Limit(0))
        assert apply(of, approvers(free=free)).refused == refused


def test_a_run_that_was_approved_is_kept_with_its_approvals() -> None:
    of, who = world(), approvers()
    apply(of, who, saved(of, who), [CARLA, ANNA])
    ((kept,),) = ([each.approvals for each in of.state.history.list_runs(of.job)],)
    assert [(each.who, each.key) for each in kept] == [("anna", ANNA.fingerprint), ("carla", CARLA.fingerprint)]
