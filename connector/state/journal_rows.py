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
from typing import Any, Final

from msgspec import DecodeError, Struct, json
from msgspec.structs import replace

from connector.model import (
    AgentRef,
    AttributeChange,
    Change,
    Held,
    Result,
    Secret,
    UserRef,
    Value,
    WritePart,
    equality,
)
from connector.model.digests import UNKEYED, is_secret
from connector.reports.document_shape import WrittenOctets, read_values, write_values
from connector.runtime.clock import format_now
from connector.state.database import (
    Database,
    Ended,
    Transaction,
    encode_text,
    make_storable,
    reading_kept,
    restore_row,
    rows_of_users,
)

_NONCE = 12
"""Octets, as NIST SP 800-38D §8.2 recommends; random ones, of which a key may see 2³²."""


class Sealer:
    """AES-256-GCM (NIST SP 800-38D) under a key derived from `key`; each value is bound to its user and attribute.

    Without a key nothing is sealed, and nothing opens. `check`: what the key is known by,
    which does not tell it.
    """

    def __init__(self, key: Secret | None) -> None:
        self._key = key
        self.check = ""
        if key is not None:
            self.check = self._derive_key(b"cec-connector key check/1").hex()[:32]

    def seal_values(
        self, user: UserRef, attribute: str, values: Iterable[Held]
    ) -> str | None:
        """The values as a text that only the holder of the key can open."""
        if self._key is None:
            return None
        plain = [equality.reveal_value(value) for value in values]
        body = json.encode(
            [[isinstance(value, bytes), _to_octets(value)] for value in plain]
        )
        nonce = os.urandom(_NONCE)
        context = _bind_context(user, attribute)
        sealed = nonce + self._make_cipher().encrypt(nonce, body, context)
        return base64.b64encode(sealed).decode()

    def open_values(
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

    def _make_cipher(self) -> Any:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # 30 ms, only for sealed values

        return AESGCM(self._derive_key(b"cec-connector sealing/1"))

    def _derive_key(self, purpose: bytes) -> bytes:
        assert self._key is not None
        return hmac.digest(
            _to_octets(equality.reveal_value(self._key)), purpose, "sha256"
        )


def _bind_context(user: UserRef, attribute: str) -> bytes:
    return f"{user.id}\0{attribute.lower()}".encode()


def _to_octets(value: Value) -> bytes:
    return (
        value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")
    )


# ------------------------------------------------------------ an attribute's change as it is kept


class KeptChange(Struct, frozen=True, omit_defaults=True):
    """An attribute's change as the journal keeps it."""

    name: str
    old: tuple[str | WrittenOctets, ...] = ()
    new: tuple[str | WrittenOctets, ...] = ()
    secret: str | None = None
    """The fingerprint of a secret, empty where it is cleared; None: it is no secret."""
    sealed: str | None = None
    """The old values of a secret."""
    seen: bool = True
    pattern: str | None = None
    unique: bool = False
    key: str | None = None
    """By which key the secret is sealed and its fingerprint was made (`Sealer.check`)."""
    absent: bool = False
    sent: tuple[str | WrittenOctets, ...] = ()
    """As of `AttributeChange`, once the outcome is known. Of a secret it is a fingerprint."""


def keep_change(user: UserRef, each: AttributeChange, sealer: Sealer) -> KeptChange:
    """An attribute's change as the journal keeps it."""
    known = KeptChange(
        each.name,
        seen=each.seen,
        pattern=each.pattern,
        unique=each.unique,
        sent=write_values(each.sent),
    )
    if not is_secret(each):
        return replace(known, old=write_values(each.old), new=write_values(each.new))
    sealed = sealer.seal_values(user, each.name, each.old) if each.old else None
    return replace(
        known,
        secret=each.fingerprint,
        sealed=sealed,
        seen=each.seen and (sealed is not None or not each.old),
        key=sealer.check,
        absent=each.absent,
    )


def _restore_change(
    user: UserRef, each: KeptChange, sealer: Sealer | None
) -> AttributeChange:
    old: tuple[Held, ...] = read_values(each.old)
    fingerprint = each.secret or ""
    seen = each.seen
    if each.sealed:
        opened = sealer and sealer.open_values(user, each.name, each.sealed)
        old = opened or ()
        seen = seen and opened is not None  # what cannot be opened was not seen
    if fingerprint and sealer and sealer.check != each.key:
        fingerprint = UNKEYED
    return AttributeChange(
        each.name,
        old,
        read_values(each.new),
        secret=each.secret is not None,
        seen=seen,
        pattern=each.pattern,
        fingerprint=fingerprint,
        unique=each.unique,
        absent=each.absent,
    )


def keep_agent(agent: AgentRef | None) -> str | None:
    """An agent as a row keeps it."""
    if agent is None:
        return None
    return encode_text(make_storable([agent.work_no, agent.account_code]))


def restore_agent(agent: str | None) -> AgentRef | None:
    """The agent of a row. Raises ValueError and TypeError where it is damaged."""
    if agent is None:
        return None
    return AgentRef(
        *restore_row(json.decode(agent, type=tuple[int | None, str | None]))
    )


class EarlierOwner(Struct, frozen=True, array_like=True):
    """The job whose values a write has replaced, so that an undo gives them back to it."""

    job: str
    fingerprint: str | None = None
    """Of the secret that the job had written."""
    sent: tuple[str, ...] = ()
    """As in `Owned`."""
    stored: tuple[str, ...] = ()
    """As in `Owned`."""


Owners = dict[str, EarlierOwner]
"""Earlier owners by attribute."""


# ------------------------------------------------------------ writes


class JournalStep(Struct, frozen=True):
    """One write of a run, as its journal has it."""

    run: str
    change: Change
    """A secret has no new values: its `fingerprint` says what it is, or is `UNKEYED` where it is of another key than
    the reader's. Its old ones are there where they were seen and the reader can open them."""
    outcome: Result | None
    """None: it is not known whether it was written."""
    why: str = ""
    server: str = ""
    """The one that it was meant for, or several."""
    lost: tuple[str, ...] = ()
    """Attributes that the directory took and does not show as written."""
    job: str = ""
    number: int = 0
    """Of its run; it orders runs."""
    earlier: Owners = {}
    """Whose the values were that it has replaced."""

    @property
    def user(self) -> UserRef:
        return self.change.user

    @property
    def patterns(self) -> dict[str, str | None]:
        """The attributes, each with its pattern."""
        return {each.name: each.pattern for each in self.change.attributes}


_STEPS: Final = (
    "select run, job, number, user_id, user_name, journal.digest, part, agent, rule, attributes, outcome, why, "
    "journal.server, lost, earlier from journal join runs on runs.id = journal.run"
)
_BESIDE: Final = ", "
_decode_changes = json.Decoder(list[KeptChange]).decode
_decode_owners = json.Decoder(Owners).decode
_decode_lost = json.Decoder(tuple[str, ...]).decode


def read_steps(
    database: Database,
    which: str,
    *values: str,
    sealer: Sealer | None = None,
    users: Sequence[str] | None = None,
) -> Iterator[JournalStep]:
    """The writes that a condition picks, by columns of journal and runs. Raises StateError for a damaged one.

    `sealer`: the reader's key; without it no old secret is opened. `users`: of these alone, for whom `{users}` stands.
    """
    query = f"{_STEPS} where {which}"
    rows: Iterable[Sequence[Any]] = (
        database.rows(query, *values)
        if users is None
        else rows_of_users(database, query, users, *values)
    )
    for row in rows:
        with reading_kept(database, f"the journal of run {row[0]}"):
            step = _make_step(row, sealer)
        yield step


def _make_step(row: Sequence[Any], sealer: Sealer | None) -> JournalStep:
    run, job, number, id_, name, digest, part, agent, rule, attributes, *came = row
    outcome, why, server, lost, earlier = came
    user = UserRef(id_, name)
    changes = [
        _restore_change(user, each, sealer) for each in _decode_changes(attributes)
    ]
    change = Change(
        user,
        restore_agent(agent),
        rule,
        tuple(changes),
        digest,
        part=WritePart(part.partition(":")[0]),
    )
    return JournalStep(
        run,
        change,
        Result(outcome) if outcome else None,
        why or "",
        server,
        _decode_lost(lost) if lost else (),
        job,
        number,
        _decode_owners(earlier) if earlier else {},
    )


def find_unopened(database: Database, run: str, sealer: Sealer) -> bool:
    """Whether a run has sealed a value by this key, which does not open it."""
    for id_, attributes in database.rows(
        "select user_id, attributes from journal where run = ?", run
    ):
        for each in _decode_changes(attributes):
            if not each.sealed or each.key != sealer.check:
                continue
            if sealer.open_values(UserRef(id_, ""), each.name, each.sealed) is None:
                return True
    return False


def key_of(change: Change) -> tuple[str, str, str]:
    """What tells a write from the others of its run: user, digest and part."""
    return change.user.id, change.digest, part_of(change)


def part_of(change: Change) -> str:
    """What tells one write of a user's change from another: of several steps, the attribute, and whether it is set."""
    part = change.part.value
    if change.part is not WritePart.STEP:
        return part
    attribute = change.attributes[0]
    # of a secret that is read again the fingerprint alone tells that it is set
    return f"{part}:{'set' if attribute.sets else 'clear'}:{attribute.name}"


def note_outcomes(
    transaction: Transaction,
    run: str,
    outcomes: Iterable[Ended],
    server: str,
) -> None:
    """Keep what became of writes that are in the journal of this run.

    A write that another server has or may have, and that this one shows as written, is this one's from now on.
    """
    now = format_now()
    rows = []
    for change, outcome in outcomes:
        result = outcome.result.value
        lost = encode_text(outcome.lost) if outcome.lost else None
        came = (result, outcome.why, lost, now, result, server)
        rows.append((*came, run, *key_of(change)))
    transaction.executemany(
        "update journal set outcome = ?, why = ?, lost = ?, noted = ?, "
        "server = case ? when 'written' then ? else server end "
        "where run = ? and user_id = ? and digest = ? and part = ?",
        rows,
    )


# ------------------------------------------------------------ at which servers


def note_servers(transaction: Transaction, steps: Iterable[JournalStep]) -> None:
    """Keep which servers have these writes, or may have, which are in the journal of their runs."""
    transaction.executemany(
        "update journal set server = ? where run = ? and user_id = ? and digest = ? and part = ?",
        [(each.server, each.run, *key_of(each.change)) for each in steps],
    )


def add_server(servers: str, server: str) -> str:
    """The servers that a write was meant for, and one more: where a run goes on at another one, each may have it."""
    return _BESIDE.join(dict.fromkeys([*filter(None, servers.split(_BESIDE)), server]))


def remove_server(servers: str, server: str) -> str:
    """The servers that a write was meant for, but for one that is known not to have it."""
    return _BESIDE.join(each for each in servers.split(_BESIDE) if each != server)


def is_one_of_several(servers: str, server: str) -> bool:
    """Whether a write was meant for this server and for others."""
    return remove_server(servers, server) not in ("", servers)
