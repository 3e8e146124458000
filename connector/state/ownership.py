"""What each job wrote last, where: a row for each job and user.

Of each attribute it is known which run wrote it, a digest of each value or the fingerprint
of a secret, and how often in a row these were the same: who has to write one value over and
over is told that somebody keeps taking it away. An attribute of a user is of one job, the
one that wrote it last; of jobs whose patterns (`owns`) no value fits both, each has its own
values.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from msgspec import Struct, json
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Equality,
    Held,
    Owned,
    UserRef,
    Value,
    equality,
)
from connector.model.patterns import ALL, apart, parts
from connector.state.database import (
    Database,
    Transaction,
    rows_of_users,
    sound,
)
from connector.state.journal_rows import kept_ref

_ROWS: Final = "select job, user_id, user_name, attributes, agent from ownership where directory = ?"
_COLUMNS: Final = (
    "directory", "job", "user_id", "user_name", "attributes", "times", "agent",
)  # fmt: skip
_SHARED: Final = 100
"""So many values are digested once if many users get them: object classes, an address."""
_FORGET: Final = "delete from ownership where directory = ? and job = ? and user_id = ?"
Attributes = dict[str, Owned]
_decode = json.Decoder(Attributes).decode


class Row(Struct, frozen=True):
    """What one job wrote last to one user, and for which agent, as the journal keeps it; None: not known."""

    job: str
    user: UserRef
    attributes: Attributes
    agent: str | None = None


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


def rename_owner(transaction: Transaction, job: str, new: str) -> None:
    """Give a job another name in all rows that have it as an earlier owner."""
    before, after = (
        json.encode([name]).decode().removesuffix("]") + "," for name in (job, new)
    )
    update = (
        "update journal set earlier = replace(earlier, ?, ?) where earlier is not null"
    )
    transaction.execute(update, (before, after))


class Taken(Struct, frozen=True, gc=False):
    """An attribute of a user as a run has left it, and whose it is now."""

    user: UserRef
    change: AttributeChange
    job: str | None
    """None: nobody's."""
    restored: bool = False
    """An undo put back what was nobody's."""
    there: tuple[Held, ...] = ()
    """The values that are there, where that is settled late. Another server may have told of them since."""
    earlier: EarlierOwner | None = None
    """What is known of values that an undo gave back to the job."""


