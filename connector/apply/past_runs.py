"""A run of a job as its state tells it: its record, and a report of what it wrote. No server is asked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from connector.apply.context import SecretAttributes
from connector.apply.job_state import list_runs, open_job_state
from connector.model import (
    APPROVED,
    AttributeChange,
    Outcome,
    Plan,
    Result,
    Summary,
)
from connector.model.digests import UNKEYED, digest_of_change, digest_of_plan
from connector.planning.kinds import add_overview
from connector.planning.order import join_parts
from connector.state.history import RunRecord
from connector.state.journal_rows import JournalStep, Sealer

Report = tuple[Plan, tuple[Outcome, ...]]
_NOT_KNOWN = "not known: the run is under way, or was interrupted"


def read_past_run(path: Path, run: str) -> Report:
    """A report of a run of the job in `path`, by what `find_run` takes; problems are not kept.

    Values of attributes that are secret by now are left out. Raises FileError, StateError, UsageError.
    """
    (record,), _ = list_runs(path, run)
    if not record.was_begun:
        return _make_report(record, (), SecretAttributes(()))
    with open_job_state(path) as (_, state):
        directory, steps = state.read_steps_of_run(record.id, record.job, Sealer(None))
        secrets = SecretAttributes(tuple(state.secret_attributes(directory)))
    return _make_report(record, steps, secrets)


def _make_report(
    record: RunRecord, steps: Sequence[JournalStep], secrets: SecretAttributes
) -> Report:
    changes = []
    for change in join_parts(step.change for step in steps):
        attributes = [_hide_values(each, secrets) for each in change.attributes]
        shown = replace(change, attributes=tuple(attributes))
        changes.append(replace(shown, digest=digest_of_change(shown)))
    about = {
        "server": record.server,
        "plan": record.plan or record.digest,
        APPROVED: "; ".join(map(str, record.approvals)),
        "takes back": record.undoes and f"run {record.undoes}",
    }
    plan = Plan(
        record.id,
        "",
        record.job,
        record.started,
        Summary(**record.summary),
        tuple(changes),
        about=tuple((place, what) for place, what in about.items() if what),
        approvals=record.approvals,
    )
    plan = add_overview(replace(plan, digest=digest_of_plan(plan)))
    # of a user whose change was written in parts, the first that was not written counts
    last = sorted(steps, key=lambda step: step.outcome is not Result.WRITTEN)
    outcomes = {step.user.id: _make_outcome(step) for step in last}
    return plan, tuple(outcomes.values())


def _hide_values(each: AttributeChange, secrets: SecretAttributes) -> AttributeChange:
    if each.secret or not secrets.find_same(each.name, whole=True):
        return each
    fingerprint = UNKEYED if each.sets else ""
    return AttributeChange(each.name, (), (), secret=True, fingerprint=fingerprint)


def _make_outcome(step: JournalStep) -> Outcome:
    if step.outcome is None:
        return Outcome(step.user, Result.FAILED, _NOT_KNOWN, unknown=True)
    return Outcome(step.user, step.outcome, step.why, lost=step.lost)
