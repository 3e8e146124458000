"""The rows of a journal: a write as it is kept, what becomes of it, and how it is read again.

A change is kept as it was planned: values in clear, for the directory shows them too; of a
secret its fingerprint, and, where it could be read, its old value sealed. That is what an
interrupted run is settled by, and an undo is made from.
"""

from __future__ import annotations

import base64
import hmac
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from msgspec import DecodeError, Struct, ValidationError, json

from connector.errors import DamagedError
from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Held,
    Outcome,
    Part,
    Result,
    Secret,
    UserRef,
    Value,
    equality,
)
from connector.model.digests import UNKEYED, is_secret, plain_texts
from connector.reports.document_shape import Octets, read_values, write_values
from connector.state.database import (
    Database,
    Transaction,
    restored,
    rows_of_users,
    storable,
)

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE = 12
"""Octets, as NIST SP 800-38D §8.2 recommends; random ones, of which a key may see 2³²."""


class Sealer:
    """AES-256-GCM (NIST SP 800-38D) under a key derived from `key`; each value is bound to its user and attribute.

    Without a key nothing is sealed, and nothing opens. `check`: what the key is known by,
    which does not tell it.
    """

    def __init__(self, key: Secret | None) -> None:
        self._key = key
        self.check = (
            self._derive_key(b"cec-connector key check/1").hex()[:32]
            if key is not None
            else ""
        )

    def seal(self, user: UserRef, attribute: str, values: Iterable[Held]) -> str | None:
        """The values as a text that only the holder of the key can open."""
        if self._key is None:
            return None
        plain = [equality.plain(value) for value in values]
        body = json.encode(
            [[isinstance(value, bytes), _to_octets(value)] for value in plain]
        )
        nonce = os.urandom(_NONCE)
        return base64.b64encode(
            nonce
            + self._make_cipher().encrypt(nonce, body, _bind_context(user, attribute))
        ).decode()

    def open(
        self, user: UserRef, attribute: str, sealed: str
    ) -> tuple[Secret, ...] | None:
        """The values again; None where the key is another one, or the text was changed."""
        if self._key is None:
            return None
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # 30 ms that only an undo has to pay

        try:
            octets = base64.b64decode(sealed, validate=True)
            body = self._make_cipher().decrypt(
                octets[:_NONCE], octets[_NONCE:], _bind_context(user, attribute)
            )
            parts = json.decode(body, type=list[tuple[bool, bytes]])
        except (InvalidTag, ValueError, DecodeError):
            return None
        return tuple(
            Secret(octets if raw else octets.decode("utf-8", "surrogateescape"))
            for raw, octets in parts
        )

    def _make_cipher(self) -> AESGCM:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # 30 ms, only for sealed values

        return AESGCM(self._derive_key(b"cec-connector sealing/1"))

    def _derive_key(self, purpose: bytes) -> bytes:
        assert self._key is not None
        return hmac.digest(_to_octets(equality.plain(self._key)), purpose, "sha256")


def _bind_context(user: UserRef, attribute: str) -> bytes:
    return f"{user.id}\0{attribute.lower()}".encode()


def _to_octets(value: Value) -> bytes:
    return (
        value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    )


_OUTCOME = """
    update journal set outcome = ?, why = ?, lost = ?, noted = ?
    where run = ? and user_id = ? and digest = ? and part = ?
"""
_WRITES: Final = (
    "select run, job, number, user_id, user_name, journal.server, outcome, attributes, lost from journal "
    "join runs on runs.id = journal.run"
)
_BESIDE: Final = ", "
_STEP = "run, user_id, user_name, digest, part, agent, rule, attributes, outcome, why, server, lost"
STEPS = f"select {_STEP} from journal"  # noqa: S608  # columns are the literal above
"""The rows that `step` reads."""


class KeptChange(Struct, frozen=True, omit_defaults=True):
    """An attribute's change as the journal keeps it; `sealed`: the old values of a secret, `key`: by which key.

    `sent`: as of `AttributeChange`, once the outcome is known. Of a secret it is a fingerprint.
    """

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
    sent: tuple[str | Octets, ...] = ()


