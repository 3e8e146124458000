"""What a plan is like as a whole: kinds of changes, users that are worth a look, and whom a refusal is about."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Final

from msgspec.structs import replace

from connector.model import (
    AttributeChange,
    Change,
    ChangeKind,
    Form,
    Look,
    Plan,
    Refusal,
    UserRef,
    dn,
)
from connector.model.digests import is_secret, secret_fingerprint
from connector.model.limits import APPROVAL, OF_THE_SOURCE, sets_value
from connector.planning.number_ranges import find_outside

MOST: Final = 12
"""Kinds of one plan. Beyond that, the least risky ones are merged."""
_Alike = tuple[int | None, tuple[tuple[str, Form], ...]]
"""What changes of one kind share: the rule (None: there is no agent), and the form of each
attribute."""
RISKS: Final = {form: place for place, form in enumerate(Form)}
"""The place of each form in the order of risk; 0 is the riskiest."""


def find_kinds(changes: Iterable[Change]) -> list[ChangeKind]:
    """The kinds of these changes, which they partition, in the order of risk; none where no change has a form."""
    alike: dict[_Alike, list[Change]] = {}
    for change in changes:
        forms = sorted(
            (each.name, each.form)
            for each in change.attributes
            if each.form is not None
        )
        alike.setdefault((change.rule, tuple(forms)), []).append(change)
    if not any(forms for _, forms in alike):
        return []
    kinds = [_make_kind(group, group[:1]) for group in alike.values()]
    kinds = _merge_kinds(kinds, lambda kind: (kind.form, kind.rule))
    kinds = _merge_kinds(kinds, lambda kind: kind.form)
    return sorted(
        kinds,
        # by risk; among equals what is rare comes first
        key=lambda kind: (
            RISKS[kind.form],
            kind.users,
            -1 if kind.rule is None else kind.rule,
            kind.attributes,
        ),
    )


def _make_kind(
    changes: Sequence[Change],
    unlike: Sequence[Change],
    merged: int = 1,
) -> ChangeKind:
    """The kind of these changes. `unlike`: so many of them that the others are like one of these."""
    by_form: dict[Form, dict[str, None]] = {form: {} for form in Form}
    for change in unlike:
        for each in change.attributes:
            if each.form is not None:
                by_form[each.form][each.name] = None
    forms = tuple((form, tuple(names)) for form, names in by_form.items() if names)
    rules = {change.rule for change in unlike}
    return ChangeKind(
        forms[0][0] if forms else _form_of_classes(changes),
        rules.pop() if len(rules) == 1 else None,
        forms,
        tuple(changes),
        merged,
    )


def _form_of_classes(changes: Iterable[Change]) -> Form:
    """Of changes of object classes alone: those that come join others, those that go were this job's."""
    each_of = (each for change in changes for each in change.attributes)
    goes = any(value not in each.new for each in each_of for value in each.old)
    return Form.EMPTIED if goes else Form.BESIDE


def _merge_kinds(
    kinds: list[ChangeKind], key_of: Callable[[ChangeKind], Hashable]
) -> list[ChangeKind]:
    """Merge kinds of one key, the least risky first, until there are few enough."""
    for form in reversed(Form):
        if len(kinds) <= MOST:
            break
        groups: dict[Hashable, list[ChangeKind]] = {}
        for kind in kinds:
            key = key_of(kind) if kind.form is form else id(kind)
            groups.setdefault(key, []).append(kind)
        kinds = [_merge_group(group) for group in groups.values()]
    return kinds


def _merge_group(group: Sequence[ChangeKind]) -> ChangeKind:
    changes = sorted(
        (change for kind in group for change in kind.changes),
        key=lambda change: change.user.name,
    )
    return _make_kind(
        changes,
        changes,
        sum(kind.merged for kind in group),
    )


# ---------------------------------------------------------------- who is worth a look


