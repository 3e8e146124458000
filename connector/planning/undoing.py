"""Taking a run back: its confirmed writes, where the value still is exactly what that run wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from connector.matching.lookup import Lookup
from connector.matching.people import ExcludeList, unprotected
from connector.matching.user_names import Naming
from connector.model import (
    OBJECT_CLASS,
    AttributeChange,
    Change,
    Description,
    Equality,
    Held,
    Holds,
    Owned,
    Part,
    Plan,
    Problem,
    Question,
    Refusal,
    Result,
    Secret,
    Summary,
    User,
    UserRef,
    equality,
    hidden,
    patterns,
)
from connector.model.digests import UNKEYED
from connector.model.limits import Whole, too_many
from connector.planning.assembly import assembled, change_of, counts, held_back
from connector.planning.brief import Brief
from connector.planning.compare.draft import Draft
from connector.planning.compare.settling import in_order, settled
from connector.planning.compare.standing import Shown
from connector.planning.overview.person_names import with_people
from connector.planning.unanswered import unsettled
from connector.planning.undo_outcomes import GONE, Written, result, untold

_LATE: Final = "that run wrote it at {wrote}. {asked} does not show it yet. Rerun the undo once it does"
_UNSHOWN: Final = "that run wrote {names}, and the directory did not show it. All its values of this user are kept"
_SPARED: Final = "on the exclude list; the values of that run are kept"
_UNREADABLE: Final = "no value is shown: it is gone, or this account cannot read it. It may have changed since that run"
_STAYS: Final = (
    "kept. Grant the right to read it and rerun the undo, or remove it by hand"
)


def undo(
    directory: Lookup,
    brief: Brief,
    steps: Sequence[Written],
    *,
    begun: Mapping[str, Collection[str]],
    since: Mapping[str, Collection[str]],
    exclude: ExcludeList,
    unshown: Iterable[tuple[Change, Collection[str]]] = (),
) -> Plan:
    """The plan that takes back what a run has written, as far as it still is as that run left it.

    `steps`: its writes. `begun`: by user id what a killed undo emptied alone.
    `since`: by user id the attributes that later runs wrote. Attributes that belong together go back all, or none.
    `exclude`: agents and users that are left as they are. `unshown`: changes with the attributes that the directory
    took and did not show: they stay.
    """
    asked = dict.fromkeys(
        change.user
        for change, outcome, *_ in steps
        if outcome in (Result.WRITTEN, None)
    )
    now = {
        user.id: user
        for user in (directory.read(asked, disabled=brief.mapping.disabled == "clear"))
    }
    writers = _Writers(
        brief, now, {change.user.id for change, outcome, *_ in steps if outcome is None}
    )
    open_ = defaultdict[str, set[str]](set)
    for each in brief.memory.unsettled():
        open_[each.user.id].add(each.run)
    results = [
        (step[0], result(step, now, brief, open_[step[0].user.id])) for step in steps
    ]
    written = folded(change for change, result in results if result is Result.WRITTEN)
    unknown = folded(change for change, result in results if result is None)
    server = brief.description.server
    elsewhere = {
        change.user.id: wrote
        for change, _, wrote, _ in steps
        if wrote not in ("", server)
    }
    stays = _staying(directory, written, now, brief, since)
    backs: list[tuple[Draft, Change, User]] = []
    problems = list(untold(unknown, written, now, brief, since))
    naming, exclude = (
        Naming(brief.description),
        exclude.remembering(brief.memory.excluded()),
    )
    spared = exclude.spares(
        naming, brief.memory.agents([change.user.id for change in written])
    )
    for change in written:
        user = now.get(change.user.id)
        if user is None or (user.disabled and change.agent is not None):
            problems.append(
                Problem(
                    "undo",
                    f"{GONE}; kept",
                    agent=change.agent,
                    users=(change.user.name,),
                )
            )
            continue
        if spared(change.agent, user.ref) or spared(
            None, change.user
        ):  # by its name of now, or of then
            problems.append(
                Problem("exclude", _SPARED, agent=change.agent, users=(user.name,))
            )
            continue
        emptied = begun.get(user.id, ())
        # why an attribute that is as it was before the run may not be so everywhere
        late = dict[str, str]()
        if user.id in elsewhere:
            half = {each.name for each in change.attributes if each.old}.intersection(
                emptied
            )
            # what was emptied alone, and had no value before, is done
            done = set(since.get(user.id, ())) - half
            why = _LATE.format(wrote=elsewhere[user.id], asked=server)
            late = {
                each.name: why for each in change.attributes if each.name not in done
            }
        draft = _back_for(
            change,
            user,
            brief,
            writers,
            begun=emptied,
            stays=stays.get(user.id, {}),
            late=late,
        )
        backs.append((draft, change, user))
    drafts = [draft for draft, _, _ in backs]
    unique = settled(directory, drafts, brief, lambda draft: False)
    for draft, change, user in backs:
        draft.planned += _classes_back(change, draft, user, brief)
    waiting = unique.waiting()
    changes = [change_of(draft, draft.planned, waiting) for draft in in_order(drafts)]
    summary = Summary(**counts(changes))
    whole = max(len(written), writers.users)
    refused = _unprotected(
        directory, exclude, naming, [change.user for change in written]
    )
    refused += too_many(brief.limits, summary, Whole(whole, whole), changes)
    problems = [*problems, *held_back(drafts, unique.problems), *unsettled(brief)]
    problems += [Problem("undo", _UNSHOWN.format(names=", ".join(lost)), each.agent, (each.user.name,))
                 for each, lost in unshown]  # fmt: skip
    cautions = brief.description.cautions
    plan = assembled(
        brief, changes=changes, problems=problems, summary=summary, refusals=refused, cautions=cautions,
        taken=unique.taken(), ours={change.user.id for change in changes},  # nothing else is taken back
    )  # fmt: skip
    return with_people(directory, plan, brief)


def _unprotected(
    directory: Lookup, exclude: ExcludeList, naming: Naming, then: Sequence[UserRef]
) -> list[Refusal]:
    """The refusal for entries of the exclude list that name nobody, neither now nor among those users, as of `then`."""
    keys = exclude.keys(naming)
    now = list(directory.find(keys)) if keys else []
    lost = [entry for entry, ids in exclude.named(now, naming).items() if not ids]
    lost = [entry for entry in lost if not any(map(naming.among([entry]), then))]
    return unprotected(directory, exclude, naming, lost)


def folded(steps: Iterable[Change]) -> list[Change]:
    """One change a user: a change that was written in parts is whole again, with what went first at its begin."""
    users: dict[str, Change] = {}
    for change in sorted(steps, key=lambda change: change.part is Part.REST):
        before = users.get(change.user.id)
        users[change.user.id] = (
            change
            if before is None
            else replace(before, attributes=_joined(before, change))
        )
    return sorted(users.values(), key=lambda change: (change.user.name, change.user.id))


def _joined(first: Change, second: Change) -> tuple[AttributeChange, ...]:
    begun = {each.name: each for each in first.attributes}
    then = {each.name for each in second.attributes}
    return (
        *(each for each in first.attributes if each.name not in then),
        *(
            replace(each, old=begun[each.name].old) if each.name in begun else each
            for each in second.attributes
        ),
    )


class _Writers:
    """Who wrote last to these users. `users`: to how many users, of all, this job wrote.

    `untold`: users of whom it was not known whether the run wrote to them.
    """

    def __init__(
        self, brief: Brief, now: Mapping[str, User], untold: Collection[str]
    ) -> None:
        self._brief = brief
        self.untold = untold
        self.users = 0
        self._mine: dict[str, Mapping[str, Owned]] = {}
        for ref, owned in brief.memory.owned():
            self.users += 1
            if ref.id in now:
                self._mine[ref.id] = {
                    name.lower(): each for name, each in owned.items()
                }
        self._theirs: defaultdict[tuple[str, str], list[tuple[str, str | None]]] = (
            defaultdict(list)
        )
        for other in brief.memory.others():
            for name, pattern in (
                other.attributes.items() if other.user.id in now else ()
            ):
                self._theirs[other.user.id, name.lower()].append((other.job, pattern))

    def since(
        self, each: AttributeChange, back: AttributeChange, user: UserRef
    ) -> str | None:
        """Who has written since the run what `back` takes away, as far as the state knows; None: nobody."""
        for job, pattern in self._theirs.get((user.id, each.name.lower()), ()):
            if not patterns.apart(pattern, each.pattern):
                return f"another job ({job}) wrote it since; kept"
        if user.id in self.untold:
            return None  # what was written there is not noted yet
        last = self._mine.get(user.id, {}).get(each.name.lower(), Owned(""))
        rule = self._brief.description.equality(each.name)
        if each.secret:
            ours = not back.old or last.fingerprint == each.fingerprint
        else:
            taken = equality.minus(rule, back.old, back.new)
            ours = {equality.digest(rule, value) for value in taken} <= set(last.values)
        return None if ours else "this job did not write the current value; kept"


def _staying(
    directory: Lookup,
    written: Iterable[Change],
    now: Mapping[str, User],
    brief: Brief,
    since: Mapping[str, Collection[str]],
) -> dict[str, dict[str, str]]:
    """By user id the attributes that stay whatever they hold, each with the reason."""
    stays: dict[str, dict[str, str]] = {}
    unseen: list[Question] = []
    for change in written:
        user, names = now.get(change.user.id), {each.name for each in change.attributes}
        later = [name for name in since.get(change.user.id, ()) if name not in names]
        stays[change.user.id] = dict.fromkeys(later, "a later run wrote it; kept")
        for each in change.attributes if user else ():
            info = brief.description.attributes.get(each.name)
            shown = (
                info is None
                or info.readable is True
                or each.name in now[change.user.id].values
            )
            # what was emptied: is there none still?
            values = each.new or (() if each.fingerprint else each.old)
            if values and not shown:
                unseen.append(Question(change.user, each.name, values[0]))
    for asked, answer in directory.compare(unseen):
        if answer is not Holds.ABSENT:
            stays[asked.user.id][asked.attribute] = _unreadable(
                brief.description, asked.value
            )
    return stays


def _unreadable(description: Description, value: Held) -> str:
    lost = isinstance(value, Secret) and description.writing.replaces
    return f"{_UNREADABLE}; {'it may be lost, since the whole user is written' if lost else _STAYS}"


def _back_for(
    change: Change,
    user: User,
    brief: Brief,
    writers: _Writers,
    *,
    begun: Collection[str],
    stays: Mapping[str, str],
    late: Mapping[str, str],
) -> Draft:
    """What takes back one user's change, and what of it, or of the groups that it is part of, must stay."""
    back, kept, shown = (
        [],
        dict[str, str](),
        Shown(user, brief.description, brief.fingerprint),
    )
    for each in change.attributes:
        if each.name == OBJECT_CLASS:
            continue
        answer = stays.get(each.name) or _back(each, shown, emptied=each.name in begun)
        if answer is None:
            answer = late.get(each.name)
        if isinstance(answer, AttributeChange):
            answer = writers.since(each, answer, user.ref) or answer
        if isinstance(answer, str):
            kept[each.name] = answer
        elif answer is not None:
            back.append(answer)
    groups = [
        group
        for group in brief.mapping.groups
        if any(each.name in group for each in back)
    ]
    kept |= {name: stays[name] for group in groups for name in group if name in stays}
    held = (
        Problem("undo", why, change.agent, (user.name,), attribute=name)
        for name, why in kept.items()
    )
    return Draft(
        user.ref,
        change.agent,
        change.rule,
        tuple(back),
        tuple(held),
        disabled=user.disabled,
        inactive=user.inactive,
    )


