"""What earlier runs left behind about one directory, as far as making a plan needs it (`model.Memory`)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    Description,
    Held,
    LastGood,
    Others,
    Owned,
    Past,
    Unsettled,
    UserRef,
    equality,
)
from connector.model.digests import UNKEYED
from connector.model.patterns import apart
from connector.runtime.clock import stamp
from connector.state.database import Database, rows_of_users, sound
from connector.state.journal_rows import Step, read_steps, restore_agent, without
from connector.state.notes import JobNotes, note_fact, read_fact, read_pruned
from connector.state.ownership import Ownership, Row

_NOT_PUT: Final = ("conflict", "skipped")
"""Outcomes of writes that put nothing there."""
_LAG: Final = timedelta(days=1)
"""So long a server may take to hear of what another one was told."""


def _written_values(attributes: Mapping[str, Owned]) -> Mapping[str, Owned]:
    """What a job wrote; neither an object class, which stays when its values go, nor what it put back."""
    return {
        name: each
        for name, each in attributes.items()
        if name != OBJECT_CLASS and not each.restored
    }


def _merge_owned(
    known: Mapping[str, Owned], maybe: Mapping[str, Owned]
) -> dict[str, Owned]:
    """What is ours, and beside it what may be."""
    both = dict(known)
    for name, each in maybe.items():
        spelt = next((spelt for spelt in both if spelt.lower() == name.lower()), name)
        before = both.get(spelt)
        if before is None or before.restored:
            both[spelt] = each
            continue
        more = (value for value in each.values if value not in before.values)
        fingerprint = before.fingerprint or each.fingerprint
        both[spelt] = replace(
            before, values=(*before.values, *more), fingerprint=fingerprint
        )
    return both


def _if_written(run: str, each: AttributeChange, description: Description) -> Owned:
    """What is ours of an attribute where an open write of it happened."""
    rule = description.equality(each.name)
    put = () if each.secret else equality.minus(rule, each.new, each.old)
    values = tuple(equality.digest(rule, one) for one in put)
    return Owned(run, values, each.fingerprint or None, pattern=each.pattern)


_AGENTS: Final = (
    "select user_id, agent from journal join runs on runs.id = journal.run "
    "where directory = ? and job = ? and kind = 'apply' and agent is not null "
    "and (outcome is null or outcome = 'written' or lost is not null) and not exists ("
    "select 1 from journal back join runs undo on undo.id = back.run "
    "where undo.undoes = runs.id and back.user_id = journal.user_id and back.outcome = 'written') "
    "and user_id in ({users}) order by number"
)
_ELSEWHERE: Final = (
    "select run, user_id from journal join runs on runs.id = journal.run where directory = ? "
    "and (ended is null or ended > ?) and coalesce(noted, started) > ? "
    "and outcome = 'written' and journal.server not in ('', ?)"
)


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
        query = "select id, started from runs where directory = ?"
        runs = self._database.rows(query, self._directory)
        return sorted({started[:10] for run, started in runs if run in last})

    def confirmed(self, users: Collection[str]) -> Mapping[str, Mapping[str, Owned]]:
        return {
            row.user.id: row.attributes
            for row in self._ownership.of(sorted(users))
            if row.job == self._job
        }

    def agents(self, users: Collection[str]) -> Mapping[str, AgentRef]:
        # what was owned tells of runs that were pruned; the journal tells more lately
        rows = [
            (row.user.id, row.agent)
            for row in self._ownership.of(users)
            if row.job == self._job
        ]
        place = (self._directory, self._job)
        rows += rows_of_users(self._database, _AGENTS, sorted(users), *place)
        with sound(self._database, "the agents of earlier runs"):
            agents = {user: restore_agent(agent) for user, agent in rows}
        return {user: agent for user, agent in agents.items() if agent is not None}

    def past(self, users: Collection[str]) -> Mapping[str, Sequence[Past]]:
        which = "directory = ? and user_id in ({users}) order by number"
        found: dict[str, list[Past]] = {}
        writes = read_steps(self._database, which, self._directory, users=sorted(users))
        for write in writes:
            known = found.setdefault(write.user.id, [])
            for each in write.change.attributes:
                if write.outcome not in _NOT_PUT:
                    known.append((write.run, write.server, each))
                elif each.old or not each.seen:  # what it saw stays
                    stays = replace(each, new=each.old, fingerprint=UNKEYED)
                    known.append((write.run, write.server, stays))
        return found

    def owned(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        maybe, unshown = self._find_maybe_ours(), self._find_unshown()
        for row in self._ownership.of_job(self._job):
            # an object class that we added stays when its values go, and makes nobody stale
            attributes: Mapping[str, Owned] = {
                name: each
                for name, each in row.attributes.items()
                if name != OBJECT_CLASS
            }
            if row.user.id in maybe:
                attributes = _merge_owned(attributes, maybe.pop(row.user.id)[1])
            if attributes:
                unshown.pop(row.user.id, None)
                yield row.user, attributes
        yield from maybe.values()
        for id_, (user, _) in unshown.items():
            if id_ not in maybe:
                yield user, {}

    def _read_open(self, which: str, *values: str) -> Iterator[Step]:
        """Writes whose outcome nobody knows."""
        which = f"outcome is null and directory = ? and {which} order by run, user_id"
        return read_steps(self._database, which, self._directory, *values)

    def _find_maybe_ours(self) -> dict[str, tuple[UserRef, dict[str, Owned]]]:
        """By user id what applies of this job set out to write, of which nobody knows whether they did."""
        found: dict[str, tuple[UserRef, dict[str, Owned]]] = {}
        if self._description is None:
            return found
        overtaken = self._find_later_writes(by_itself=False)
        for write in self._read_open("job = ? and kind = 'apply'", self._job):
            for each in write.change.attributes:
                stays = each.name == OBJECT_CLASS or not each.sets
                if stays or overtaken(write, each.name, each.pattern):
                    continue
                _, known = found.setdefault(write.user.id, (write.user, {}))
                owned = _if_written(write.run, each, self._description)
                known.update(_merge_owned(known, {each.name: owned}))
        return found

    def _find_later_writes(
        self, *, by_itself: bool
    ) -> Callable[[Step, str, str | None], bool]:
        """Whether, since an open write, another job has written that attribute of that user, by name and pattern.

        `by_itself`: or a later run of that job. The journal tells, for nobody owns what was cleared.
        """
        which = (
            "(outcome = 'written' or lost is not null) and directory = ? "
            "and user_id in (select user_id from journal where outcome is null)"
        )
        later: dict[tuple[str, str], list[tuple[Step, str | None]]] = {}
        for write in read_steps(self._database, which, self._directory):
            for name, pattern in write.patterns.items():
                slot = (write.user.id, name.lower())
                later.setdefault(slot, []).append((write, pattern))

        def overtaken(open_: Step, name: str, pattern: str | None) -> bool:
            return any(
                write.number > open_.number
                and not apart(its, pattern)
                and (by_itself or write.job != open_.job)
                for write, its in later.get((open_.user.id, name.lower()), ())
            )

        return overtaken

    def unshown(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        return {id_: values for id_, (_, values) in self._find_unshown().items()}

    def replaced(self) -> Mapping[str, Mapping[str, tuple[Held, ...]]]:
        found = self._find_unshown(before=True)
        return {id_: values for id_, (_, values) in found.items()}

    def respelt(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        for row in self._ownership.respelt():
            sent = {name: each for name, each in row.attributes.items() if each.sent}
            yield row.user, sent

    def _find_unshown(
        self, *, before: bool = False
    ) -> dict[str, tuple[UserRef, Mapping[str, tuple[Held, ...]]]]:
        """By user id the user, and what `unshown` says of it, or `replaced`, which tells of the time `before`.

        What another job has written since is no more ours.
        """
        which = (
            "user_id in (select user_id from journal where lost is not null) "
            "and outcome in ('written', 'failed', 'conflict') and directory = ? order by number"
        )
        found: dict[str, tuple[UserRef, dict[str, tuple[Held, ...]]]] = {}
        patterns: dict[tuple[str, str], str | None] = {}
        for write in read_steps(self._database, which, self._directory):
            id_ = write.user.id
            if write.job != self._job:
                if write.outcome == "written" or write.lost:
                    _, values = found.get(id_, (None, {}))
                    theirs = {
                        name.lower(): each for name, each in write.patterns.items()
                    }
                    for name in [each for each in values if each.lower() in theirs]:
                        if not apart(theirs[name.lower()], patterns[id_, name]):
                            del values[name]
                continue
            _, values = found.setdefault(id_, (write.user, {}))
            for each in write.change.attributes:
                patterns[id_, each.name] = each.pattern
                if write.outcome == "conflict":
                    # nothing was written; what was believed of them does not hold
                    if each.name in values:
                        values[each.name] = ()
                    continue
                values.pop(each.name, None)
                if each.name in write.lost:
                    there = each.old if before else each.new
                    values[each.name] = () if each.secret else there
        return {user: each for user, each in found.items() if each[1]}

    def late(self) -> Iterator[tuple[UserRef, Mapping[str, Owned]]]:
        here = self._description
        if here is None or not here.server:
            return
        since = stamp(before=_LAG)
        writes = set(
            self._database.rows(_ELSEWHERE, self._directory, since, since, here.server)
        )
        for row in self._ownership.of(sorted({id_ for _, id_ in writes})):
            elsewhere = {
                name: each
                for name, each in row.attributes.items()
                if (each.run, row.user.id) in writes
            }
            if elsewhere:
                yield row.user, elsewhere
        for write in self._read_open("coalesce(noted, started) > ?", since):
            if without(write.server, here.server):
                yield (
                    write.user,
                    {
                        each.name: _if_written(write.run, each, here)
                        for each in write.change.attributes
                    },
                )

    def unsettled(self) -> Iterator[Unsettled]:
        overtaken = self._find_later_writes(by_itself=True)
        here = self._description.server if self._description else ""
        for write in self._read_open("job = ?", self._job):
            names = tuple(
                name
                for name, pattern in write.patterns.items()
                if not overtaken(write, name, pattern)
            )
            if names:
                server = without(write.server, here) or write.server
                yield Unsettled(write.run, server, write.user, names)

    def others(self) -> Iterator[Others]:
        unclaimed = self._read_unclaimed()
        # what writes of other jobs set out to do, of which nobody knows whether they happened
        overtaken = self._find_later_writes(by_itself=False)
        for write in self._read_open("job <> ?", self._job):
            names = {
                name: pattern
                for name, pattern in write.patterns.items()
                if name != OBJECT_CLASS and not overtaken(write, name, pattern)
            }
            if names:
                claims = (write.job, write.user.id) not in unclaimed
                yield Others(write.job, write.user, names, claims)
        for row in self._ownership.of_others(self._job):
            names = {
                name: each.pattern
                for name, each in _written_values(row.attributes).items()
            }
            if names:
                claims = (row.job, row.user.id) not in unclaimed
                yield Others(row.job, row.user, names, claims)

    def take_over(
        self, users: Collection[str], attributes: Mapping[str, str | None]
    ) -> None:
        """Make ours what other jobs wrote to these attributes of users whom their last complete apply did not claim.

        `attributes`: by name which values are ours.
        """
        wanted = {name.lower(): pattern for name, pattern in attributes.items()}
        passing = {(job, id_) for job, id_ in self._read_unclaimed() if id_ in users}
        if not passing:
            return
        mine = {
            row.user.id: row
            for row in self._ownership.of_job(self._job)
            if row.user.id in users
        }
        changed: dict[tuple[str, str], Row] = {}
        for row in list(self._ownership.of_others(self._job)):
            if (row.job, row.user.id) not in passing:
                continue
            taken = {
                name: each
                for name, each in _written_values(row.attributes).items()
                if name.lower() in wanted
                and not apart(each.pattern, wanted[name.lower()])
            }
            if not taken:
                continue
            own = mine.get(row.user.id) or Row(self._job, row.user, {}, row.agent)
            own = replace(own, user=row.user, attributes={**taken, **own.attributes})
            left = row.attributes.keys() - taken.keys()
            rest = {name: each for name, each in row.attributes.items() if name in left}
            mine[row.user.id] = changed[self._job, row.user.id] = own
            changed[row.job, row.user.id] = replace(row, attributes=rest)
        with self._database.writing() as transaction:
            self._ownership.keep(transaction, changed.values())

    def note_gone(self, gone: Collection[tuple[str, str]], server: str) -> None:
        """Forget what this job wrote to attributes, by user id and name, that was there at this server and is gone.

        What was written at another server stays ours, for this one may not have heard of it
        yet. So does what an open write is about, which has to be compared to be settled.
        """
        slots = {(id_, name.lower()) for id_, name in gone}
        for each in self.unsettled() if gone else ():
            slots.difference_update(
                (each.user.id, name.lower()) for name in each.attributes
            )
        rows = []
        for row in self._ownership.of(sorted({id_ for id_, _ in slots})):
            id_ = row.user.id
            if row.job != self._job:  # another job looks for itself
                continue
            heard = {
                (run, each.name.lower())
                for run, at, each in self.past([id_]).get(id_, ())
                if at in ("", server) and each.sets
            }
            left = {
                name: each
                for name, each in row.attributes.items()
                if (id_, name.lower()) not in slots
                or (each.run, name.lower()) not in heard
            }
            if len(left) < len(row.attributes):
                rows.append(replace(row, attributes=left))
        if rows:
            with self._database.writing() as transaction:
                self._ownership.keep(transaction, rows)

    def _read_unclaimed(self) -> frozenset[tuple[str, str]]:
        """Other jobs, each with the users that it wrote to and that its last complete apply did not claim."""
        query = "select job, user_id from notes where kind = 'stale' and directory = ? and job <> ?"
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
        pruned = read_pruned(self._database, "directory = ?", self._directory)
        known = self._database.rows(query, self._directory) or any(
            fact.whole for fact in pruned
        )
        return self._database.kept and not known

    def users(self) -> int:
        """So many users the directory has been seen to have at least; 0 where that was never found out."""
        found = read_fact(self._database, "users", directory=self._directory)
        return int(found) if found else 0

    def note_users(self, users: int) -> None:
        """Keep how many users the directory has at least."""
        with self._database.writing() as transaction:
            note_fact(transaction, "users", str(users), directory=self._directory)