class Step(Struct, frozen=True):
    """One write of a run, as its journal has it; `outcome` None: it is not known whether it was written.

    A secret has no new values: its `fingerprint` says what it is, or is `UNKEYED` where it
    is of another key. Its old ones are there where they were seen and can be opened.
    `server`: the one that it was meant for, or several.
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


def kept_change(user: UserRef, each: AttributeChange, sealer: Sealer) -> KeptChange:
    """An attribute's change as the journal keeps it."""
    if (
        not (each.secret or each.sent)
        and plain_texts(each.old)
        and plain_texts(each.new)
    ):  # as nearly every one is
        return KeptChange(
            each.name,
            each.old,
            each.new,
            None,
            None,
            each.seen,
            each.pattern,
            each.unique,
        )
    sent, old, new = (
        write_values(each.sent),
        write_values(each.old),
        write_values(each.new),
    )
    if is_secret(each):
        sealed = sealer.seal(user, each.name, each.old) if each.old else None
        seen = each.seen and (sealed is not None or not each.old)
        key = sealer.check
        print_ = each.fingerprint
        return KeptChange(
            each.name,
            (),
            (),
            print_,
            sealed,
            seen,
            each.pattern,
            each.unique,
            key,
            each.absent,
            sent,
        )
    return KeptChange(
        each.name, old, new, None, None, each.seen, each.pattern, each.unique, sent=sent
    )


def part_of(change: Change) -> str:
    """What tells one write of a user's change from another: of several steps, the attribute, and whether it is set."""
    if change.part is not Part.STEP:
        return "" if change.part is Part.REST else change.part.value
    return ":".join(
        (
            change.part.value,
            "set" if change.attributes[0].new else "clear",
            change.attributes[0].name,
        )
    )


def note_outcomes(
    transaction: Transaction,
    run: str,
    outcomes: Iterable[tuple[Change, Outcome]],
    time: str,
) -> None:
    """Keep what became of writes that are in the journal of this run."""
    rows = []
    for change, outcome in outcomes:
        lost = json.encode(outcome.lost).decode() if outcome.lost else None
        came = (outcome.result.value, outcome.why, lost, time)
        rows.append((*came, run, change.user.id, change.digest, part_of(change)))
    transaction.executemany(_OUTCOME, rows)


def note_servers(transaction: Transaction, steps: Iterable[Step]) -> None:
    """Keep which servers have these writes, or may have, which are in the journal of their runs."""
    transaction.executemany(
        "update journal set server = ? where run = ? and user_id = ? and digest = ? and part = ?",
        (
            (
                each.server,
                each.run,
                each.change.user.id,
                each.change.digest,
                part_of(each.change),
            )
            for each in steps
        ),
    )


def step(row: Sequence[Any], sealer: Sealer, where: str) -> Step:
    """A row of the journal, as `STEPS` finds it. Raises StateError where it is damaged."""
    (
        run,
        user_id,
        user_name,
        digest,
        part,
        agent,
        rule,
        attributes,
        outcome,
        why,
        server,
        lost,
    ) = row
    user = UserRef(user_id, user_name)
    ref = agent_of(agent, run, where) if agent else None
    try:
        result, kind = (
            Result(outcome) if outcome else None,
            Part(part.partition(":")[0]),
        )
    except ValueError as fault:
        raise _damaged_journal(run, where) from fault
    changes = tuple(
        _read_change(user, each, sealer)
        for each in _decode_changes(attributes, run, where)
    )
    return Step(
        run,
        Change(user, ref, rule, changes, digest, part=kind),
        result,
        why or "",
        server,
        lost_of(lost, run, where),
    )


def check_row(row: Sequence[Any], sealer: Sealer, where: str) -> None:
    """Raises StateError for a row that is damaged, or has a sealed value that its own key does not open."""
    found = step(row, sealer, where)
    for each in _decode_changes(row[7], found.run, where):
        if (
            each.sealed
            and each.key == sealer.check
            and sealer.open(found.change.user, each.name, each.sealed) is None
        ):
            what = f"the state is damaged: a sealed password in the journal of run {found.run} cannot be opened"
            raise DamagedError(what, where=where)


