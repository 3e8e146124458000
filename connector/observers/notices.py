"""What is said of a run that needs somebody: on what occasions, and in which words. Numbers and names of things."""

from __future__ import annotations

import shlex
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, to_builtins

from connector.model.limits import APPROVAL
from connector.observers.run_summary import RunSummary
from connector.reports.visible import cleaned, visible
from connector.reports.wording import numbers_since
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
    def about(self) -> tuple[object, ...]:
        """Equal for two runs of which there is nothing new to say."""
        return (
            self.occasions,
            self.body["digest"] or self.body["fault"],
            self.body["ending"],
        )


def occasions(summary: RunSummary) -> tuple[Occasion, ...]:
    """What there is to tell of a run; nothing of a run that went as it should, or found its directory held."""
    told: dict[Occasion, bool] = {
        "refused": summary.ending == "refused",
        "failed": summary.ending == "failed"
        or any(map(summary.outcomes.get, ("failed", "skipped"))),
        "conflict": summary.outcomes.get("conflict", 0) > 0,
        "pending": summary.kind == "plan"
        and summary.ending == "done"
        and summary.changes > 0,
    }
    return tuple(occasion for occasion, found in told.items() if found)


def notice(
    summary: RunSummary, found: tuple[Occasion, ...], job: Path, waiting: Path | None
) -> Notice:
    """The message. `job`: the file, and `waiting`: that of a plan that was saved, for the command that goes on."""
    about = {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "occasions": list(found),
        "started": datetime.fromtimestamp(summary.started, UTC).isoformat(
            timespec="seconds"
        ),
        "waiting": str(waiting) if waiting else None,
    }
    wanted = (
        "job",
        "run",
        "kind",
        "seconds",
        "digest",
        "changes",
        "counts",
        "problems",
        "since",
        "refusals",
        "outcomes",
        "fault",
    )
    told = {name: cleaned(to_builtins(getattr(summary, name))) for name in wanted}
    text = "\n".join(map(visible, _lines(summary, job, waiting)))
    subject = f"cec-connector: {visible(summary.job)}: {' and '.join(_WORDS[each] for each in found)}"
    body = (
        about
        | told
        | {"ending": summary.ending, "exit_code": summary.exit_code, "text": text}
    )
    # of letters that any header can carry, as a job's name may not be
    run = summary.run or f"{summary.started:.6f}"
    return Notice(f"{run}.{summary.kind}", found, subject, text, body)


def _lines(summary: RunSummary, job: Path, waiting: Path | None) -> list[str]:
    lines = [
        f"The {summary.kind} of {summary.job} ended as: {summary.ending} (exit code {summary.exit_code})."
    ]
    if summary.fault:
        lines.append(summary.fault)
    lines += [
        f"Refused by {refusal.limit}: {refusal.why}." for refusal in summary.refusals
    ]
    if summary.changes:
        lines.append(f"Users that the plan would change: {summary.changes:,}.")
    if summary.since:
        lines.append(f"Since the plan before: {numbers_since(summary.since)}.")
    if summary.outcomes:
        lines.append(
            "Outcomes: "
            + ", ".join(f"{n:,} {what}" for what, n in summary.outcomes.items())
        )
    if waiting is not None:
        unapproved = any(each.limit == APPROVAL for each in summary.refusals)
        accept = ["--accept", summary.digest] if summary.refusals else []
        accept = ["--approval", f"{waiting}.sig"] if unapproved else accept
        lines.append("The plan waits for a review. To apply it, run:")
        lines.append(
            "  "
            + shlex.join(
                ["cec-connector", "apply", str(job), "--plan", str(waiting), *accept]
            )
        )
    if summary.run:
        lines.append(f"Run {summary.run}")
    return lines
