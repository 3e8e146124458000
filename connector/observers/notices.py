"""What is said of a run that needs somebody: on what occasions, and in which words. Numbers and names of things."""

from __future__ import annotations

import shlex
import socket
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, to_builtins

from connector.model.limits import APPROVAL
from connector.observers.run_summary import PlanFigures, RunSummary
from connector.reports.visible import clean_texts, make_visible
from connector.reports.wording import name_refusal, numbers_since
from connector.settings.operations import Occasion

SCHEMA: Final = "cec-connector/notice/1"
_WORDS: Final[dict[Occasion, str]] = {
    "refused": "a plan was refused",
    "failed": "a run failed",
    "conflict": "there were conflicts",
    "pending": "changes are pending",
}


class Notice(Struct, frozen=True):
    """One message: `occasions`, a text for people, the summary for programs. `id`: the same at every attempt."""

    id: str
    occasions: tuple[Occasion, ...]
    subject: str
    text: str
    body: dict[str, Any]

    @property
    def subject_matter(self) -> tuple[object, ...]:
        """Equal for two runs of which there is nothing new to say."""
        return (
            self.occasions,
            self.body["digest"] or self.body["fault"],
            self.body["ending"],
        )


def find_occasions(summary: RunSummary) -> list[Occasion]:
    """What there is to tell of a run; nothing of a run that went as it should, or found its directory held."""
    outcomes, ending = Counter(summary.outcomes), summary.ending
    has_failed = ending == "failed" or outcomes["failed"] or outcomes["skipped"]
    is_pending = ending == "done" and summary.kind == "plan" and summary.plan.changes
    occasions: dict[Occasion, object] = {
        "refused": ending == "refused",
        "failed": has_failed,
        "conflict": outcomes["conflict"],
        "pending": is_pending,
    }
    return [occasion for occasion, is_so in occasions.items() if is_so]


def make_notice(
    summary: RunSummary, occasions: list[Occasion], job: Path, waiting: Path | None
) -> Notice:
    """The message. `job`: the file, and `waiting`: that of a plan that was saved, for the command that goes on."""
    started = datetime.fromtimestamp(summary.started, UTC)
    text = "\n".join(map(make_visible, _write_lines(summary, job, waiting)))
    words = " and ".join(_WORDS[each] for each in occasions)
    subject = f"cec-connector: {make_visible(summary.job)}: {words}"
    body = clean_texts(to_builtins(summary)) | clean_texts(to_builtins(summary.plan))
    for name in ("plan", "cause", "requests", "course"):
        del body[name]
    body |= {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "occasions": occasions,
        "started": started.isoformat(timespec="seconds"),
        "waiting": str(waiting) if waiting else None,
        "ending": summary.ending,
        "text": text,
    }
    # of letters that any header can carry, as a job's name may not be
    run = summary.run or f"{summary.started:.6f}"
    return Notice(f"{run}.{summary.kind}", tuple(occasions), subject, text, body)


def _write_lines(summary: RunSummary, job: Path, waiting: Path | None) -> list[str]:
    plan, ending = summary.plan, summary.ending
    lines = [
        f"The {summary.kind} of {summary.job} ended as: {ending} (exit code {summary.exit_code})."
    ]
    if summary.fault:
        lines.append(summary.fault)
    lines += [f"Refused, {name_refusal(each)}: {each.why}." for each in plan.refusals]
    if plan.changes:
        lines.append(f"Users that the plan would change: {plan.changes:,}.")
    if plan.since:
        lines.append(f"Since the plan before: {numbers_since(plan.since)}.")
    if summary.outcomes:
        lines.append(f"Outcomes: {summary.outcome_text}")
    if waiting is not None:
        lines.append("The plan waits for a review. To apply it, run:")
        lines.append(f"  {make_apply_command(plan, job, waiting)}")
    if summary.run:
        lines.append(f"Run {summary.run}")
    return lines


def make_apply_command(plan: PlanFigures, job: Path, waiting: Path) -> str:
    """The command that applies the plan in the file `waiting`, whatever refuses it."""
    accept = ["--accept", plan.digest] if plan.refusals else []
    if any(each.limit == APPROVAL for each in plan.refusals):
        accept = ["--approval", f"{waiting}.sig"]
    command = ["cec-connector", "apply", str(job), "--plan", str(waiting), *accept]
    return shlex.join(command)
