"""What `serve` and a fleet's worker say at a terminal: one line for each of their events that somebody looks on for."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

from connector.reports.wording import count_noun
from connector.runtime.clock import read_clock
from connector.serve.status_page import describe_counts, describe_seconds


class ServiceLines:
    """Makes a line of an event (a processor of structlog). Warnings have one too; other events are dropped."""

    def __init__(self, warn: Processor) -> None:
        """`warn` makes the line of a warning that has no form of its own."""
        self._warn = warn
        self._address = ""
        self._told_next: dict[str, str] = {}
        """By job, which next run was told last."""

    def __call__(self, logger: Any, method: str, event: EventDict) -> Any:
        line = self._describe_event(event)
        if line:
            return line
        if event["level"] in ("warning", "error"):
            if "job" in event:
                event["event"] = f"{event['job']}: {event['event']}"
            return self._warn(logger, method, event)
        raise structlog.DropEvent

    def _describe_event(self, event: EventDict) -> str:
        """The line of an event; empty: it has none."""
        job, line = event.get("job", ""), ""
        match event["event"]:
            case "serving":
                self._address = event["address"]
            case "schedule read":
                jobs = count_noun(event["jobs"], "job")
                first = f"next: {event['next']} {_describe_moment(event['at'])}"
                line = f"Serving {jobs}, {first}. Status: http://{self._address}/"
            case "working":
                line = f"Working. Status: http://{event['address']}/"
            case "run ended":
                line = self._describe_run(event)
            case "next run":
                if self._told_next.get(job, event["at"]) != event["at"]:
                    line = f"{job}: next {_describe_moment(event['at'])}"
                self._told_next[job] = event["at"]
            case "files read again":
                line = f"{job}: files read again"
            case "stopping":
                running = ", ".join(event["running"])
                line = f"Stopping. Runs to end first: {running or 'none'}"
        return line

    def _describe_run(self, event: EventDict) -> str:
        """`acme: 12 of 12 users written in 3 s; next at 02:30`, or `acme failed: …`."""
        if "stopped" in event:
            return f"{event['job']}: stopped"
        ending, parts = event["ending"], []
        if "recovered_after" in event:
            parts.append(
                f"recovered after {describe_seconds(event['recovered_after'])}"
            )
        if ending in ("done", "in part"):
            done = describe_counts(event.get("outcomes", {}), event.get("changes", 0))
            parts.append(f"{done} in {describe_seconds(event['seconds'])}")
        if "reason" in event:
            code = f" ({event['code']})" if "code" in event else ""
            parts.append(f"{event['reason']}{code}")
        parts += event.get("why_refused", [])
        if "account" in event:
            parts.append(event["account"])
        if "waiting" in event:
            parts.append(f"a plan waits in {event['waiting']}")
        if "next" in event:
            self._told_next[event["job"]] = event["next"]
            parts.append(f"next {_describe_moment(event['next'])}")
        how = "" if ending == "done" else f" {ending}"
        return f"{event['job']}{how}: {'; '.join(parts)}"


def _describe_moment(text: str) -> str:
    """`at 02:30`, on the clock of this machine; `now`; or `on 2026-12-31 at 02:30`, if that is a day ahead."""
    moment, now = datetime.fromisoformat(text).astimezone(), read_clock()
    if moment <= now:
        return "now"
    date = f"on {moment:%Y-%m-%d} " if moment - now >= timedelta(days=1) else ""
    return f"{date}at {moment:%H:%M:%S}".removesuffix(":00")
