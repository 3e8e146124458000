"""The journal of one apply: intents are durable before they are carried out, outcomes soon after that.

A change is kept as it was planned: values in clear, for the directory shows them too; of a secret its fingerprint, and,
where it could be read, its old value sealed. That is what an interrupted run is settled by, and an undo is made from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Struct, ValidationError, json
from msgspec.structs import replace

from connector.errors import StateError
from connector.model import AgentRef, AttributeChange, Change, Description, Noted, Outcome, Part, Result, UserRef
from connector.reconcile import equality
from connector.reconcile.digests import UNKEYED, is_secret, plain_texts
from connector.reports.octets import Octets, held, kept
from connector.runtime.clock import stamp
from connector.state.database import Database, Transaction, restored, storable
from connector.state.ownership import Ownership, Taken
from connector.state.sealing import Sealer

if TYPE_CHECKING:
    from connector.state.telling import Telling

_INTENT = """
    insert into journal
    (run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why, server, told_as, noted)
    values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    on conflict (run, user_id, digest, part) do update set
        outcome = excluded.outcome, why = excluded.why, attributes = excluded.attributes, server = excluded.server,
        told_as = excluded.told_as, noted = excluded.noted, lost = null
"""
_LEFT = f"{_INTENT} where journal.outcome <> 'written' and journal.lost is null"
_OUTCOME = """
    update journal set outcome = ?, why = ?, lost = ?, told_as = ?, noted = coalesce(?, noted)
    where run = ? and user_id = ? and digest = ? and part = ?
"""


_AT_ONCE: Final = 2_000
"""Of so many users what is ours is looked at together: an LDIF file is written in one batch, however large it is."""
_BESIDE: Final = ", "
_STEP = "run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why, server, lost"
STEPS = f"select {_STEP} from journal"  # noqa: S608  # fixed names, no values
"""The rows that `step` reads."""
OUTCOMES = f"select {_STEP}, told_as, noted from journal where run = ? and told_as > ? order by told_as"  # noqa: S608
"""Such rows of a run, each with its number and when it was noted, above a number."""


class _Noted(Struct, frozen=True, omit_defaults=True):
    """An attribute's change as the journal keeps it; `sealed`: the old values of a secret, `key`: by which key."""

    name: str
    old: tuple[str | Octets, ...] = ()
    new: tuple[str | Octets, ...] = ()
    secret: str | None = None
    sealed: str | None = None
    seen: bool = True
    pattern: str | None = None
    unique: bool = False
    key: str | None = None
    absent: bool = False


class Step(Struct, frozen=True):
    """One write of a run, as its journal has it; `outcome` None: it is not known whether it was written.

    A secret has no new values: its `fingerprint` says what it is, or is `UNKEYED` where it is of another key. Its old
    ones are there where they were seen and can be opened. `server`: the one that it was meant for, or several.
    `lost`: attributes that the directory took and does not show as written.
    """

    run: str
    change: Change
    outcome: Result | None
    why: str = ""
    server: str = ""
    lost: tuple[str, ...] = ()


def beside(servers: str, server: str) -> str:
    """The servers that a write was meant for, and one more: where a run goes on at another one, each may have it."""
    return _BESIDE.join(dict.fromkeys([*filter(None, servers.split(_BESIDE)), server]))


def without(servers: str, server: str) -> str:
    """The servers that a write was meant for, but for one that is known not to have it."""
    return _BESIDE.join(each for each in servers.split(_BESIDE) if each != server)


def among(servers: str, server: str) -> bool:
    """Whether a write was meant for this server and for others."""
    return without(servers, server) not in ("", servers)


