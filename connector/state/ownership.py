"""What each job wrote last, where: a row for each job and user.

Of each attribute it is known which run wrote it, a digest of each value or the fingerprint
of a secret, and how often in a row these were the same: who has to write one value over and
over is told that somebody keeps taking it away. An attribute of a user is of one job, the
one that wrote it last; of jobs whose patterns (`owns`) no value fits both, each has its own
values.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Final

from msgspec import Struct, json
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    Description,
    Equality,
    Held,
    Owned,
    UserRef,
    equality,
)
from connector.model.patterns import ALL, are_apart, split_pattern
from connector.state.database import (
    Database,
    Slot,
    Transaction,
    encode_text,
    reading_kept,
    rows_of_users,
)
from connector.state.journal_rows import EarlierOwner, keep_agent

_ROWS: Final = "select job, user_id, user_name, attributes, agent from ownership where directory = ?"
Attributes = dict[str, Owned]
_decode = json.Decoder(Attributes).decode


class OwnershipRow(Struct, frozen=True):
    """What one job wrote last to one user."""

    job: str
    user: UserRef
    attributes: Attributes
    agent: str | None = None
    """For whom, as the journal keeps it; None: not known."""


def rename_owner(transaction: Transaction, job: str, new: str) -> None:
    """Give a job another name in all rows that have it as an earlier owner."""
    before, after = (encode_text([name]).removesuffix("]") + "," for name in (job, new))
    transaction.execute(
        "update journal set earlier = replace(earlier, ?, ?) where earlier is not null",
        (before, after),
    )


class TakenAttribute(Struct, frozen=True, gc=False):
    """An attribute of a user as a run has left it, and whose it is now."""

    user: UserRef
    change: AttributeChange
    job: str | None
    """None: nobody's."""
    agent: AgentRef | None = None
    """For whom it was written."""
    restored: bool = False
    """An undo put back what was nobody's."""
    there: tuple[Held, ...] = ()
    """The values that are there, where that is settled late. Another server may have told of them since."""
    earlier: EarlierOwner | None = None
    """What is known of values that an undo gave back to the job."""


Replaced = defaultdict[Slot, list[tuple[str, Owned]]]
"""What was jobs' own in attributes of users, until a run wrote them: each job with what it had."""