def _back(
    each: AttributeChange, shown: Shown, *, emptied: bool
) -> AttributeChange | str | None:
    """The change that takes this one back, None where that was done already, or why it stays."""
    if each.secret:
        return _secret_back(each, shown)
    rule = shown.description.equality(each.name)
    ours = patterns.ours(each.pattern, shown.held(each.name))
    if equality.same_set(rule, ours, each.old):
        return None
    if not equality.same_set(rule, ours, each.new) and (ours or not emptied):
        return "changed since that run; kept"
    return replace(each, old=ours, new=each.old)


def _secret_back(each: AttributeChange, shown: Shown) -> AttributeChange | str | None:
    held, shows = shown.held(each.name), shown.shows(each.name)
    if each.fingerprint and not shows:
        return _unreadable(shown.description, Secret(""))
    if (each.seen or each.absent) and equality.same_set(
        Equality.OCTETS, held, each.old
    ):
        return None
    if each.fingerprint == UNKEYED:
        return "that run had another key, so a later change cannot be excluded; kept"
    if not shown.secret_stands(each):
        return "changed since that run; kept"
    if not (each.seen or each.absent):
        return "its value before that run could not be read, or is sealed with another key; kept"
    print_ = (
        shown.fingerprint(shown.user.ref, each.name, each.old[0]) if each.old else ""
    )
    was, new = tuple(map(hidden, held)), tuple(map(hidden, each.old))
    return replace(
        each, old=was, new=new, seen=shows, absent=not shows, fingerprint=print_
    )


