"""What earlier runs came to, and what they wrote: to list them, to go on with one, to take one back."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct, json

from connector.errors import UsageError
from connector.model import Approval, Part
from connector.state import approvals
from connector.state.database import Database, sound
from connector.state.journal_rows import STEPS, names_of, step
from connector.state.sealing import Sealer

_COUNTS: Final = """
    select coalesce(outcome, 'unknown'), count(distinct user_id) from journal as step where run = ? and (
        case when step.part = '' then not exists (
            select 1 from journal as ahead where ahead.run = step.run and ahead.user_id = step.user_id
            and ahead.part <> '' and ahead.outcome is null
        ) else outcome is null or not exists (
            select 1 from journal as rest where rest.run = step.run and rest.user_id = step.user_id and rest.part = ''
        ) end
    ) group by 1 order by 1
"""
"""Each user once: by the whole of its change, or by what went first, where that is unknown
or nothing came after it."""


_WROTE: Final = (
    "select id from runs where job = ? and kind = 'apply' and exists (select 1 from journal where run = runs.id "
    "and (outcome is null or outcome = 'written' or lost is not null)) order by number desc"
)
_TOOK_BACK: Final = (
    "select id from runs where undoes = ? "
    "and exists (select 1 from journal where run = runs.id and outcome = 'written') order by number desc"
)
UNDOS: Final = (
    "select id, undoes, number from runs where job = ? and undoes is not null and exists (select 1 from journal "
    "where run = runs.id and (outcome is null or outcome = 'written' or lost is not null))"
)
"""The undos of a job that wrote, or may have."""
_APPLIED: Final = (
    "select coalesce(max(number), 0) from runs "
    "where job = ? and kind = 'apply' and coalesce(pilot, 0) = 0 and result in ('done', 'part')"
)
_IDS: Final = (
    "select id from (select id, number, job from runs union all select id, number, job from attempts where job = ?) "
    "as named where job = ? order by number desc"
)
LAST: Final = "last"
NOTHING_WROTE: Final = "no apply of this job has written anything yet"
TO_LIST: Final = "To list its runs, run: cec-connector runs JOB"
FEW: Final = 5
"""So many runs are named where several are meant."""
_summary: Final = json.Decoder(dict[str, int]).decode


class RunRecord(Struct, frozen=True):
    """A run that was begun: when, what it came to (done, part, stopped; None: it was interrupted), and its counts.

    Or an attempt that came to none: `result` is refused or failed, `why` says why, and
    `plan` is the saved plan that it was to go by. Or a release of the job, with `why` it
    was on hold. `approvals`: who had approved it.
    """

    id: str
    job: str
    kind: str
    started: str
    ended: str | None
    digest: str
    result: str | None
    summary: dict[str, int]
    outcomes: dict[str, int]
    undoes: str | None = None
    server: str = ""
    why: str = ""
    plan: str | None = None
    approvals: tuple[Approval, ...] = ()


class History:
    """The runs of a database. All of its methods raise StateError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def runs(self, job: str) -> list[RunRecord]:
        """The runs of a job, the attempts that came to none, and its approved releases, newest first."""
        query = (
            "select id, kind, started, ended, digest, result, undoes, summary, server, '' as why, null as plan, number "
            "from runs where job = ? union all "
            "select id, kind, started, ended, digest, result, undoes, '{}', '', why, plan, number "
            "from attempts where job = ? union all "
            "select id, 'release', time, time, '', 'done', null, '{}', '', why, null, number "
            "from releases where job = ? order by number desc"
        )
        found = approvals.of_job(self._database, job)
        with sound(self._database, "a run's summary"):
            return [
                RunRecord(
                    id_, job, *(kind, started, ended, digest, result), _summary(counts), self._counts(id_),
                    undoes, server, why, plan, tuple(found[id_]),
                )
                for id_, kind, started, ended, digest, result, undoes, counts, server, why, plan, _ in (
                    self._database.rows(query, job, job, job)
                )
            ]  # fmt: skip

    def spent(self, job: str, plan: str) -> RunRecord | None:
        """The run that has applied a saved plan to its end, so that no other may; None: there is none."""
        query = (
            "select kind, started, ended, digest, result, summary from runs "
            "where job = ? and id = ? and result in ('done', 'part')"
        )
        with sound(self._database, "a run's summary"):
            for kind, started, ended, digest, result, counts in self._database.rows(
                query, job, plan
            ):
                return RunRecord(
                    plan,
                    job,
                    kind,
                    started,
                    ended,
                    digest,
                    result,
                    _summary(counts),
                    self._counts(plan),
                )
        return None

    def last(self, job: str) -> str | None:
        """The id of the newest apply or undo of a job, whatever it came to; None: there is none."""
        found = self._database.rows(
            "select id from runs where job = ? order by number desc limit 1", job
        )
        return next((id_ for (id_,) in found), None)

    def named(self, job: str, written: str) -> str:
        """The id of a run or attempt: by the id, by a beginning that no other id of this job has, or by `last`.

        The last one is the newest apply that wrote, or may have. Raises UsageError where
        that is none, or several.
        """
        if written == LAST:
            found = [id_ for (id_,) in self._database.rows(_WROTE, job)][:1]
            unknown = NOTHING_WROTE
        else:
            ids = [id_ for (id_,) in self._database.rows(_IDS, job, job)]
            found = (
                [written]
                if written in ids
                else [id_ for id_ in ids if written and id_.startswith(written)]
            )
            unknown = f"this job has no run {written!r}"
            until = pruned_until(self._database, job)
            unknown += f"; those until {until} were pruned" if until else ""
        if len(found) == 1:
            return str(found[0])
        several = f"the ids of {len(found)} runs begin with {written!r}: {', '.join(found[:FEW])}"
        more = ", …" if len(found) > FEW else ""
        why = (
            f"{several}{more}. Write more of the id"
            if found
            else f"{unknown}. {TO_LIST}"
        )
        raise UsageError(why, where="RUN")

    def taken_back(self, run: str) -> str:
        """The newest undo of this run that wrote; empty where there is none."""
        return next((id_ for (id_,) in self._database.rows(_TOOK_BACK, run)), "")

    def undone(self, job: str) -> int | None:
        """The number of the newest undo of a job that wrote; None: there is none, or all was applied since."""
        found = self._database.rows(
            f"{UNDOS} and number > ({_APPLIED}) order by number desc limit 1", job, job
        )
        return next((number for _, _, number in found), None)

    def _counts(self, run: str) -> dict[str, int]:
        return dict(self._database.rows(_COUNTS, run))

    def written(self, run: str) -> dict[str, str]:
        """The users of whom every step of this run is confirmed as written, and what was said of that, if anything."""
        query = (
            "select user_id, coalesce(max(why), '') from journal where run = ? group by user_id "
            "having count(*) = sum(case when outcome = 'written' then 1 else 0 end) "
            "and sum(case when part = '' then 1 else 0 end) > 0"
        )
        return dict(self._database.rows(query, run))

    def released(self, run: str, sealer: Sealer) -> dict[str, frozenset[str]]:
        """By user id the attributes of what went first in this run, where the rest is not written.

        Also what an undo of it emptied alone. What a later undo of it has put back is not
        among them.
        """
        undos = dict(
            self._database.rows("select id, number from runs where undoes = ?", run)
        )
        firsts = (
            " as ahead where outcome = 'written' and (run in (select id from runs where undoes = ?) "
            "or run = ? and part <> '' and not exists (select 1 from journal as rest where rest.run = ahead.run and "
            "rest.user_id = ahead.user_id and rest.outcome = 'written' and rest.part = ''))"
        )
        # by user and attribute, the last undo
        alone, back = dict[tuple[str, str], int](), dict[tuple[str, str], int]()
        for each in (
            step(row, sealer, self._database.where)
            for row in self._database.rows(STEPS + firsts, run, run)
        ):
            number, change = undos.get(each.run, 0), each.change
            for one in change.attributes:
                fills = one.sets or change.part is Part.REST
                last = back if fills and number else alone
                key = change.user.id, one.name
                last[key] = max(last.get(key, 0), number)
        return _by_user(
            key for key, number in alone.items() if number > back.get(key, -1)
        )

    def written_since(self, run: str) -> dict[str, frozenset[str]]:
        """By id of this run's users the attributes that later runs have written, and that no undo took back since."""
        later = (
            "select id, undoes from runs where directory = (select directory from runs where id = ?) "
            "and number > (select number from runs where id = ?) order by number"
        )
        weights: dict[str, int] = {}
        for id_, undoes in self._database.rows(later, run, run):
            # an undo takes away what it undoes, if that was later too
            weights[id_] = -weights.get(undoes, -1)
        written = (
            "select user_id, run, attributes from journal where coalesce(outcome, 'written') = 'written' "
            "and user_id in (select user_id from journal where run = ?)"
        )
        sums: Counter[tuple[str, str]] = Counter()
        for user, id_, name in set(self._names(written, run)):
            sums[user, name] += weights.get(id_, 0)
        return _by_user(each for each, weight in sums.items() if weight)

    def overtaken(self, run: str) -> dict[str, frozenset[str]]:
        """By user id the attributes, in small letters, that runs after this one have written, taken back or not."""
        query = (
            "select user_id, journal.run, attributes from journal join runs on runs.id = journal.run "
            "where (outcome = 'written' or lost is not null) and directory = (select directory from runs where id = ?) "
            "and number > (select number from runs where id = ?)"
        )
        return _by_user(
            (user, name.lower()) for user, _, name in self._names(query, run, run)
        )

    def _names(self, query: str, *values: str) -> Iterator[tuple[str, str, str]]:
        """A user's id, a run that wrote to it, or may have, and an attribute that it wrote."""
        for user, run, attributes in self._database.rows(query, *values):
            yield from (
                (user, run, name)
                for name in names_of(attributes, run, self._database.where)
            )


def pruned_until(database: Database, job: str) -> str | None:
    """When the newest run of a job that was pruned ended."""
    ((until,),) = database.rows(
        "select max(until) from pruned where job = ? and until <> ''", job
    )
    return str(until) if until else None


def _by_user(found: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Names of attributes by the ids of their users."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for user, name in found:
        names[user].add(name)
    return {user: frozenset(some) for user, some in names.items()}