class Ownership:
    """What is whose in one directory. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str) -> None:
        self._database = database
        self._directory = directory

    def find_rows(self, which: str, *values: str) -> Iterator[OwnershipRow]:
        """What a condition picks, by the columns of the table."""
        return self._read_rows(
            self._database.rows(f"{_ROWS} and {which}", self._directory, *values)
        )

    def read_users(self, users: Collection[str]) -> Iterator[OwnershipRow]:
        """What any job wrote last to these users, by id."""
        rows = rows_of_users(
            self._database,
            f"{_ROWS} and user_id in ({{users}})",
            sorted(users),
            self._directory,
        )
        return self._read_rows(rows)

    def note_taken(
        self,
        transaction: Transaction,
        run: str,
        taken: Collection[TakenAttribute],
        equality_of: Callable[[str], Equality],
    ) -> Replaced:
        """Note whose these attributes are, as this run has left them; what was whose until then."""
        users = {each.user.id: each.user for each in taken}
        spelt = {each.change.name.lower(): each.change.name for each in taken}
        rows: dict[str, dict[str, OwnershipRow]] = {id_: {} for id_ in users}
        for row in self.read_users(users):
            attributes = {
                spelt.get(name.lower(), name): owned
                for name, owned in row.attributes.items()
            }
            user = users[row.user.id]
            rows[user.id][row.job] = replace(row, user=user, attributes=attributes)
        replaced: Replaced = defaultdict(list)
        for each in taken:
            replaced[each.user.id, each.change.name] += _take_attribute(
                rows[each.user.id], run, each, equality_of(each.change.name)
            )
        kept: list[OwnershipRow] = []
        for of_user in rows.values():
            kept += of_user.values()
        self.keep_rows(transaction, kept)
        return replaced

    def keep_rows(self, transaction: Transaction, rows: Iterable[OwnershipRow]) -> None:
        """Replace what is known of these jobs and users, each of which comes once."""
        kept, gone = [], []
        for row in rows:
            where = (self._directory, row.job, row.user.id)
            if not row.attributes:
                gone.append(where)
                continue
            times = max([each.times for each in row.attributes.values()])
            attributes = encode_text(row.attributes)
            kept.append((*where, row.user.name, attributes, times, row.agent))
        transaction.executemany(
            "insert into ownership (directory, job, user_id, user_name, attributes, times, agent) "
            "values (?, ?, ?, ?, ?, ?, ?) on conflict (directory, user_id, job) do update set "
            "user_name = excluded.user_name, attributes = excluded.attributes, times = excluded.times, "
            "agent = excluded.agent",
            kept,
        )
        transaction.executemany(
            "delete from ownership where directory = ? and job = ? and user_id = ?",
            gone,
        )

    def _read_rows(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[OwnershipRow]:
        with reading_kept(self._database, "the values of earlier runs"):
            for job, id_, name, attributes, agent in rows:
                yield OwnershipRow(job, UserRef(id_, name), _decode(attributes), agent)


def find_written(attributes: Attributes) -> Attributes:
    """What a job wrote; neither an object class, which stays when its values go, nor what it put back."""
    return {
        name: each
        for name, each in attributes.items()
        if name != OBJECT_CLASS and not each.restored
    }


def merge_owned(known: dict[str, Owned], maybe: Mapping[str, Owned]) -> None:
    """Add to what is ours what may be."""
    spelt = {name.lower(): name for name in known}
    for name, each in maybe.items():
        ours = spelt.get(name.lower(), name)
        before = known.get(ours)
        if before is None or before.restored:
            known[ours] = each
        else:
            values = tuple(dict.fromkeys([*before.values, *each.values]))
            fingerprint = before.fingerprint or each.fingerprint
            known[ours] = replace(before, values=values, fingerprint=fingerprint)


def make_owned_if_written(
    run: str, each: AttributeChange, description: Description
) -> Owned:
    """What is ours of an attribute where an open write of it happened."""
    rule = description.equality(each.name)
    put = () if each.secret else equality.subtract_equal(rule, each.new, each.old)
    return Owned(
        run, _digest_values(put, rule), each.fingerprint or None, pattern=each.pattern
    )


def _take_attribute(
    rows: dict[str, OwnershipRow], run: str, taken: TakenAttribute, rule: Equality
) -> list[tuple[str, Owned]]:
    """Note in the rows of one user, by job, what a run did to an attribute; what was whose."""
    name, pattern = taken.change.name, taken.change.pattern
    replaced = [
        (job, row.attributes[name])
        for job, row in rows.items()
        if name in row.attributes
        and (job == taken.job or not are_apart(row.attributes[name].pattern, pattern))
    ]
    there = set(_digest_values(taken.there, rule))
    before, mine = None, None
    for job, before in replaced:
        mine = before if job == taken.job else mine
        del rows[job].attributes[name]
        stays = tuple(value for value in before.values if value in there)
        if stays:
            rows[job].attributes[name] = replace(before, values=stays)
    now = _make_owned(run, taken, before, rule)
    if taken.job is None or now is None:
        return replaced
    row = rows.get(taken.job) or OwnershipRow(taken.job, taken.user, {})
    left = row.attributes.get(name, Owned(run))
    row.attributes[name] = replace(
        now,
        values=tuple(dict.fromkeys((*now.values, *left.values))),
        former=_find_former(mine, pattern),
    )
    rows[taken.job] = replace(row, agent=keep_agent(taken.agent))
    return replaced


def _make_owned(
    run: str, taken: TakenAttribute, before: Owned | None, rule: Equality
) -> Owned | None:
    """What is ours of an attribute that a run has written; None: nothing.

    A value that was there before, and that no job had written, is not ours for being kept.
    """
    change = taken.change
    old = new = tuple[str, ...]()
    if not change.secret:
        old, new = _digest_values(change.old, rule), _digest_values(change.new, rule)
    if taken.earlier is not None:
        sent, stored = taken.earlier.sent, taken.earlier.stored
    elif change.secret:
        sent = tuple(map(str, change.sent))
        stored = (change.fingerprint,) if sent else ()
    else:
        sent = _digest_values(change.sent, rule)
        stored = new if sent else ()
    there = set(old)
    if before and before.restored == taken.restored:
        there.difference_update(before.values)
    values = tuple(value for value in new if value not in there)
    is_ours = values or sent or change.secret or change.name == OBJECT_CLASS
    if not is_ours:
        return None
    now = Owned(
        run,
        values,
        change.fingerprint or None,
        restored=taken.restored,
        pattern=change.pattern,
        sent=sent,
        stored=stored,
    )
    if before and (before.values, before.fingerprint) == (values, now.fingerprint):
        return replace(now, times=before.times + 1)
    return now


def _digest_values(values: Iterable[Held], rule: Equality) -> tuple[str, ...]:
    return tuple([equality.digest_value(rule, value) for value in values])


def _find_former(
    before: Owned | None, pattern: str | None
) -> dict[str, tuple[str, ...]]:
    """Values of a job that this pattern leaves out, by the patterns under which it wrote them."""
    if before is None or pattern is None or pattern == ALL:
        return {}
    former = dict(before.former)
    if before.pattern and before.values:
        former[before.pattern] = before.values
    owned = set(split_pattern(pattern))
    return {
        each: values
        for each, values in former.items()
        if not owned.issuperset(split_pattern(each))
    }
