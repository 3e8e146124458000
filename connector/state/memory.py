"""What earlier runs left behind about one directory, as far as making a plan needs it (`model.Memory`)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final, TypeVar

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
)
from connector.model.digests import UNKEYED
from connector.model.patterns import are_apart
from connector.runtime.clock import format_now
from connector.state.database import (
    Database,
    Slot,
    find_value,
    reading_kept,
    rows_of_users,
)
from connector.state.journal_rows import (
    JournalStep,
    read_steps,
    remove_server,
    restore_agent,
)
from connector.state.notes import JobNotes, note_fact, read_fact, read_pruned
from connector.state.ownership import (
    Ownership,
    OwnershipRow,
    find_written,
    make_owned_if_written,
    merge_owned,
)

_NOT_PUT: Final = ("conflict", "skipped")
"""Outcomes of writes that put nothing there."""
_LAG: Final = timedelta(days=1)
"""So long a server may take to hear of what another one was told."""

Kept = TypeVar("Kept")
OwnedValues = Iterator[tuple[UserRef, Mapping[str, Owned]]]
"""Users, each with what is owned, by attribute."""
HeldValues = Mapping[str, Mapping[str, tuple[Held, ...]]]
"""By the ids of users and by attribute its values."""
OfUsers = dict[str, tuple[UserRef, dict[str, Kept]]]
"""By the ids of users the user, and by attribute what is known of it."""


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

    # ------------------------------------------------------------ what was written

    def fingerprint_of(self, user_id: str, attribute: str) -> str | None:
        rows = self._ownership.read_users([user_id])
        found = (row.attributes.get(attribute) for row in rows)
        return next((each.fingerprint for each in found if each), None)

    def days_of_writes(self, users: Collection[str], attribute: str) -> Sequence[str]:
        rows = self._ownership.read_users(users)
        found = (row.attributes.get(attribute) for row in rows)
        runs = sorted({each.run for each in found if each})
        query = "select substr(started, 1, 10) from runs where directory = ? and id in ({users})"
        days = rows_of_users(self._database, query, runs, self._directory)
        return sorted({day for (day,) in days})

    def read_confirmed(
        self, users: Collection[str]
    ) -> Mapping[str, Mapping[str, Owned]]:
        return {
            row.user.id: row.attributes
            for row in self._ownership.read_users(users)
            if row.job == self._job
        }

    def read_agents(self, users: Collection[str]) -> Mapping[str, AgentRef]:
        # what was owned tells of runs that were pruned; the journal tells more lately
        rows = [
            (row.user.id, row.agent)
            for row in self._ownership.read_users(users)
            if row.job == self._job
        ]
        rows += rows_of_users(
            self._database,
            "select user_id, agent from journal join runs on runs.id = journal.run "
            "where directory = ? and job = ? and kind = 'apply' and agent is not null "
            "and (outcome is null or outcome = 'written' or lost is not null) and not exists ("
            "select 1 from journal back join runs undo on undo.id = back.run "
            "where undo.undoes = runs.id and back.user_id = journal.user_id and back.outcome = 'written') "
            "and user_id in ({users}) order by number",
            sorted(users),
            self._directory,
            self._job,
        )
        with reading_kept(self._database, "the agents of earlier runs"):
            agents = {user: restore_agent(agent) for user, agent in rows}
        return {user: agent for user, agent in agents.items() if agent is not None}

    def read_past(self, users: Collection[str]) -> Mapping[str, Sequence[Past]]:
        found = defaultdict[str, list[Past]](list)
        steps = read_steps(
            self._database,
            "directory = ? and user_id in ({users}) order by number",
            self._directory,
            users=sorted(users),
        )
        for step in steps:
            for each in step.change.attributes:
                put = each
                if step.outcome in _NOT_PUT:
                    if each.seen and not each.old:
                        continue
                    # what it saw stays
                    put = replace(each, new=each.old, fingerprint=UNKEYED)
                found[step.user.id].append((step.run, step.server, put))
        return found

    # ------------------------------------------------------------ what is ours

    def read_owned(self) -> OwnedValues:
        maybe, unshown = self._find_maybe_ours(), self._find_unshown()
        for row in self._ownership.find_rows("job = ?", self._job):
            # an object class that we added stays when its values go, and makes nobody stale
            attributes = {
                name: each
                for name, each in row.attributes.items()
                if name != OBJECT_CLASS
            }
            if row.user.id in maybe:
                merge_owned(attributes, maybe.pop(row.user.id)[1])
            if attributes:
                unshown.pop(row.user.id, None)
                yield row.user, attributes
        yield from maybe.values()
        for id_, (user, _) in unshown.items():
            if id_ not in maybe:
                yield user, {}

    def _find_maybe_ours(self) -> OfUsers[Owned]:
        """By user id what applies of this job set out to write, of which nobody knows whether they did."""
        found: OfUsers[Owned] = {}
        if self._description is None:
            return found
        for step, left in self._read_standing("job = ? and kind = 'apply'", self._job):
            owned = {
                each.name: make_owned_if_written(step.run, each, self._description)
                for each in left
                if each.sets and each.name != OBJECT_CLASS
            }
            if owned:
                _, known = found.setdefault(step.user.id, (step.user, {}))
                merge_owned(known, owned)
        return found

    def read_respelt(self) -> OwnedValues:
        # lists in it have values
        for row in self._ownership.find_rows("attributes like ?", '%"],["%'):
            sent = {name: each for name, each in row.attributes.items() if each.sent}
            yield row.user, sent

    def read_former(self) -> Iterator[tuple[str, str]]:
        # the last field of an attribute's JSON is an object that is not empty
        for row in self._ownership.find_rows(
            "job = ? and attributes like ?", self._job, '%,{"%'
        ):
            for name, each in row.attributes.items():
                for pattern in each.former:
                    yield name, pattern

    def read_rewritten(self) -> Mapping[Slot, Owned]:
        return {
            (row.user.id, name): each
            for row in self._ownership.find_rows("job = ? and times > 1", self._job)
            for name, each in row.attributes.items()
            if each.times > 1
        }

    # ------------------------------------------------------------ what nobody knows

    def _read_open(self, which: str, *values: str) -> Iterator[JournalStep]:
        """Writes whose outcome nobody knows."""
        which = f"outcome is null and directory = ? and {which} order by run, user_id"
        return read_steps(self._database, which, self._directory, *values)

    def _read_standing(
        self, which: str, job: str, *, by_itself: bool = False
    ) -> Iterator[tuple[JournalStep, list[AttributeChange]]]:
        """Open writes, each with what of it no later write of another job has overtaken.

        `by_itself`: nor a later run of that job. The journal tells, for nobody owns what was cleared.
        """
        later = defaultdict[Slot, list[tuple[JournalStep, str | None]]](list)
        for step in read_steps(
            self._database,
            "(outcome = 'written' or lost is not null) and directory = ? "
            "and user_id in (select user_id from journal where outcome is null)",
            self._directory,
        ):
            for name, pattern in step.patterns.items():
                later[step.user.id, name.lower()].append((step, pattern))

        def is_overtaken(open_: JournalStep, each: AttributeChange) -> bool:
            return any(
                step.number > open_.number
                and not are_apart(pattern, each.pattern)
                and (by_itself or step.job != open_.job)
                for step, pattern in later[open_.user.id, each.name.lower()]
            )

        for open_ in self._read_open(which, job):
            yield (
                open_,
                [
                    each
                    for each in open_.change.attributes
                    if not is_overtaken(open_, each)
                ],
            )

    def read_unsettled(self) -> Iterator[Unsettled]:
        here = self._description.server if self._description else ""
        for step, left in self._read_standing("job = ?", self._job, by_itself=True):
            if left:
                server = remove_server(step.server, here) or step.server
                yield Unsettled(
                    step.run, server, step.user, tuple(each.name for each in left)
                )

    def read_late(self) -> OwnedValues:
        here = self._description
        if here is None or not here.server:
            return
        since = format_now(before=_LAG)
        writes = set(
            self._database.rows(
                "select run, user_id from journal join runs on runs.id = journal.run where directory = ? "
                "and (ended is null or ended > ?) and coalesce(noted, started) > ? "
                "and outcome = 'written' and journal.server not in ('', ?)",
                self._directory,
                since,
                since,
                here.server,
            )
        )
        for row in self._ownership.read_users({id_ for _, id_ in writes}):
            elsewhere = {
                name: each
                for name, each in row.attributes.items()
                if (each.run, row.user.id) in writes
            }
            if elsewhere:
                yield row.user, elsewhere
        for step in self._read_open("coalesce(noted, started) > ?", since):
            if remove_server(step.server, here.server):
                yield (
                    step.user,
                    {
                        each.name: make_owned_if_written(step.run, each, here)
                        for each in step.change.attributes
                    },
                )

    # ------------------------------------------------------------ what was not shown

    def read_unshown(self) -> HeldValues:
        return {
            id_: {name: each.new for name, each in lost.items()}
            for id_, (_, lost) in self._find_unshown().items()
        }

    def read_replaced(self) -> HeldValues:
        return {
            id_: {name: each.old for name, each in lost.items()}
            for id_, (_, lost) in self._find_unshown().items()
        }

    def _find_unshown(self) -> OfUsers[AttributeChange]:
        """By user id the user, and this job's last writes of attributes that the directory took and did not show.

        What another job has written since is no more ours.
        """
        found: OfUsers[AttributeChange] = {}
        for step in read_steps(
            self._database,
            "user_id in (select user_id from journal where lost is not null) "
            "and outcome in ('written', 'failed', 'conflict') and directory = ? order by number",
            self._directory,
        ):
            _, lost = found.setdefault(step.user.id, (step.user, {}))
            for each in step.change.attributes:
                if step.job == self._job:
                    _note_unshown(lost, step, each)
                elif step.outcome == "written" or step.lost:
                    name = each.name.lower()
                    for ours in [
                        one for one in lost.values() if one.name.lower() == name
                    ]:
                        if not are_apart(each.pattern, ours.pattern):
                            del lost[ours.name]
        return {id_: (user, lost) for id_, (user, lost) in found.items() if lost}

    # ------------------------------------------------------------ other jobs

    def read_other_jobs(self) -> Iterator[Others]:
        unclaimed = self._read_unclaimed()
        for job, user, patterns in self._read_others():
            patterns.pop(OBJECT_CLASS, None)
            if patterns:
                yield Others(job, user, patterns, (job, user.id) not in unclaimed)

    def _read_others(self) -> Iterator[tuple[str, UserRef, dict[str, str | None]]]:
        """What other jobs wrote to users, by attribute with its pattern, or may have written."""
        for step, left in self._read_standing("job <> ?", self._job):
            yield step.job, step.user, {each.name: each.pattern for each in left}
        for row in self._ownership.find_rows("job <> ?", self._job):
            written = find_written(row.attributes)
            yield (
                row.job,
                row.user,
                {name: each.pattern for name, each in written.items()},
            )

    def _read_unclaimed(self) -> frozenset[tuple[str, str]]:
        """Other jobs, each with the users that it wrote to and that its last complete apply did not claim."""
        return frozenset(
            self._database.rows(
                "select job, user_id from notes where kind = 'stale' and directory = ? and job <> ?",
                self._directory,
                self._job,
            )
        )

    def take_over(
        self, users: Collection[str], attributes: Mapping[str, str | None]
    ) -> None:
        """Make ours what other jobs wrote to these attributes of users whom their last complete apply did not claim.

        `attributes`: by name which values are ours.
        """
        wanted = {name.lower(): pattern for name, pattern in attributes.items()}
        passing = {place for place in self._read_unclaimed() if place[1] in users}
        of_users = self._ownership.read_users({id_ for _, id_ in passing})
        rows = {(row.job, row.user.id): row for row in of_users}
        changed: dict[tuple[str, str], OwnershipRow] = {}
        for place in sorted(passing & rows.keys()):
            row = rows[place]
            ours = (self._job, row.user.id)
            own = OwnershipRow(self._job, row.user, {}, row.agent)
            own = rows.setdefault(ours, own)
            for name, each in find_written(row.attributes).items():
                key = name.lower()
                if key in wanted and not are_apart(each.pattern, wanted[key]):
                    own.attributes.setdefault(name, each)
                    del row.attributes[name]
                    changed |= {place: row, ours: own}
        self._keep_rows(changed.values())

    def note_gone(self, gone: Collection[Slot], server: str) -> None:
        """Forget what this job wrote to attributes, by user id and name, that was there at this server and is gone.

        What was written at another server stays ours, for this one may not have heard of it
        yet. So does what an open write is about, which has to be compared to be settled.
        """
        slots = {(id_, name.lower()) for id_, name in gone}
        for each in self.read_unsettled() if gone else ():
            slots -= {(each.user.id, name.lower()) for name in each.attributes}
        users = sorted({id_ for id_, _ in slots})
        heard = set(
            rows_of_users(
                self._database,
                "select run, user_id from journal join runs on runs.id = run where directory = ? "
                "and not exists (select 1 from journal as elsewhere where elsewhere.run = journal.run "
                "and elsewhere.user_id = journal.user_id and elsewhere.server not in ('', ?)) "
                "and user_id in ({users})",
                users,
                self._directory,
                server,
            )
        )
        changed = []
        for row in self._ownership.read_users(users):
            names = [
                name
                for name, each in row.attributes.items()
                if (row.user.id, name.lower()) in slots
                and (each.run, row.user.id) in heard
            ]
            if names and row.job == self._job:  # another job looks for itself
                for name in names:
                    del row.attributes[name]
                changed.append(row)
        self._keep_rows(changed)

    def _keep_rows(self, rows: Collection[OwnershipRow]) -> None:
        if rows:
            with self._database.writing() as transaction:
                self._ownership.keep_rows(transaction, rows)

    # ------------------------------------------------------------ earlier applies

    def last_good(self) -> LastGood | None:
        for row in self._database.rows(
            "select agents, matched, assigned from runs where job = ? and directory = ? and kind = 'apply' "
            "and result in ('done', 'part') order by number desc limit 1",
            self._job,
            self._directory,
        ):
            return LastGood(*row)
        return None

    def is_new(self) -> bool:
        known = find_value(
            self._database,
            "select 1 from runs where directory = ? and job = ? and kind = 'apply' limit 1",
            self._directory,
            self._job,
        )
        return self._database.kept and not known

    def is_blank(self) -> bool:
        pruned = read_pruned(self._database, "directory = ?", self._directory)
        known = find_value(
            self._database,
            "select 1 from runs where directory = ? and kind = 'apply' and coalesce(pilot, 0) = 0 "
            "and exists (select 1 from journal where journal.run = runs.id) limit 1",
            self._directory,
        )
        return (
            self._database.kept and not known and not any(fact.whole for fact in pruned)
        )

    def count_users(self) -> int:
        """So many users the directory has been seen to have at least; 0 where that was never found out."""
        return int(read_fact(self._database, "users", directory=self._directory) or 0)

    def note_users(self, users: int) -> None:
        """Keep how many users the directory has at least."""
        with self._database.writing() as transaction:
            note_fact(transaction, "users", str(users), directory=self._directory)


def _note_unshown(
    lost: dict[str, AttributeChange], step: JournalStep, each: AttributeChange
) -> None:
    """Note what one write of this job tells of an attribute."""
    if step.outcome == "conflict":
        if each.name in lost:
            # nothing was written; what was believed of them does not hold
            lost[each.name] = replace(each, old=(), new=())
    elif each.name in step.lost:
        lost[each.name] = each
    else:
        lost.pop(each.name, None)