def _classes_back(
    change: Change, draft: Draft, user: User, brief: Brief
) -> tuple[AttributeChange, ...]:
    """Away with the object classes that the run added and nothing left on the entry needs; back with those it took."""
    back, description = draft.planned, brief.description
    kept = {each.attribute or "" for each in draft.held}
    kept |= {
        name
        for name, info in description.attributes.items()
        if info.readable is not True and brief.memory.fingerprint_of(user.id, name)
    }
    classes = [each for each in change.attributes if each.name == OBJECT_CLASS]
    held = {str(value).lower() for value in user.values.get(OBJECT_CLASS, ())}
    going = {
        each.name
        for each in back
        if not each.new and len(user.values.get(each.name, ())) <= len(each.old)
    }
    left = (
        (user.values.keys() | kept | {each.name for each in back})
        - going
        - {OBJECT_CLASS}
    )
    gone: list[str] = []
    for name in [str(name) for each in classes for name in each.new]:
        low = name.lower()
        others = held - {low} - {each.lower() for each in gone}
        allowed = {
            each: info.definition.classes
            for each, info in description.attributes.items()
            if low in info.definition.classes
        }
        if (
            low in held
            and allowed
            and all(allowed[each] & others for each in left & allowed.keys())
        ):
            gone.append(name)
    put = [str(name) for each in classes for name in each.old]
    come = [name for name in put if name.lower() not in held]
    return (
        (AttributeChange(OBJECT_CLASS, tuple(gone), tuple(come)),)
        if gone or come
        else ()
    )
