"""Whether what a change sets out to do to a user has happened, as far as the user's values tell."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Fingerprint,
    Held,
    Outcome,
    Owned,
    Past,
    Problem,
    Result,
    User,
    UserRef,
)
from connector.reconcile import equality
from connector.reconcile.digests import UNKEYED
from connector.reconcile.questions import Brief

_MOST_NAMES: Final = 50
"""How many users one line names."""


def stands(each: AttributeChange, held: tuple[Held, ...], description: Description) -> bool:
    """Whether the values that the change sets are there, and those that it takes away are gone."""
    if not each.old and (held == each.new or all(value in held for value in each.new)):
        return True  # as nearly always: nothing has to be compared
    rule = description.equality(each.name)
    gone = equality.minus(rule, each.old, each.new)
    return not equality.minus(rule, each.new, held) and equality.minus(rule, gone, held) == gone


def secret_stands(each: AttributeChange, held: tuple[Held, ...], user: UserRef, fingerprint: Fingerprint) -> bool:
    """The same of a secret that is known by its fingerprint alone, and was shown; an empty one: it was cleared."""
    if not each.fingerprint:
        return not held
    return any(fingerprint(user, each.name, value) == each.fingerprint for value in held)


def aftermath(
    change: Change,
    user: User | None,
    description: Description,
    fingerprint: Fingerprint,
    *,
    server: str = "",
    run: str = "",
    ours: Mapping[str, Owned] = MappingProxyType({}),
    past: Sequence[Past] = (),
    open_: Collection[str] = (),
) -> Outcome | None:
    """What became of a write whose answer was lost, by how the user is now; None: nothing that is shown tells.

    A directory writes all of a user's change or nothing, so one attribute speaks for the others.

    `server`: the one that the write was meant for. Another one may not have heard of it: there only values tell that it
    put there. `run`: the one that wrote. `ours`: what this job is known to have written to the user. `past`: what runs
    have set out to change there. `open_`: earlier ones of which it is not known; what they wrote elsewhere may be here.

    A value does not tell where something else explains it. Another run wrote the same, or, at another server, it was
    there before. It is away because of a later run, or of one at another server. Where all that is shown stands, only
    runs explain it of which this server had not heard when this one planned. Where all of it is explained, it does not
    tell of what is not shown.
    """
    elsewhere = server not in ("", description.server)
    if user is None:
        return None  # gone, or out of reach for a while, as somebody who is disabled or was moved
    told = testimony(change.attributes, user, description, fingerprint)
    if not told:
        return None
    at = server or description.server
    # what other runs may have brought to this server, or taken away from it, does not tell of this one
    others = ((whose, each) for whose, where, each in past if elsewhere or where not in ("", at))
    brought = [each for whose, each in others if whose != run and (elsewhere or whose in open_)]
    done = [each for each in past if _changes(each[2])]
    telling = tuple(
        each
        for each in change.attributes
        if not (_was(each, brought, description) if _puts(each) else elsewhere)
        and not _cleared(each, (at, run), ours, done, description)
    )
    # nor does a value that this job is known to have written; but for one of which this server had heard before
    unheard = _unheard(at, run, past)
    since = {name: owned for name, owned in ours.items() if elsewhere or owned.run in unheard}
    whole, put = (
        testimony(
            (each for each in telling if not _ours(each, run, known, description)), user, description, fingerprint
        )
        for known in (since, ours)
    )
    if all(told) and (whole or not (elsewhere or _unseen(change, user, description, fingerprint))):
        return Outcome(change.user, Result.WRITTEN, "not confirmed at first; the values are there")
    if any(put):
        why = "not confirmed at first; it was written, and changed by somebody since"
        return Outcome(change.user, Result.WRITTEN, why)
    # what a later run has changed since tells neither way
    later = {each.name for _, _, each in _after(run, done)}
    left = tuple(each for each in change.attributes if each.name not in later)
    doubt = brought and any(told) and not any(_untouched(each, user, description, fingerprint) for each in left)
    if elsewhere or doubt or all(testimony(left, user, description, fingerprint)):
        return None
    return Outcome(change.user, Result.SKIPPED, "not confirmed at first; it was not written")


def explained(
    change: Change,
    user: User,
    description: Description,
    fingerprint: Fingerprint,
    *,
    run: str,
    ours: Mapping[str, Owned],
    alone: bool,
) -> frozenset[str]:
    """Attributes of a write of unknown outcome of which nothing is open, at the server that it was meant for.

    What it was to take away is gone; what it was to set is there, and another run is known to have written it. Or they
    are not as it leaves them, and it was meant for this server `alone`: no other one may show them so.
    """
    told = ((each, _told(each, user, description, fingerprint)) for each in change.attributes)
    return frozenset(
        each.name
        for each, there in told
        if (there and (not _puts(each) or _ours(each, run, ours, description))) or (alone and there is False)
    )


def _unseen(change: Change, user: User, description: Description, fingerprint: Fingerprint) -> bool:
    """Whether a change has values of which nobody knows whether they are as it leaves them."""
    values = (each for each in change.attributes if each.name != OBJECT_CLASS)
    return any(_told(each, user, description, fingerprint) is None for each in values)


def _ours(each: AttributeChange, run: str, ours: Mapping[str, Owned], description: Description) -> bool:
    """Whether another run is known to have written these very values; then the object classes are there, too."""
    if each.name == OBJECT_CLASS:
        return any(owned.run != run for owned in ours.values())
    owned = ours.get(each.name)
    if owned is None or owned.run == run:
        return False
    if each.secret:
        return bool(each.fingerprint) and owned.fingerprint == each.fingerprint
    rule = description.equality(each.name)
    return bool(each.new) and {equality.digest(rule, equality.plain(value)) for value in each.new} <= set(owned.values)


def _untouched(each: AttributeChange, user: User, description: Description, fingerprint: Fingerprint) -> bool:
    """Whether an attribute does not stand, and shows what was there before."""
    held, rule = user.values.get(each.name, ()), description.equality(each.name)
    if each.secret or not each.seen or _told(each, user, description, fingerprint) is not False:
        return False
    return equality.same_set(rule, each.old, held)


def _puts(each: AttributeChange) -> bool:
    return bool(each.new or each.fingerprint)


def _changes(each: AttributeChange) -> bool:
    """Whether a run may have changed an attribute: of one that did not, the journal says what it saw."""
    return each.fingerprint != UNKEYED if each.secret else each.new != each.old


def _cleared(
    each: AttributeChange,
    at: tuple[str, str],
    ours: Mapping[str, Owned],
    done: Sequence[Past],
    description: Description,
) -> bool:
    """Whether another run, at another server, has taken away what this change takes away, since it was put there.

    `at`: the server and the run of this change. Whoever is known to have put another value there took it away, too.
    """
    if _puts(each):
        return False
    server, run = at
    by = ours[each.name].run if each.name in ours else ""
    since = done[next((number for number, (whose, _, _) in enumerate(done) if whose == by), 0) :]
    others = ((whose, other) for whose, where, other in since if whose != run and where not in ("", server))
    rule, old = description.equality(each.name), () if each.secret else each.old
    return any(
        other.name == each.name and (not _puts(other) or (whose == by and equality.minus(rule, old, other.new)))
        for whose, other in others
    )


def _unheard(server: str, run: str, past: Sequence[Past]) -> frozenset[str]:
    """The runs of which a server may not have heard when this one planned: later ones, and those at another server.

    What any other has written was no longer there then, or nothing was planned.
    """
    elsewhere = (each for each in past if each[1] not in ("", server))
    return frozenset(whose for whose, _, _ in (*elsewhere, *_after(run, past)))


def _after(run: str, past: Sequence[Past]) -> Sequence[Past]:
    """What runs after this one have set out to change; all, where nothing is known of it."""
    return past[max((number for number, (whose, _, _) in enumerate(past, 1) if whose == run), default=0) :]


def _was(each: AttributeChange, before: Sequence[AttributeChange], description: Description) -> bool:
    """Whether these values were there, or were to be, around another run; of an unseen secret nobody knows."""
    same = [other for other in before if other.name == each.name]
    if each.name == OBJECT_CLASS:
        return bool(same)
    if each.secret:
        return any(not other.seen or other.fingerprint == each.fingerprint for other in same)
    rule = description.equality(each.name)
    return not equality.minus(rule, each.new, [value for other in same for value in (*other.old, *other.new)])


def as_known(change: Change, user: User, description: Description, fingerprint: Fingerprint) -> Change:
    """What is known of a change that was found to be written.

    Where some of it does not stand, it may have been written in part. Then nobody knows which secret is there, of those
    that are not shown: one that was set is ours and is written again, one that was taken away is what it was before.
    """
    told = [(each, _told(each, user, description, fingerprint)) for each in change.attributes]
    if all(answer is not False for _, answer in told):
        return change
    unknown = {each.name for each, answer in told if each.secret and answer is None}
    known = (
        replace(each, fingerprint=UNKEYED) if each.name in unknown else each
        for each in change.attributes
        if each.fingerprint or each.name not in unknown
    )
    return replace(change, attributes=tuple(known))


def testimony(
    changes: Iterable[AttributeChange], user: User, description: Description, fingerprint: Fingerprint
) -> list[bool]:
    """Of each attribute that can be judged, whether it is as its change leaves it."""
    answers = (_told(each, user, description, fingerprint) for each in changes)
    return [answer for answer in answers if answer is not None]


def _told(each: AttributeChange, user: User, description: Description, fingerprint: Fingerprint) -> bool | None:
    held = user.values.get(each.name, ())
    if each.name == OBJECT_CLASS:
        return stands(each, held, description) if held else None
    info = description.attributes.get(each.name)
    if info is None:
        return None  # the mapping no longer names it, so that it was not asked for
    shows = bool(held) or info.readable is True
    if each.secret:
        known = shows and each.fingerprint != UNKEYED
        return secret_stands(each, held, user.ref, fingerprint) if known else None
    if each.new or shows or (each.seen and each.old):
        return stands(each, held, description)
    return None


def unsettled(brief: Brief) -> Iterator[Problem]:
    """A line for each run and server whose answers are missing, where another server is asked now."""
    found: dict[tuple[str, str], dict[str, None]] = {}
    for each in brief.memory.unsettled():
        if each.server not in ("", brief.description.server):
            found.setdefault((each.run, each.server), {})[each.user.name] = None
    for (run, server), names in found.items():
        why = (
            f"run {run} wrote to {len(names)} users at {server} without an answer. {brief.description.server} "
            f"does not show the values. They count as this job's until {server} is asked, or they are found"
        )
        yield Problem("unsettled", why, users=tuple(names)[:_MOST_NAMES])