class Ownership:
    """What is whose in one directory. All of its methods raise StateError."""

    def __init__(self, database: Database, directory: str) -> None:
        self._database = database
        self._directory = directory

    def of_job(self, job: str) -> Iterator[Row]:
        return self._find_rows(f"{_ROWS} and job = ?", job)

    def of_others(self, job: str) -> Iterator[Row]:
        return self._find_rows(f"{_ROWS} and job <> ?", job)

    def respelt(self) -> Iterator[Row]:
        """What any job wrote that the directory spells otherwise: lists in it have values."""
        return self._find_rows(f"{_ROWS} and attributes like ?", '%"],["%')

    def rewritten(self, job: str) -> Iterator[Row]:
        return self._find_rows(f"{_ROWS} and job = ? and times > 1", job)

    def with_former(self, job: str) -> Iterator[Row]:
        """Rows with an attribute that has former values; the last field of its JSON is an object that is not empty."""
        return self._find_rows(
            f"{_ROWS} and job = ? and attributes like ?", job, '%,{"%'
        )

    def of(self, users: Sequence[str]) -> Iterator[Row]:
        """What any job wrote last to these users, by id."""
        return self._read_rows(
            rows_of_users(
                self._database,
                f"{_ROWS} and user_id in ({{users}})",
                users,
                self._directory,
            )
        )

    def find_owners(
        self,
        changes: Sequence[Change],
        job: str,
        equality_of: Callable[[str], Equality],
    ) -> dict[str, Owners]:
        """By user id and attribute, whose the old values of these changes are: of this job before all others."""
        rows: dict[str, list[Row]] = {}
        for row in self.of([change.user.id for change in changes]):
            place = 0 if row.job == job else len(rows.get(row.user.id, ()))
            rows.setdefault(row.user.id, []).insert(place, row)
        found: dict[str, Owners] = {}
        for change in changes:
            for each in change.attributes if change.user.id in rows else ():
                rule = equality_of(each.name)
                owner = _find_owner(rows[change.user.id], each, rule)
                if owner is not None:
                    found.setdefault(change.user.id, {})[each.name] = owner
        return found

    def note(
        self,
        transaction: Transaction,
        run: str,
        changes: Sequence[Change],
        taken_of: Callable[[Change], Iterable[Taken]],
        equality_of: Callable[[str], Equality],
        *,
        newer: Collection[str] = (),
        first: str | None = None,
    ) -> None:
        """Note whose the attributes of these changes are, as this run has left them; the last counts of several.

        `newer`: runs that began after this one, which is settled late. An attribute that they wrote stays as it is.
        `first`: the job whose first values are, where nobody had any, whatever `taken_of` would say.
        """
        users = {change.user.id: change.user for change in changes}
        rules = {
            name: equality_of(name)
            for name in {each.name for change in changes for each in change.attributes}
        }
        spelt = {name.lower(): name for name in rules}
        known: dict[str, dict[str, Attributes]] = {id_: {} for id_ in users}
        agents: dict[tuple[str, str], str | None] = {}
        for row in self.of(list(users)):
            agents[row.job, row.user.id] = row.agent
            known[row.user.id][row.job] = {
                spelt.get(name.lower(), name): each
                for name, each in row.attributes.items()
            }
        touched: dict[tuple[str, str], None] = {}
        digest = lru_cache(_SHARED)(equality.digest)
        for change in changes:
            id_ = change.user.id
            jobs = known[id_]
            if (
                first is not None
                and not jobs
                and (fresh := _all_first(run, change, rules, digest))
            ):
                jobs[first] = fresh
                touched[first, id_] = None
                agents[first, id_] = kept_ref(change.agent)
                continue
            for each in taken_of(change):
                name, before = each.change.name, None
                ours = jobs.get(each.job or "")
                mine = ours.get(name) if ours else None
                held: Sequence[str] = ()
                if jobs and (
                    len(jobs) > 1 or ours is None or name in ours
                ):  # else nobody had this attribute
                    held = [
                        job
                        for job in jobs
                        if name in jobs[job]
                        and _values_meet(job, jobs[job][name], each)
                    ]
                if newer and any(jobs[job][name].run in newer for job in held):
                    continue
                there = {
                    equality.digest(rules[name], equality.plain(value))
                    for value in each.there
                    if held
                }
                for job in held:
                    before = jobs[job].pop(name)
                    touched[job, id_] = None
                    if stays := tuple(
                        value for value in before.values if value in there
                    ):
                        jobs[job][name] = replace(before, values=stays)
                if each.job is not None and (
                    now := _make_owned(run, each, before, rules[name], digest)
                ):
                    ours = jobs.setdefault(each.job, {})
                    now = (
                        replace(now, former=_find_former(mine, each.change.pattern))
                        if mine
                        else now
                    )
                    also = ours[name].values if name in ours else ()
                    more = (
                        tuple([value for value in also if value not in now.values])
                        if also
                        else ()
                    )
                    ours[name] = (
                        replace(now, values=(*now.values, *more)) if more else now
                    )
                    touched[each.job, id_] = None
                    agents[each.job, id_] = kept_ref(change.agent)
        rows = (
            Row(job, users[id_], known[id_][job], agents.get((job, id_)))
            for job, id_ in touched
        )
        self.keep(transaction, rows)

    def keep(self, transaction: Transaction, rows: Iterable[Row]) -> None:
        """Replace what is known of these jobs and users, each of which comes once."""
        kept, gone = [], []
        for row in rows:
            where = (self._directory, row.job, row.user.id)
            if row.attributes:
                times = max([each.times for each in row.attributes.values()])
                kept.append(
                    (
                        *where,
                        row.user.name,
                        json.encode(row.attributes).decode(),
                        times,
                        row.agent,
                    )
                )
            else:
                gone.append(where)
        transaction.put_all("ownership", _COLUMNS, kept)
        transaction.executemany(_FORGET, gone)

    def _find_rows(self, sql: str, *values: str) -> Iterator[Row]:
        return self._read_rows(self._database.rows(sql, self._directory, *values))

    def _read_rows(self, rows: Iterable[tuple[Any, ...]]) -> Iterator[Row]:
        with sound(self._database, "the values of earlier runs"):
            for job, id_, name, attributes, agent in rows:
                yield Row(job, UserRef(id_, name), _decode(attributes), agent)