def kept_ref(agent: AgentRef | None) -> str | None:
    """An agent as a row keeps it."""
    return (
        None
        if agent is None
        else json.encode(storable([agent.work_no, agent.account_code])).decode()
    )


def agent_of(agent: str, run: str, where: str) -> AgentRef:
    """The agent of a row. Raises StateError where it is damaged."""
    try:
        return AgentRef(
            *restored(json.decode(agent, type=tuple[int | None, str | None]))
        )
    except (DecodeError, ValidationError, TypeError) as fault:
        raise _damaged_journal(run, where) from fault


def past_of(attributes: str, run: str, where: str) -> list[AttributeChange]:
    """What a row of the journal set out to change, as of `KeptWrite`. Raises StateError."""
    return [
        AttributeChange(
            each.name, read_values(each.old), read_values(each.new), each.secret is not None,
            each.seen and not each.sealed, each.pattern, each.secret or "",
        )
        for each in _decode_changes(attributes, run, where)
    ]  # fmt: skip


class KeptWrite(Struct, frozen=True):
    """A write of any job, as far as later runs need to know of it."""

    run: str
    job: str
    number: int
    """Of its run; it orders runs."""
    user: UserRef
    server: str
    """The one that it was meant for, or several."""
    outcome: str | None
    """None: it is not known whether it was written."""
    changes: list[AttributeChange]
    """What it set out to change; of secrets the new fingerprints, and whether there was an old one."""
    lost: tuple[str, ...] = ()
    """Attributes that the directory took and does not show as written."""

    @property
    def patterns(self) -> dict[str, str | None]:
        """The attributes, each with its pattern."""
        return {each.name: each.pattern for each in self.changes}


def read_writes(
    database: Database,
    which: str,
    *values: str,
    users: Sequence[str] | None = None,
) -> Iterator[KeptWrite]:
    """The writes that a condition picks, by columns of journal and runs; of these users, for whom `{users}` stands."""
    query = f"{_WRITES} where {which}"
    rows: Iterable[Any] = (
        database.rows(query, *values)
        if users is None
        else rows_of_users(database, query, users, *values)
    )
    where = database.where
    for run, job, number, id_, name, server, outcome, attributes, lost in rows:
        yield KeptWrite(
            run, job, number, UserRef(id_, name), server, outcome, past_of(attributes, run, where),
            lost_of(lost, run, where),
        )  # fmt: skip


def lost_of(lost: str | None, run: str, where: str) -> tuple[str, ...]:
    """The attributes of a row of the journal that the directory took and did not show. Raises StateError likewise."""
    try:
        return json.decode(lost, type=tuple[str, ...]) if lost else ()
    except (DecodeError, ValidationError, TypeError) as fault:
        raise _damaged_journal(run, where) from fault


def _decode_changes(attributes: str, run: str, where: str) -> list[KeptChange]:
    try:
        return json.decode(attributes, type=list[KeptChange])
    except (DecodeError, ValidationError, TypeError) as fault:
        raise _damaged_journal(run, where) from fault


def _damaged_journal(run: str, where: str) -> DamagedError:
    """What is raised where a row of a run's journal cannot be read."""
    return DamagedError(
        f"the state is damaged: the journal of run {run} cannot be read", where=where
    )


def _read_change(user: UserRef, each: KeptChange, sealer: Sealer) -> AttributeChange:
    if each.secret is not None:
        old = sealer.open(user, each.name, each.sealed) if each.sealed else ()
        seen = each.seen and old is not None  # what cannot be opened was not seen
        known = each.secret if each.key == sealer.check or not each.secret else UNKEYED
        return AttributeChange(
            each.name,
            old or (),
            (),
            True,
            seen,
            each.pattern,
            known,
            each.unique,
            each.absent,
        )
    return AttributeChange(
        each.name,
        read_values(each.old),
        read_values(each.new),
        seen=each.seen,
        pattern=each.pattern,
        unique=each.unique,
    )
