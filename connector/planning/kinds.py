"""What a plan is like as a whole: kinds of changes, users that are worth a look, and whom a refusal is about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from connector.model import Change, Form, Kind, Look, Plan, Refusal, UserRef, dn
from connector.model.digests import is_secret, secret_fingerprint
from connector.model.limits import APPROVAL, OF_THE_SOURCE

MOST: Final = 12
"""Kinds of one plan. Beyond that, the least risky ones are merged."""
_Alike = tuple[int | None, tuple[tuple[str, Form], ...]]
"""What changes of one kind share: the rule (None: there is no agent), and the form of each
attribute."""
RISKS: Final = {form: place for place, form in enumerate(Form)}
"""The place of each form in the order of risk; 0 is the riskiest."""


def kinds_of(changes: Iterable[Change]) -> list[Kind]:
    """The kinds of these changes, which they partition, in the order of risk; none where no change has a form."""
    alike: dict[_Alike, list[Change]] = {}
    for change in changes:
        forms = tuple(
            [
                (each.name, each.form)
                for each in change.attributes
                if each.form is not None
            ]
        )
        alike.setdefault((change.rule, forms), []).append(change)
    kinds = (
        [_kind(group, group[:1]) for group in alike.values()]
        if any(forms for _, forms in alike)
        else []
    )
    for key_of in (_form_and_rule, _form):
        kinds = _merged(kinds, key_of)
    return sorted(kinds, key=_order)


def _kind(
    changes: Sequence[Change],
    unlike: Sequence[Change],
    merged: int = 1,
) -> Kind:
    """The kind of these changes. `unlike`: so many of them that the others are like one of these."""
    by_form: dict[Form, dict[str, None]] = {}
    for change in unlike:
        for each in change.attributes:
            if each.form is not None:
                by_form.setdefault(each.form, {})[each.name] = None
    forms = tuple(
        (form, tuple(by_form[form])) for form in sorted(by_form, key=RISKS.__getitem__)
    )
    rules = {change.rule for change in unlike}
    form = forms[0][0] if forms else _form_of_classes(changes)
    return Kind(
        form,
        rules.pop() if len(rules) == 1 else None,
        forms,
        tuple(changes),
        merged,
    )


def _form_of_classes(changes: Iterable[Change]) -> Form:
    """Of changes of object classes alone: those that come join others, those that go were this job's."""
    goes = any(
        value not in each.new
        for change in changes
        for each in change.attributes
        for value in each.old
    )
    return Form.EMPTIED if goes else Form.BESIDE


def _merged(kinds: list[Kind], key_of: Callable[[Kind], Hashable]) -> list[Kind]:
    """Merge kinds of one key, the least risky first, until there are few enough."""
    for form in reversed(Form):
        if len(kinds) <= MOST:
            break
        groups: dict[Hashable, list[Kind]] = {}
        for kind in kinds:
            groups.setdefault(
                key_of(kind) if kind.form is form else id(kind), []
            ).append(kind)
        kinds = [_one(group) for group in groups.values()]
    return kinds


def _one(group: Sequence[Kind]) -> Kind:
    changes = sorted(
        (change for kind in group for change in kind.changes),
        key=lambda change: change.user.name,
    )
    return _kind(changes, changes, sum(kind.merged for kind in group))


def _form_and_rule(kind: Kind) -> Hashable:
    return kind.form, kind.rule


def _form(kind: Kind) -> Hashable:
    return kind.form