def _find_owner(
    rows: Iterable[Row], each: AttributeChange, rule: Equality
) -> EarlierOwner | None:
    """The job whose values an attribute has, if they are as that job wrote them."""
    if not each.old:
        return None
    there = set[str]()
    if not each.secret:
        there = {equality.digest(rule, equality.plain(value)) for value in each.old}
    for row in rows:
        for name, owned in row.attributes.items():
            if name.lower() != each.name.lower() or owned.restored:
                continue
            known = bool(owned.fingerprint)
            if not each.secret:
                known = bool(owned.values) and there.issuperset(owned.values)
            if known:
                return EarlierOwner(
                    row.job, owned.fingerprint, owned.sent, owned.stored
                )
    return None


def _values_meet(job: str, owned: Owned, taken: Taken) -> bool:
    """Whether what a run has left may be what this job wrote there."""
    return job == taken.job or not apart(owned.pattern, taken.change.pattern)


def _all_first(
    run: str,
    change: Change,
    rules: Mapping[str, Equality],
    digest: Callable[[Equality, Value], str],
) -> Attributes | None:
    """What is ours after a change that sets attributes which had no value, as nearly every one does; else None."""
    found = {}
    for each in change.attributes:
        if each.old or each.secret or each.fingerprint or each.sent or not each.new:
            return None
        values = [
            digest(
                rules[each.name], value if type(value) is str else equality.plain(value)
            )
            for value in each.new
        ]
        found[each.name] = Owned(run, tuple(values), pattern=each.pattern)
    return found


def _make_owned(
    run: str,
    taken: Taken,
    before: Owned | None,
    rule: Equality,
    digest: Callable[[Equality, Value], str],
) -> Owned | None:
    """What is ours of an attribute that a run has written; None: nothing.

    A value that was there before, and that no job had written, is not ours for being kept.
    """
    change = taken.change
    sent, stored = tuple[str, ...](), tuple[str, ...]()
    if taken.earlier is not None:
        sent, stored = taken.earlier.sent, taken.earlier.stored
    elif change.sent and change.secret:
        sent, stored = tuple(map(str, change.sent)), (change.fingerprint,)
    elif change.sent:
        sent, stored = (
            tuple([digest(rule, equality.plain(one)) for one in some])
            for some in (change.sent, change.new)
        )
    if change.secret:
        values: tuple[str, ...] = ()
    else:
        digests = [digest(rule, equality.plain(value)) for value in change.new]
        if change.old:
            known = (
                before.values if before and before.restored == taken.restored else ()
            )
            put = equality.minus(rule, change.new, change.old)
            pairs = zip(change.new, digests, strict=True)
            digests = [
                digest for value, digest in pairs if value in put or digest in known
            ]
        values = tuple(digests)
        if not (values or sent) and change.name != OBJECT_CLASS:
            return None
    print_ = change.fingerprint or None
    same = before is not None and (before.values, before.fingerprint) == (
        values,
        print_,
    )
    times = before.times + 1 if same and before else 1
    return Owned(
        run, values, print_, times, taken.restored, change.pattern, sent, stored
    )


def _find_former(
    before: Owned | None, pattern: str | None
) -> dict[str, tuple[str, ...]]:
    """Values of a job that this pattern leaves out, by the patterns under which it wrote them."""
    if before is None or pattern is None:
        return {}
    found = before.former | (
        {before.pattern: before.values} if before.pattern and before.values else {}
    )
    owned = {*parts(pattern)}
    return {
        each: values
        for each, values in found.items()
        if ALL not in owned and not owned.issuperset(parts(each))
    }
