"""What earlier runs left behind about one directory, as far as making a plan needs it (`model.Memory`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from msgspec import json
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    Cleared,
    Description,
    Held,
    LastGood,
    Others,
    Owned,
    Past,
    Unsettled,
    UserRef,
)
from connector.reconcile import equality
from connector.reconcile.diff.patterns import apart
from connector.runtime.clock import stamp
from connector.state.database import Database, rows_of_users, sound
from connector.state.job_notes import JobNotes
from connector.state.journal_rows import agent_of, lost_of, names_of, past_of, without
from connector.state.ownership import Ownership, Row

_NOT_PUT: Final = ("conflict", "skipped")
"""Outcomes of writes that put nothing there."""
_LAG: Final = timedelta(days=1)
"""So long a server may take to hear of what another one was told."""


def _ours(attributes: Mapping[str, Owned]) -> Mapping[str, Owned]:
    """What a job wrote; neither an object class, which stays when its values go, nor what it put back."""
    return {
        name: each
        for name, each in attributes.items()
        if name != OBJECT_CLASS and not each.restored
    }


def _with(known: Mapping[str, Owned], maybe: Mapping[str, Owned]) -> dict[str, Owned]:
    """What is ours, and beside it what may be."""
    both = dict(known)
    for name, each in maybe.items():
        spelt = next((spelt for spelt in both if spelt.lower() == name.lower()), name)
        before = both.get(spelt)
        if before is None or before.restored:
            both[spelt] = each
        else:
            values = (
                *before.values,
                *(value for value in each.values if value not in before.values),
            )
            both[spelt] = replace(
                before,
                values=values,
                fingerprint=before.fingerprint or each.fingerprint,
            )
    return both


def _if_written(run: str, each: AttributeChange, description: Description) -> Owned:
    """What is ours of an attribute where an open write of it happened."""
    rule = description.equality(each.name)
    put = () if each.secret else equality.minus(rule, each.new, each.old)
    values = tuple(equality.digest(rule, one) for one in put)
    return Owned(run, values, each.fingerprint or None, pattern=each.pattern)


class DirectoryMemory(JobNotes):
    """What is remembered of one directory, and of one job's runs on it. All of its methods raise StateError."""

    def __init__(
        self,
        database: Database,
        directory: str,
        job: str,
        description: Description | None = None,
    ) -> None:
        super().__init__(database, directory, job)
        self._description = description
        self._ownership = Ownership(database, directory)

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        rows = (row.attributes.get(attribute) for row in self._ownership.of([user_id]))
        return next((owned.fingerprint for owned in rows if owned), None)

    def days_of_writes(self, users: Collection[str], attribute: str) -> Sequence[str]:
        rows = self._ownership.of(sorted(users))
        last = {
            row.attributes[attribute].run for row in rows if attribute in row.attributes
        }
        runs = self._database.rows(
            "select id, started from runs where directory = ?", self._directory
        )
        return sorted({started[:10] for run, started in runs if run in last})

    def confirmed(self, users: Collection[str]) -> Mapping[str, Mapping[str, Owned]]:
        rows = [
            row for row in self._ownership.of(sorted(users)) if row.job == self._job
        ]
        return {row.user.id: row.attributes for row in rows}

    def agents(self, users: Collection[str]) -> Mapping[str, AgentRef]:
        query = (
            "select user_id, agent, run from journal join runs on runs.id = journal.run "
            "where directory = ? and job = ? and kind = 'apply' and agent is not null "
            "and (outcome is null or outcome = 'written' or lost is not null) and not exists ("
            "select 1 from journal back join runs undo on undo.id = back.run "
            "where undo.undoes = runs.id and back.user_id = journal.user_id and back.outcome = 'written') "
            "and user_id in ({users}) order by number"
        )
        rows = rows_of_users(
            self._database, query, sorted(users), self._directory, self._job
        )
        found = {
            user: agent_of(agent, run, self._database.where)
            for user, agent, run in rows
        }
        for row in self._ownership.of(
            sorted(set(users) - found.keys())
        ):  # the runs that wrote it were pruned
            if row.job == self._job and row.agent:
                run = next(each.run for each in row.attributes.values())
                found[row.user.id] = agent_of(row.agent, run, self._database.where)
        return found

    def past(self, users: Collection[str]) -> Mapping[str, Sequence[Past]]:
        query = (
            "select user_id, run, journal.server, attributes, outcome from journal join runs on runs.id = journal.run "
            "where directory = ? and user_id = ? order by number"
        )
        found: dict[str, list[Past]] = {}
        for id_ in users:
            for user, run, server, attributes, outcome in self._database.rows(
                query, self._directory, id_
            ):
                changes = past_of(
                    attributes, run, self._database.where, put=outcome not in _NOT_PUT
                )
                found.setdefault(user, []).extend(
                    (run, server, each) for each in changes
                )
        return found

    def owned(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        maybe, unshown = self._maybe_ours(), self._unshown()
        for row in self._ownership.of_job(self._job):
            attributes: Mapping[str, Owned] = row.attributes
            if OBJECT_CLASS in attributes:
                # an object class that we added stays when its values go, and makes nobody stale
                attributes = {
                    name: each
                    for name, each in attributes.items()
                    if name != OBJECT_CLASS
                }
            if row.user.id in maybe:
                attributes = _with(attributes, maybe.pop(row.user.id)[1])
            if attributes:
                unshown.pop(row.user.id, None)
                yield row.user, attributes
        yield from maybe.values()
        yield from (
            (user, {}) for id_, (user, _) in unshown.items() if id_ not in maybe
        )

    def _maybe_ours(self) -> dict[str, tuple[UserRef, dict[str, Owned]]]:
        """By user id what applies of this job set out to write, of which nobody knows whether they did."""
        found: dict[str, tuple[UserRef, dict[str, Owned]]] = {}
        if self._description is None:
            return found
        overtaken = self._overtaken(by_itself=False)
        for run, _, _, user, attributes in self._open(
            "job = ? and kind = 'apply'", self._job
        ):
            for each in past_of(attributes, run, self._database.where):
                stays = each.name == OBJECT_CLASS or not each.sets
                if stays or overtaken(self._job, run, user.id, each.name, each.pattern):
                    continue
                _, known = found.setdefault(user.id, (user, {}))
                known.update(
                    _with(known, {each.name: _if_written(run, each, self._description)})
                )
        return found

    def _overtaken(
        self, *, by_itself: bool
    ) -> Callable[[str, str, str, str, str | None], bool]:
        """Whether, since an open write of a job in a run, another job has written that attribute of that user.

        `by_itself`: or a later run of that job. The journal tells, for nobody owns what was cleared.
        """
        query = (
            "select user_id, job, number, run, attributes from journal join runs on runs.id = journal.run "
            "where (outcome = 'written' or lost is not null) and directory = ? "
            "and user_id in (select user_id from journal where outcome is null)"
        )
        later: dict[tuple[str, str], list[tuple[str, int, str | None]]] = {}
        for user_id, its_job, number, its_run, attributes in self._database.rows(
            query, self._directory
        ):
            for name, pattern in names_of(
                attributes, its_run, self._database.where
            ).items():
                later.setdefault((user_id, name.lower()), []).append(
                    (its_job, number, pattern)
                )
        query = "select id, number from runs where directory = ?"
        numbers = dict(self._database.rows(query, self._directory)) if later else {}

        def overtaken(
            job: str, run: str, user: str, name: str, pattern: str | None
        ) -> bool:
            return any(
                number > numbers[run]
                and not apart(its, pattern)
                and (by_itself or its_job != job)
                for its_job, number, its in later.get((user, name.lower()), ())
            )

        return overtaken

    def _open(
        self, which: str, value: str
    ) -> Iterator[tuple[str, str, str, UserRef, str]]:
        """Writes whose outcome nobody knows: the run, its job, the server that they were meant for, whom, what."""
        query = (
            "select run, job, journal.server, user_id, user_name, attributes from journal "  # noqa: S608  # `which` is a literal of this class; values are bound
            f"join runs on runs.id = journal.run where outcome is null and directory = ? and {which} "
            "order by run, user_id"
        )
        for run, job, server, id_, name, attributes in self._database.rows(
            query, self._directory, value
        ):
            yield run, job, server, UserRef(id_, name), attributes

    def unshown(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        return {id_: values for id_, (_, values) in self._unshown().items()}

    def replaced(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        return {id_: values for id_, (_, values) in self._unshown(before=True).items()}

    def respelt(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        for row in self._ownership.respelt():
            yield (
                row.user,
                {name: each for name, each in row.attributes.items() if each.sent},
            )

    def _unshown(
        self, *, before: bool = False
    ) -> dict[str, tuple[UserRef, Mapping[str, tuple[Held, ...]]]]:
        """By user id the user, and what `unshown` says of it, or `replaced`, which tells of the time `before`.

        What another job has written since is no more ours.
        """
        query = (
            "select user_id, user_name, job, run, attributes, lost, outcome from journal "
            "join runs on runs.id = journal.run where user_id in (select user_id from journal where lost is not null) "
            "and outcome in ('written', 'failed', 'conflict') and directory = ? order by number"
        )
        found: dict[str, tuple[UserRef, dict[str, tuple[Held, ...]]]] = {}
        owns: dict[tuple[str, str], str | None] = {}
        for user, dn, job, run, attributes, lost, outcome in self._database.rows(
            query, self._directory
        ):
            names = names_of(attributes, run, self._database.where)
            if job != self._job:
                if outcome == "written" or lost:
                    _, values = found.get(user, (None, {}))
                    theirs = {name.lower(): pattern for name, pattern in names.items()}
                    for name in [each for each in values if each.lower() in theirs]:
                        if not apart(theirs[name.lower()], owns[user, name]):
                            del values[name]
                continue
            owns |= {(user, name): pattern for name, pattern in names.items()}
            _, values = found.setdefault(user, (UserRef(user, dn), {}))
            if (
                outcome == "conflict"
            ):  # nothing was written; what was believed of them does not hold
                values.update({name: () for name in names if name in values})
                continue
            for name in names:
                values.pop(name, None)
            past = [
                each
                for each in past_of(attributes, run, self._database.where)
                if not each.secret
            ]
            put = {each.name: each.old if before else each.new for each in past}
            values.update(
                {
                    name: put.get(name, ())
                    for name in lost_of(lost, run, self._database.where)
                }
            )
        return {user: each for user, each in found.items() if each[1]}

    def late(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        here = self._description
        if here is None or not here.server:
            return
        since = stamp(before=_LAG)
        query = (
            "select run, user_id from journal join runs on runs.id = journal.run where directory = ? "
            "and (ended is null or ended > ?) and coalesce(noted, started) > ? "
            "and outcome = 'written' and journal.server not in ('', ?)"
        )
        writes = set(
            self._database.rows(query, self._directory, since, since, here.server)
        )
        for row in self._ownership.of(sorted({id_ for _, id_ in writes})):
            elsewhere = {
                name: each
                for name, each in row.attributes.items()
                if (each.run, row.user.id) in writes
            }
            if elsewhere:
                yield row.user, elsewhere
        for run, _, servers, user, attributes in self._open(
            "coalesce(noted, started) > ?", since
        ):
            puts = (
                past_of(attributes, run, self._database.where)
                if without(servers, here.server)
                else ()
            )
            if puts:
                yield user, {each.name: _if_written(run, each, here) for each in puts}

    def unsettled(self) -> Iterator[Unsettled]:
        overtaken = self._overtaken(by_itself=True)
        here = self._description.server if self._description else ""
        for run, _, server, user, attributes in self._open("job = ?", self._job):
            noted = names_of(attributes, run, self._database.where).items()
            names = tuple(
                each
                for each, owns in noted
                if not overtaken(self._job, run, user.id, each, owns)
            )
            if names:
                yield Unsettled(run, without(server, here) or server, user, names)

    def others(self) -> Iterator[Others]:
        unclaimed = self._unclaimed()
        yield from self._under_way(unclaimed)
        for row in self._ownership.of_others(self._job):
            names = {name: each.pattern for name, each in _ours(row.attributes).items()}
            if names:
                yield Others(
                    row.job, row.user, names, (row.job, row.user.id) not in unclaimed
                )

    def _under_way(self, unclaimed: Collection[tuple[str, str]]) -> Iterator[Others]:
        """What writes of other jobs set out to do, of which nobody knows whether they happened."""
        overtaken = self._overtaken(by_itself=False)
        for run, job, _, user, attributes in self._open("job <> ?", self._job):
            noted = names_of(attributes, run, self._database.where)
            noted.pop(OBJECT_CLASS, None)
            names = {
                each: owns
                for each, owns in noted.items()
                if not overtaken(job, run, user.id, each, owns)
            }
            if names:
                yield Others(job, user, names, (job, user.id) not in unclaimed)

    def cleared(self) -> Iterator[Cleared]:
        for id_, name, attribute, time, held in self._noted(
            "cleared", "user_id, user_name, attribute, time, held"
        ):
            with sound(self._database, "what was cleared"):
                yield Cleared(
                    UserRef(id_, name), attribute, time, json.decode(held, type=Owned)
                )

    def take_over(
        self, users: Collection[str], attributes: Mapping[str, str | None]
    ) -> None:
        """Make ours what other jobs wrote to these attributes of users whom their last complete apply did not claim.

        `attributes`: by name which values are ours.
        """
        wanted = {name.lower(): pattern for name, pattern in attributes.items()}
        passing = {(job, id_) for job, id_ in self._unclaimed() if id_ in users}
        if not passing:
            return
        mine = {
            row.user.id: row
            for row in self._ownership.of_job(self._job)
            if row.user.id in users
        }
        rows = []
        for row in [
            each
            for each in self._ownership.of_others(self._job)
            if (each.job, each.user.id) in passing
        ]:
            taken = {
                name: each
                for name, each in _ours(row.attributes).items()
                if name.lower() in wanted
                and not apart(each.pattern, wanted[name.lower()])
            }
            if taken:
                own = mine[row.user.id].attributes if row.user.id in mine else {}
                agent = mine[row.user.id].agent if row.user.id in mine else row.agent
                mine[row.user.id] = Row(self._job, row.user, {**taken, **own}, agent)
                left = {
                    name: each
                    for name, each in row.attributes.items()
                    if name not in taken
                }
                rows += [replace(row, attributes=left), mine[row.user.id]]
        last = {(row.job, row.user.id): row for row in rows}
        with self._database.writing() as transaction:
            self._ownership.keep(transaction, last.values())

    def note_gone(self, gone: Collection[tuple[str, str]], server: str) -> None:
        """Forget what this job wrote to attributes, by user id and name, that was there at this server and is gone.

        What was written at another server stays ours, for this one may not have heard of it
        yet. So does what an open write is about, which has to be compared to be settled.
        """
        open_ = (
            {
                (each.user.id, name.lower())
                for each in self.unsettled()
                for name in each.attributes
            }
            if gone
            else ()
        )
        slots = {(id_, name.lower()) for id_, name in gone}.difference(open_)
        rows = []
        found = self._ownership.of(sorted({id_ for id_, _ in slots}))
        for row in (
            row for row in found if row.job == self._job
        ):  # another job looks for itself
            id_ = row.user.id
            runs = {
                name: each.run
                for name, each in row.attributes.items()
                if (id_, name.lower()) in slots
            }
            past = self.past([id_]).get(id_, ()) if runs else ()
            heard = ((run, each) for run, at, each in past if at in ("", server))
            had = {(run, each.name.lower()) for run, each in heard if each.sets}
            left = {
                name: each
                for name, each in row.attributes.items()
                if (runs.get(name), name.lower()) not in had
            }
            if len(left) < len(row.attributes):
                rows.append(replace(row, attributes=left))
        if rows:
            with self._database.writing() as transaction:
                self._ownership.keep(transaction, rows)

    def _unclaimed(self) -> frozenset[tuple[str, str]]:
        """Other jobs, each with the users that it wrote to and that its last complete apply did not claim."""
        query = "select job, user_id from stale where directory = ? and job <> ?"
        return frozenset(
            (job, id_)
            for job, id_ in self._database.rows(query, self._directory, self._job)
        )

    def former(self) -> Iterator[tuple[str, str]]:
        for row in self._ownership.with_former(self._job):
            yield from (
                (name, pattern)
                for name, each in row.attributes.items()
                for pattern in each.former
            )

    def rewritten(self) -> Mapping[tuple[str, str], Owned]:
        return {
            (row.user.id, name): each
            for row in self._ownership.rewritten(self._job)
            for name, each in row.attributes.items()
            if each.times > 1
        }

    def last_good(self) -> LastGood | None:
        query = (
            "select agents, matched, assigned from runs where job = ? and directory = ? and kind = 'apply' "
            "and result in ('done', 'part') order by number desc limit 1"
        )
        return next(
            (
                LastGood(*row)
                for row in self._database.rows(query, self._job, self._directory)
            ),
            None,
        )

    def new(self) -> bool:
        query = "select 1 from runs where directory = ? and job = ? and kind = 'apply' limit 1"
        return self._database.kept and not self._database.rows(
            query, self._directory, self._job
        )

    def blank(self) -> bool:
        query = (
            "select 1 from runs where directory = ? and kind = 'apply' and coalesce(pilot, 0) = 0 "
            "and exists (select 1 from journal where journal.run = runs.id) limit 1"
        )
        pruned = "select 1 from pruned where directory = ? and whole = 1"
        found = self._database.rows(query, self._directory) or self._database.rows(
            pruned, self._directory
        )
        return self._database.kept and not found

    def users(self) -> int:
        """So many users the directory has been seen to have at least; 0 where that was never found out."""
        found = self._database.rows(
            "select users from directories where identity = ?", self._directory
        )
        return int(found[0][0]) if found else 0

    def note_users(self, users: int) -> None:
        """Keep how many users the directory has at least."""
        with self._database.writing() as transaction:
            transaction.put("directories", identity=self._directory, users=users)
