"""A run of a job as its state tells it: its record, and a report of what it wrote. No server is asked."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.context import SecretAttributes
from connector.apply.job_state import open_job_state
from connector.model import (
    AttributeChange,
    Change,
    Outcome,
    Plan,
    Result,
    Summary,
    UserRef,
)
from connector.model.digests import UNKEYED, digest_of_change, digest_of_plan
from connector.planning.kinds import add_overview
from connector.planning.order import join_parts
from connector.state.history import RunRecord
from connector.state.journal_rows import JournalStep, Sealer

_FROM_JOURNAL = "what the state kept of it: its changes and outcomes, not its problems"
_NOT_KNOWN = "not known: the run is under way, or was interrupted"


class PastRun(Struct, frozen=True):
    """A run, or an attempt that came to none, and a report of it."""

    record: RunRecord
    plan: Plan
    outcomes: tuple[Outcome, ...]


def read_past_run(path: Path, run: str) -> PastRun:
    """A run of the job in `path`, as `find_run` takes it. Raises FileError, StateError, UsageError."""
    with open_job_state(path) as (job, state):
        id_ = state.history.find_run(job.name, run)
        records = state.history.list_runs(job.name)
        record = next(each for each in records if each.id == id_)
        if not record.was_begun:
            return _make_report(record, ())
        directory, steps = state.read_steps_of_run(id_, job.name, Sealer(None))
        secrets = SecretAttributes(tuple(state.secret_attributes(directory)))
        kept = state.documents.find_report(job.name, id_)
        if kept is not None:
            plan, outcomes = kept
            if all(_hide_secrets(each, secrets) == each for each in plan.changes):
                return PastRun(record, plan, outcomes)
        hidden = [
            replace(each, change=_hide_secrets(each.change, secrets)) for each in steps
        ]
        return _make_report(record, hidden)


def _hide_secrets(change: Change, secrets: SecretAttributes) -> Change:
    """The change without values of attributes that are secret by now."""
    attributes = []
    for each in change.attributes:
        is_shown = not each.secret and secrets.find_same(each.name, whole=True)
        attributes.append(_hide_values(each) if is_shown else each)
    return replace(change, attributes=tuple(attributes))


def _hide_values(each: AttributeChange) -> AttributeChange:
    fingerprint = UNKEYED if each.sets else ""
    return AttributeChange(each.name, (), (), secret=True, fingerprint=fingerprint)


def _make_report(record: RunRecord, steps: Sequence[JournalStep]) -> PastRun:
    whole = join_parts(step.change for step in steps)
    changes = [replace(each, digest=digest_of_change(each)) for each in whole]
    about = [("source", _FROM_JOURNAL), ("plan then", record.digest)]
    if record.undoes:
        about.append(("takes back", f"run {record.undoes}"))
    plan = Plan(
        record.id,
        "",
        record.job,
        record.started,
        Summary(**record.summary),
        tuple(changes),
        about=tuple(about),
        approvals=record.approvals,
    )
    plan = add_overview(replace(plan, digest=digest_of_plan(plan)))
    return PastRun(record, plan, tuple(_join_outcomes(steps)))


def _join_outcomes(steps: Iterable[JournalStep]) -> list[Outcome]:
    """One outcome a user: of a change that was written in parts that of the first part which was not written."""
    outcomes: dict[UserRef, Outcome] = {}
    for step in steps:
        before = outcomes.get(step.user)
        if before is None or before.result is Result.WRITTEN:
            outcomes[step.user] = _make_outcome(step)
    return list(outcomes.values())


def _make_outcome(step: JournalStep) -> Outcome:
    if step.outcome is None:
        return Outcome(step.user, Result.FAILED, _NOT_KNOWN, unknown=True)
    return Outcome(step.user, step.outcome, step.why, lost=step.lost)
