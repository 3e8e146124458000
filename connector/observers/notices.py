"""What is said of a run that needs somebody: on what occasions, and in which words. Numbers and names of things."""

from __future__ import annotations

import shlex
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, to_builtins

from connector.observers.run_summary import RunFacts
from connector.reports.visible import cleaned, visible
from connector.settings.operations import Occasion

SCHEMA: Final = "cec-connector/notice/1"


class Notice(Struct, frozen=True):
    """One message: `occasions`, a sentence for people, and the facts for programs. `id`: the same at every attempt."""

    id: str
    occasions: tuple[Occasion, ...]
    subject: str
    text: str
    body: dict[str, Any]

    @property
    def about(self) -> tuple[object, ...]:
        """Equal for two runs of which there is nothing new to say."""
        return self.occasions, self.body["digest"] or self.body["fault"], self.body["ending"]


def occasions(facts: RunFacts) -> tuple[Occasion, ...]:
    """What there is to tell of a run; nothing of a run that went as it should, or found its directory held."""
    found: list[Occasion] = []
    if facts.ending == "refused":
        found.append("refused")
    if facts.ending == "failed" or facts.outcomes.get("failed") or facts.outcomes.get("skipped"):
        found.append("failed")
    if facts.outcomes.get("conflict"):
        found.append("conflict")
    if facts.kind == "plan" and facts.ending == "done" and facts.changes:
        found.append("pending")
    return tuple(found)


def notice(facts: RunFacts, found: tuple[Occasion, ...], job: Path, waiting: Path | None) -> Notice:
    """The message. `job`: the file, and `waiting`: that of a plan that was saved, for the command that goes on."""
    about = {
        "schema": SCHEMA,
        "host": socket.gethostname(),
        "occasions": list(found),
        "started": datetime.fromtimestamp(facts.started, UTC).isoformat(timespec="seconds"),
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
        "refusals",
        "outcomes",
        "fault",
    )
    told = {name: cleaned(to_builtins(getattr(facts, name))) for name in wanted}
    text = "\n".join(map(visible, _lines(facts, job, waiting)))
    subject = f"cec-connector: {visible(facts.job)}: {' and '.join(_WORDS[each] for each in found)}"
    body = about | told | {"ending": facts.ending, "exit_code": facts.exit_code, "text": text}
    run = facts.run or f"{facts.started:.6f}"  # of letters that any header can carry, as a job's name may not be
    return Notice(f"{run}.{facts.kind}", found, subject, text, body)


_WORDS: Final[dict[Occasion, str]] = {
    "refused": "a plan was refused",
    "failed": "a run failed",
    "conflict": "there were conflicts",
    "pending": "changes are pending",
}


def _lines(facts: RunFacts, job: Path, waiting: Path | None) -> list[str]:
    lines = [f"The {facts.kind} of {facts.job} ended as: {facts.ending} (exit code {facts.exit_code})."]
    if facts.fault:
        lines.append(facts.fault)
    lines += [f"Refused by {refusal.limit}: {refusal.why}." for refusal in facts.refusals]
    if facts.changes:
        lines.append(f"Users that the plan would change: {facts.changes:,}.")
    if facts.outcomes:
        lines.append(
            "Users by what became of them: " + ", ".join(f"{n:,} {what}" for what, n in facts.outcomes.items())
        )
    if waiting is not None:
        accept = ["--accept", facts.digest] if facts.refusals else []
        lines.append("The plan waits. To apply it, once it was reviewed:")
        lines.append("  " + shlex.join(["cec-connector", "apply", str(job), "--plan", str(waiting), *accept]))
    if facts.run:
        lines.append(f"Run {facts.run}")
    return lines
