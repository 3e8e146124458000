"""The folder of a snapshot: taken of a plan of a job, and only for the same files of that job drawn from again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

import connector
from connector.errors import FileError
from connector.model import Plan
from connector.reconcile.matching.people import ExcludeList, Pin
from connector.reconcile.matching.selection import selected
from connector.reconcile.planner import Planner
from connector.reconcile.questions import Brief, Show
from connector.run.composition import Accepted
from connector.run.lookup import run
from connector.run.snapshot.player import Player
from connector.run.snapshot.recorder import Recorder
from connector.run.snapshot.tape import TapeReader, TapeWriter
from connector.runtime.clock import stamp

SCHEMA: Final = "cec-connector/snapshot/1"


@contextmanager
def taken(folder: Path, accepted: Accepted) -> Iterator[Recorder]:
    """A recorder that takes a snapshot into a new folder. Raises UsageError and OutputError."""
    tape = TapeWriter(folder)
    head = {"schema": SCHEMA, "version": connector.__version__, "taken": stamp("seconds"), "job": accepted.job.name}
    with Recorder(tape, {**head, "files": _files(accepted)}) as recorder:
        yield recorder


def drawn_again(folder: Path, accepted: Accepted) -> Plan:
    """The plan of a snapshot, drawn anew from it. Raises FileError, and whatever ended the plan of the snapshot."""
    with closing(TapeReader(folder)) as tape:
        head = _head(tape)
        _same_files(head, accepted, folder)
        plan, digest = replayed(
            tape, job=accepted.job.name, mapping=accepted.mapping, limits=accepted.limits, show=accepted.show,
            pins=accepted.pins, exclude=accepted.exclude,
        )  # fmt: skip
        if digest != plan.digest:
            now, then = connector.__version__, head.get("version")
            tape.misfit(f"version {now} draws the plan {plan.digest} from it, and version {then} drew {digest}")
        return plan


def replayed(
    tape: TapeReader, *, pins: Collection[Pin], exclude: ExcludeList, show: Show, **rules: Any
) -> tuple[Plan, str]:
    """The plan that is drawn from the lines after the first, and the digest of the one then. `rules`: of a Brief."""
    player = Player(tape)
    tenant, description, given = player.tenant(), player.description(), player.given()
    only, show = given.pop("only"), replace(show, everybody=given.pop("everybody"))
    brief = Brief(
        description=description, memory=player.memory, fingerprint=player.fingerprint, on_secret=player.on_secret,
        show=show, **given, **rules,
    )  # fmt: skip
    agents = [agent.ref for agent in tenant.agents]
    planning = Planner(brief, tenant, pins, exclude).plan(selected(only, agents, "--only"))
    plan = run(planning, player.answer).plan
    digest, about = player.ends()
    return replace(plan, about=about, only=only), digest


def _head(tape: TapeReader) -> Mapping[str, Any]:
    head = tape.take("snapshot").said
    if not isinstance(head, dict) or head.get("schema") != SCHEMA or not isinstance(head.get("files"), dict):
        tape.wrong(f"its schema is not {SCHEMA}")
    return head


def _files(accepted: Accepted) -> dict[str, str]:
    """What the plan is made from besides, by the digest of its text."""
    settings, mapping = accepted.job.job, Path(accepted.mapping.where)
    places = {"job": accepted.job.path, "mapping": mapping, "pins": settings.pins, "exclude": settings.exclude}
    return {name: _digest(accepted.texts[place]) for name, place in places.items() if place is not None}


def _digest(text: str) -> str:
    return "sha256:" + sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _same_files(head: Mapping[str, Any], accepted: Accepted, folder: Path) -> None:
    """Raises FileError where the plan would be made from something else."""
    name = accepted.job.name
    if head.get("job") != name:
        raise FileError(f"this is a snapshot of the job {head.get('job')!r}, not of {name!r}", where=str(folder))
    then, now = head["files"], _files(accepted)
    other = [each for each in (*now, *(then.keys() - now)) if then.get(each) != now.get(each)]
    if other:
        what = " and ".join(f"the {each} file" for each in other)
        why = f"{what} differs from the snapshot's. Use the files as they were then, or take a new snapshot"
        raise FileError(why, where=str(folder))