RARE: Final = {
    Form.TAKEN_OVER: 10,
    Form.OTHER_AGENT: 10,
    Form.FOREIGN: 5,
    Form.EMPTIED: 2,
    Form.BESIDE: 2,
}
"""Percent of a plan's changes up to which a kind of this form is rare; one user always is."""
FEW: Final = 20
"""Below so many changes there is no rest that somebody could be unlike; a reviewer reads
them all."""
_SHARE: Final = 100
"""One in so many may be unlike the rest."""
_SERVICE: Final = re.compile(
    r"(?<![^\W_])(?:admin|administrator|backup|bot|daemon|dummy|noreply|pbx|robot|root|service|srv|svc|sys|system|"
    r"test)(?![^\W_])",
    re.IGNORECASE,
)
"""Words in the name of an account that belongs to nobody."""
_LETTERS: Final = re.compile(r"[^\W\d_]+")
_DIGIT: Final = re.compile(r"\d")
_NUMBER: Final = re.compile(r"[0-9]{1,40}")
_Givers = dict[tuple[str, str], Change]
"""By attribute and value: the change that takes this value away from its user."""
_Outside = dict[UserRef, list[str]]
"""By user: each number that is far from all others."""


def worth_a_look(kinds: Sequence[ChangeKind]) -> list[Look]:
    """These users, each once with all reasons, those of the riskiest kind first."""
    total = sum(kind.users for kind in kinds)
    of_rules = Counter(change.rule for kind in kinds for change in kind.changes)
    givers = _find_givers(kinds)
    outside = _find_outside_numbers(kinds)
    looks: dict[UserRef, Look] = {}
    for kind in kinds:
        found = list(_find_rare(kind, total, givers))
        for changes, why, most in _find_unlike(kind, total, of_rules, outside):
            if len(changes) <= max(most, kind.users // _SHARE):
                found += [Look(change.user, why) for change in changes]
        for look in found:
            known = looks.setdefault(look.user, look)
            if known is not look:
                why, others = f"{known.why}; {look.why}", known.others + look.others
                looks[look.user] = Look(look.user, why, others)
    return list(looks.values())


def _find_rare(kind: ChangeKind, total: int, givers: _Givers) -> Iterator[Look]:
    """Users of a kind that is rare for its risk. Leavers lose our values in due course: no agent claims them."""
    share = RARE.get(kind.form)
    if share is None or kind.users > max(1, total * share // 100):
        return
    if total < FEW and RISKS[kind.form] > RISKS[Form.FOREIGN]:
        return
    if kind.form is Form.EMPTIED and not any(change.agent for change in kind.changes):
        return
    for change in kind.changes:
        rare = [each for each in change.attributes if each.form is kind.form]
        if kind.form is Form.TAKEN_OVER:
            for each in rare:
                yield _look_at_takeover(change.user, each, givers)
        else:
            names = ", ".join(each.name for each in rare)
            why = f"{kind.form}: {names}" if names else str(kind.form)
            yield Look(change.user, why)


def _find_givers(kinds: Sequence[ChangeKind]) -> _Givers:
    """Who gives up which value, where a value is taken over; else nobody."""
    givers: _Givers = {}
    if not any(kind.form is Form.TAKEN_OVER for kind in kinds):
        return givers
    for kind in kinds:
        for change in kind.changes:
            for each in change.attributes:
                for value in each.old:
                    if isinstance(value, str) and value not in each.new:
                        givers[each.name, value] = change
    return givers


def _look_at_takeover(user: UserRef, each: AttributeChange, givers: _Givers) -> Look:
    """Which value a user takes over, and from whom; or which values the two swap."""
    for value in map(str, each.new):
        giver = givers.get((each.name, value))
        if giver is None:
            continue
        got = [
            new for own in giver.attributes if own.name == each.name for new in own.new
        ]
        said = f"{each.name} {value} taken over from"
        for old in map(str, each.old):
            if old in got:
                said = f"swaps {each.name} {old}/{value} with"
        return Look(user, f"{said} {_own_name(giver.user)}", (giver.user,))
    return Look(user, f"{Form.TAKEN_OVER}: {each.name}")


def _find_unlike(
    kind: ChangeKind,
    total: int,
    of_rules: Counter[int | None],
    outside: _Outside,
) -> Iterator[tuple[Sequence[Change], str, int]]:
    """Changes of a kind that are unlike the others, why, and how many of them are few. So is one in so many."""
    disabled = [change for change in kind.changes if change.targets_disabled_account]
    yield disabled, "a disabled account", FEW
    if total < FEW:
        return
    for change in kind.changes:
        if of_rules[change.rule] == 1 and change.rule is not None:
            by = f"rule {change.rule}" if change.rule else "a pin"
            yield [change], f"the only user by {by}", 1
    services = [change for change in kind.changes if _of_a_service(change)]
    yield services, "looks like a service account", 1
    for change in kind.changes if outside else ():
        for why in outside.get(change.user, ()):
            yield [change], why, 1
    if kind.users < FEW:
        return
    yield _find_alone(kind, _container_of), "the only user in its container", 1
    for name in kind.attributes:
        alone = _find_alone(kind, partial(_shape_of, name))
        yield alone, f"{name}: a value of another shape", 1


def _find_alone(
    kind: ChangeKind, key_of: Callable[[Change], str | None]
) -> list[Change]:
    """Those of a kind whose key no other has; None: the key says nothing of that one."""
    alike: dict[str | None, list[Change]] = {}
    for change in kind.changes:
        alike.setdefault(key_of(change), []).append(change)
    return [
        some[0] for key, some in alike.items() if key is not None and len(some) == 1
    ]


def _container_of(change: Change) -> str | None:
    """The DN above the entry; None for a name that is no DN."""
    above = change.user.name.partition(",")[2]
    if "\\" in change.user.name or '"' in change.user.name:
        above = ",".join(dn.rdn_texts(change.user.name)[1:])
    return above.lower() if "=" in above else None


def _of_a_service(change: Change) -> bool:
    """Whether the words of the user's own name, or of its agent's account, are those of a service."""
    own = _own_name(change.user)
    account = change.agent and change.agent.account_code
    return any(_SERVICE.search(each) for each in {own, account or ""})


def _own_name(user: UserRef) -> str:
    """The value of the first RDN, or a name that is no DN."""
    return user.name.partition(",")[0].partition("=")[2] or user.name


def _shape_of(name: str, change: Change) -> str | None:
    """The shape of the first new value. Letters in a row are one `a`, each digit is a `9`, all else is itself."""
    for each in change.attributes:
        if each.name == name and each.new and isinstance(each.new[0], str):
            return _DIGIT.sub("9", _LETTERS.sub("a", each.new[0]))
    return None


def _find_outside_numbers(kinds: Sequence[ChangeKind]) -> _Outside:
    """Users with a new number that is far from all other new numbers of the attribute."""
    holders = defaultdict[str, dict[int, UserRef]](dict)
    for kind in kinds:
        for change in kind.changes:
            for each in change.attributes:
                for value in each.new:
                    if isinstance(value, str) and _NUMBER.fullmatch(value):
                        holders[each.name][int(value)] = change.user
    outside: _Outside = {}
    for name, users in holders.items():
        for number, (low, high) in find_outside(users).items():
            why = f"{name} {number} is outside its neighbours ({low} to {high})"
            outside.setdefault(users[number], []).append(why)
    return outside


# ---------------------------------------------------------------- whom a refusal is about


NAMED: Final = 10
"""How many of them are named under it."""


def list_effects(change: Change) -> frozenset[str]:
    """Under which limits a change counts: `clear`, `update`, `secret`, and `attributes.` with each of its names."""
    kinds = {f"attributes.{each.name}" for each in change.attributes}
    for each in change.attributes:
        # of a plan that was read from a file, a secret has no value
        is_set = (
            secret_fingerprint(each) if is_secret(each) else sets_value(change, each)
        )
        if is_set:
            kinds |= {"update", "secret"} if is_secret(each) else {"update"}
        elif each.old or is_secret(each):
            kinds.add("clear")
    return frozenset(kinds)


def find_concerned(plan: Plan, refusal: Refusal) -> list[str]:
    """The users that count under a limit, by name; under one of the source's, those whose agents have gone."""
    if refusal.limit in OF_THE_SOURCE:
        stale = (each.users for each in plan.problems if each.kind == "stale")
        return list(dict.fromkeys(chain.from_iterable(stale)))
    return [
        change.user.name
        for change in plan.changes
        if refusal.limit in {APPROVAL, *list_effects(change)}
    ]


def add_overview(plan: Plan) -> Plan:
    """The plan with the kinds of its changes, and the users that are worth a look."""
    kinds = tuple(find_kinds(plan.changes))
    return replace(
        plan,
        notes=replace(
            plan.notes,
            kinds=kinds,
            worth_a_look=tuple(worth_a_look(kinds)),
        ),
    )