class RunJournal:
    """Notes what one run is about to write, and what came of it. All of its methods raise StateError."""

    def __init__(
        self, database: Database, run: str, description: Description, sealer: Sealer, account: Telling
    ) -> None:
        self._database = database
        self._account = account
        self._ours = Ours(database, description, run)
        self._run = run
        self._server = description.server
        self._sealer = sealer
        self.result: str | None = None
        """What the run came to; the one who runs it says so."""
        self.broken = False
        stands = "select user_id, digest, part from journal where run = ? and (outcome = 'written' or lost is not null)"
        self._stands = {(user, digest, part) for user, digest, part in database.rows(stands, run)}
        open_ = "select user_id, digest, part, server from journal where run = ? and outcome is null"
        self._left_open = {(user, digest, part): server for user, digest, part, server in database.rows(open_, run)}

    def note(self, settled: Iterable[tuple[Change, Outcome]], intended: Sequence[Change]) -> Callable[[], None]:
        """Note what became of changes, and which ones are about to be written, durable together.

        What it returns tells the audit, and is still to be called.

        What may have been written stays open; what is in both is about to be written again, and is open too.
        """
        known = [(change, outcome) for change, outcome in settled if not outcome.open]
        with self._writing() as transaction:
            noted = self._account.settle(transaction, self._run, known)
            note_servers(transaction, self._gone_on(known))
            self._ours.take(transaction, (_stuck(change, outcome) for change, outcome in known if _took(outcome)))
            transaction.executemany(_INTENT, (self._row(change) for change in intended))
        return lambda: self._account.tell(noted)

    def _gone_on(self, known: Iterable[tuple[Change, Outcome]]) -> Iterator[Step]:
        """What was open at another server too, and is written at this one: whoever asks this one is told by it."""
        for change, outcome in known:
            key = (change.user.id, change.digest, _part(change))
            if outcome.result is Result.WRITTEN and key in self._left_open:
                yield Step(self._run, change, outcome.result, server=self._server)

    def leave(self, left: Iterable[tuple[Change, Outcome]]) -> None:
        """Note what became of changes that were never going to be written.

        What this run has written before it was interrupted stays as it was noted then, pre-images of secrets included.
        So does what it may have written, which is open and has no number yet, and of what was taken, that it was not
        shown.
        """
        stays = self._stands | self._left_open.keys()
        fresh = [
            (change, outcome)
            for change, outcome in left
            if outcome.result is not Result.WRITTEN and (change.user.id, change.digest, _part(change)) not in stays
        ]
        if fresh:
            with self._writing() as transaction:
                noted = self._account.note(transaction, self._run, fresh)
                transaction.executemany(_LEFT, (self._row(each.change, each) for each in noted))
            self._account.tell(noted)

    @contextmanager
    def _writing(self) -> Iterator[Transaction]:
        try:
            with self._database.writing() as transaction:
                yield transaction
        except StateError:
            self.broken = True
            self._account.broke()
            raise

    def _row(self, change: Change, known: Noted | None = None) -> tuple[str | int | None, ...]:
        user, agent = change.user, change.agent
        ref = None if agent is None else json.encode(storable([agent.work_no, agent.account_code])).decode()
        noted = json.encode([self._noted(user, each) for each in change.attributes]).decode()
        key = (self._run, user.id, user.name, change.digest, _part(change))
        if known is None:
            servers = beside(self._left_open.get((user.id, change.digest, _part(change)), ""), self._server)
            return (*key, ref, change.rule, noted, None, None, servers, None, stamp())
        outcome = (known.outcome.result.value, known.outcome.why or None)
        return (*key, ref, change.rule, noted, *outcome, self._server, known.number or None, known.time or None)

    def _noted(self, user: UserRef, each: AttributeChange) -> _Noted:
        if not each.secret and plain_texts(each.old) and plain_texts(each.new):  # as nearly every one is
            return _Noted(each.name, each.old, each.new, None, None, each.seen, each.pattern, each.unique)
        if is_secret(each):
            sealed = self._sealer.seal(user, each.name, each.old) if each.old else None
            seen = each.seen and (sealed is not None or not each.old)
            key = self._sealer.check
            print_ = each.fingerprint
            return _Noted(each.name, (), (), print_, sealed, seen, each.pattern, each.unique, key, each.absent)
        return _Noted(each.name, kept(each.old), kept(each.new), None, None, each.seen, each.pattern, each.unique)


def _part(change: Change) -> str:
    """What tells one write of a user's change from another: of several steps, the attribute, and whether it is set."""
    if change.part is not Part.STEP:
        return change.part.value
    return ":".join((change.part.value, "set" if change.attributes[0].new else "clear", change.attributes[0].name))


def _took(outcome: Outcome) -> bool:
    return outcome.result is Result.WRITTEN or bool(outcome.lost)


def _stuck(change: Change, outcome: Outcome) -> Change:
    """What of a change is as it was written."""
    left = tuple(each for each in change.attributes if each.name not in outcome.lost)
    return replace(change, attributes=left) if outcome.lost else change


def note_outcomes(transaction: Transaction, found: Iterable[Noted]) -> None:
    """Keep what became of writes that are in the journal of their runs."""
    transaction.executemany(
        _OUTCOME,
        (
            (
                each.outcome.result.value,
                each.outcome.why or None,
                json.encode(each.outcome.lost).decode() if each.outcome.lost else None,
                each.number or None,
                each.time or None,
                each.run,
                each.change.user.id,
                each.change.digest,
                _part(each.change),
            )
            for each in found
        ),
    )


def note_servers(transaction: Transaction, steps: Iterable[Step]) -> None:
    """Keep which servers have these writes, or may have, which are in the journal of their runs."""
    transaction.executemany(
        "update journal set server = ? where run = ? and user_id = ? and digest = ? and part = ?",
        ((each.server, each.run, each.change.user.id, each.change.digest, _part(each.change)) for each in steps),
    )