def _order(kind: Kind) -> tuple[int, int, int, tuple[str, ...]]:
    """By risk; among equals what is rare comes first."""
    return (
        RISKS[kind.form],
        kind.users,
        -1 if kind.rule is None else kind.rule,
        kind.attributes,
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
_KINDS: Final = str.maketrans(
    {
        each: "9" if each.isdigit() else "a"
        for each in map(chr, range(128))
        if each.isalnum()
    }
)


def worth_a_look(kinds: Sequence[Kind]) -> list[Look]:
    """These users, each once with all reasons, those of the riskiest kind first."""
    total = sum(kind.users for kind in kinds)
    of_rules = Counter(change.rule for kind in kinds for change in kind.changes)
    reasons: dict[UserRef, list[str]] = {}
    for kind in kinds:
        for change, why in (*_rare(kind, total), *_unlike(kind, total, of_rules)):
            reasons.setdefault(change.user, []).append(why)
    return [Look(user, "; ".join(why)) for user, why in reasons.items()]


def _rare(kind: Kind, total: int) -> Iterator[tuple[Change, str]]:
    """Users of a kind that is rare for its risk. Leavers lose our values in due course: no agent claims them."""
    share = RARE.get(kind.form)
    leaving = kind.form is Form.EMPTIED and all(
        change.agent is None for change in kind.changes
    )
    risky = total >= FEW or RISKS[kind.form] <= RISKS[Form.FOREIGN]
    if (
        share is None
        or leaving
        or not risky
        or kind.users > max(1, total * share // 100)
    ):
        return
    for change in kind.changes:
        names = [each.name for each in change.attributes if each.form is kind.form]
        yield change, f"{kind.form}: {', '.join(names)}" if names else str(kind.form)


def _unlike(
    kind: Kind,
    total: int,
    of_rules: Counter[int | None],
) -> Iterator[tuple[Change, str]]:
    yield from _exceptions(
        kind,
        lambda change: change.startles,
        "a disabled account",
        most=FEW,
    )
    if total < FEW:
        return
    for change in kind.changes:
        if of_rules[change.rule] == 1 and change.rule is not None:
            yield (
                change,
                f"the only user by {f'rule {change.rule}' if change.rule else 'a pin'}",
            )
    yield from _exceptions(kind, _of_a_service, "looks like a service account")
    if kind.users >= FEW:
        yield from _alone(
            kind, list(map(_container, kind.changes)), "the only user in its container"
        )
        for name, shapes in _shapes(kind).items():
            yield from _alone(kind, shapes, f"{name}: a value of another shape")


def _exceptions(
    kind: Kind,
    holds: Callable[[Change], bool],
    why: str,
    most: int = 1,
) -> Iterator[tuple[Change, str]]:
    """Those of a kind that something is true of, if they are few: `most`, or one in so many."""
    found = [change for change in kind.changes if holds(change)]
    if len(found) <= max(most, kind.users // _SHARE):
        yield from ((change, why) for change in found)


def _alone(
    kind: Kind,
    keys: Sequence[str | None],
    why: str,
) -> Iterator[tuple[Change, str]]:
    """Those of a kind whose key no other has, if they are few; None: the key says nothing of that one."""
    counts = Counter(keys)
    if 1 not in counts.values():
        return
    found = [
        change
        for change, key in zip(kind.changes, keys, strict=True)
        if key is not None and counts[key] == 1
    ]
    if len(found) <= max(1, kind.users // _SHARE):
        yield from ((change, why) for change in found)


def _container(change: Change) -> str | None:
    """The DN above the entry; None for a name that is no DN."""
    above = change.user.name.partition(",")[2]
    if "\\" in change.user.name or '"' in change.user.name:
        above = ",".join(dn.rdn_texts(change.user.name)[1:])
    return above.lower() if "=" in above else None


def _of_a_service(change: Change) -> bool:
    """Whether the words of the user's own name, or of its agent's account, are those of a service."""
    own = change.user.name.partition(",")[0].partition("=")[2] or change.user.name
    account = (change.agent and change.agent.account_code) or ""
    return _SERVICE.search(own) is not None or (
        account != own and _SERVICE.search(account) is not None
    )


def _shapes(kind: Kind) -> dict[str, list[str | None]]:
    """By attribute, for each change, the shape of the first new value."""
    firsts: dict[str, list[str | None]] = {
        name: [None] * len(kind.changes) for name in kind.attributes
    }
    for place, change in enumerate(kind.changes):
        for each in change.attributes:
            if (
                each.new
                and each.name in firsts
                and isinstance(first := each.new[0], str)
            ):
                firsts[each.name][place] = first
    return {name: _shaped(texts) for name, texts in firsts.items()}


def _shaped(texts: Sequence[str | None]) -> list[str | None]:
    """Their shapes. Letters in a row are one `a`, each digit is a `9`, all else is itself."""
    some = [text or "" for text in texts]
    # all at once: that takes a third of the time
    found = _coarse("\0".join(some)).split("\0")
    if len(found) != len(some):  # some text has NUL in it
        found = list(map(_coarse, some))
    shapes = {each: _squeezed(each) for each in set(found)}
    return [
        None if text is None else shapes[each]
        for text, each in zip(texts, found, strict=True)
    ]


def _coarse(text: str) -> str:
    return (
        text.translate(_KINDS)
        if text.isascii()
        else _DIGIT.sub("9", _LETTERS.sub("a", text))
    )


def _squeezed(shape: str) -> str:
    """With one letter for several in a row."""
    while "aa" in shape:
        shape = shape.replace("aa", "a")
    return shape


# ---------------------------------------------------------------- whom a refusal is about


NAMED: Final = 10
"""How many of them are named under it."""


def effects(change: Change) -> frozenset[str]:
    """Under which limits a change counts: `clear`, `update`, `secret`, and `attributes.` with each of its names."""
    kinds = {f"attributes.{each.name}" for each in change.attributes}
    for each in change.attributes:
        secret = is_secret(each)
        put = (
            each.new
            if change.agent is not None
            else [value for value in each.new if value not in each.old]
        )
        if secret_fingerprint(each) if secret else put:
            kinds.update({"update", "secret"} if secret else {"update"})
        elif each.old or secret:
            kinds.add("clear")
    return frozenset(kinds)


def concerned(plan: Plan, refusal: Refusal) -> list[str]:
    """The users that count under a limit, by name; under one of the source's, those whose agents have gone."""
    if refusal.limit in OF_THE_SOURCE:
        return list(
            dict.fromkeys(
                name
                for each in plan.problems
                if each.kind == "stale"
                for name in each.users
            )
        )
    return [
        change.user.name
        for change in plan.changes
        if refusal.limit in {APPROVAL, *effects(change)}
    ]


def overviewed(plan: Plan) -> Plan:
    """The plan with the kinds of its changes, and the users that are worth a look."""
    kinds = tuple(kinds_of(plan.changes))
    return replace(
        plan,
        notes=replace(plan.notes, kinds=kinds, worth_a_look=tuple(worth_a_look(kinds))),
    )