class Ours:
    """Whose a run's confirmed writes are from now on."""

    def __init__(self, database: Database, description: Description, run: str) -> None:
        self._database = database
        self._description = description
        self._run = run
        found = database.rows("select job, kind from runs where id = ?", run)
        ((self._job, kind),) = found or [(None, "apply")]
        self._takes_back = kind == "undo"

    def take(self, transaction: Transaction, written: Iterable[Change], *, late: bool = False) -> None:
        """Values that are set are this job's; those that an undo puts back, of the job that had written them.

        `late`: other runs may have begun since. What they wrote is not taken from them.
        """
        where, newer = self._description, frozenset[str]()
        if late:
            since = "select id from runs where number > (select number from runs where id = ?)"
            newer = frozenset(id_ for (id_,) in self._database.rows(since, self._run))
        ownership, left = Ownership(self._database, where.identity), iter(written)
        while some := list(islice(left, _AT_ONCE)):
            taken = [self._taken(change.user, each) for change in some for each in change.attributes]
            ownership.note(transaction, self._run, taken, where.equality, newer)

    def _taken(self, user: UserRef, each: AttributeChange) -> Taken:
        """Whose these values are: nobody's, where there are none; put back, where they were nobody's before."""
        if not (each.new or each.fingerprint):
            return Taken(user, each, None)
        if not self._takes_back:
            return Taken(user, each, self._job)
        writer = self._had_written(user, each)
        return Taken(user, each, writer or self._job, restored=writer is None)

    def _had_written(self, user: UserRef, each: AttributeChange) -> str | None:
        """The job whose apply once wrote these very values there, the last if several did."""
        query = (
            "select runs.job, journal.attributes from journal join runs on runs.id = journal.run "
            "where user_id = ? and outcome = 'written' and directory = ? and kind = 'apply' order by number desc"
        )
        rule = self._description.equality(each.name)

        def says(noted: _Noted) -> bool:
            if noted.name != each.name or noted.secret != (each.fingerprint or None if each.secret else None):
                return False
            return each.secret or equality.same_set(rule, held(noted.new), each.new)

        return next(
            (
                job
                for job, attributes in self._database.rows(query, user.id, self._description.identity)
                for noted in json.decode(attributes, type=list[_Noted])
                if says(noted)
            ),
            None,
        )


def step(row: Sequence[Any], sealer: Sealer, where: str) -> Step:
    """A row of the journal, as `STEPS` finds it. Raises StateError where it is damaged."""
    run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why, server, lost = row
    user = UserRef(user_id, user_name)
    try:
        ref = AgentRef(*restored(json.decode(agent, type=tuple[int | None, str | None]))) if agent else None
        result, kind = Result(outcome) if outcome else None, Part(part.partition(":")[0])
    except (DecodeError, ValidationError, ValueError, TypeError) as fault:
        raise _damaged(run, where) from fault
    changes = tuple(_read(user, each, sealer) for each in _decoded(attributes, run, where))
    return Step(
        run, Change(user, ref, rule, changes, digest, part=kind), result, why or "", server, lost_of(lost, run, where)
    )


def past_of(attributes: str, run: str, where: str, *, put: bool = True) -> list[AttributeChange]:
    """What a row of the journal set out to change; of secrets the new fingerprints, and whether there was an old one.

    Without `put` what it saw stays, for it put nothing there. Raises StateError.
    """
    return [
        AttributeChange(
            each.name, held(each.old), held(each.new if put else each.old), each.secret is not None,
            each.seen and not each.sealed, each.pattern, (each.secret or "") if put else UNKEYED,
        )
        for each in _decoded(attributes, run, where)
        if put or each.old or each.sealed or not each.seen
    ]  # fmt: skip


def names_of(attributes: str, run: str, where: str) -> dict[str, str | None]:
    """The attributes of a row of the journal, each with its pattern. Raises StateError where it is damaged."""
    return {each.name: each.pattern for each in _decoded(attributes, run, where)}


def lost_of(lost: str | None, run: str, where: str) -> tuple[str, ...]:
    """The attributes of a row of the journal that the directory took and did not show. Raises StateError likewise."""
    try:
        return json.decode(lost, type=tuple[str, ...]) if lost else ()
    except (DecodeError, ValidationError) as fault:
        raise _damaged(run, where) from fault


def _decoded(attributes: str, run: str, where: str) -> list[_Noted]:
    try:
        return json.decode(attributes, type=list[_Noted])
    except (DecodeError, ValidationError) as fault:
        raise _damaged(run, where) from fault


def _damaged(run: str, where: str) -> StateError:
    return StateError(f"the state is damaged: the journal of run {run} cannot be read", where=where)


def _read(user: UserRef, each: _Noted, sealer: Sealer) -> AttributeChange:
    if each.secret is not None:
        old = sealer.open(user, each.name, each.sealed) if each.sealed else ()
        seen = each.seen and old is not None  # what cannot be opened was not seen
        known = each.secret if each.key == sealer.check or not each.secret else UNKEYED
        return AttributeChange(each.name, old or (), (), True, seen, each.pattern, known, each.unique, each.absent)
    return AttributeChange(
        each.name, held(each.old), held(each.new), seen=each.seen, pattern=each.pattern, unique=each.unique
    )
