"""What a plan is like as a whole: kinds of changes, users that are worth a look, and whom a refusal is about."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Final

from msgspec.structs import replace

from connector.model import Change, ChangeKind, Form, Look, Plan, Refusal, UserRef, dn
from connector.model.digests import is_secret, secret_fingerprint
from connector.model.limits import APPROVAL, OF_THE_SOURCE

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
        forms = tuple(
            [
                (each.name, each.form)
                for each in change.attributes
                if each.form is not None
            ]
        )
        alike.setdefault((change.rule, forms), []).append(change)
    kinds = (
        [_make_kind(group, group[:1]) for group in alike.values()]
        if any(forms for _, forms in alike)
        else []
    )
    for key_of in (_form_and_rule, _form_of):
        kinds = _merge_kinds(kinds, key_of)
    return sorted(kinds, key=_sort_key)


def _make_kind(
    changes: Sequence[Change],
    unlike: Sequence[Change],
    merged: int = 1,
) -> ChangeKind:
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
    return ChangeKind(
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


def _merge_kinds(
    kinds: list[ChangeKind], key_of: Callable[[ChangeKind], Hashable]
) -> list[ChangeKind]:
    """Merge kinds of one key, the least risky first, until there are few enough."""
    for form in reversed(Form):
        if len(kinds) <= MOST:
            break
        groups: dict[Hashable, list[ChangeKind]] = {}
        for kind in kinds:
            groups.setdefault(
                key_of(kind) if kind.form is form else id(kind), []
            ).append(kind)
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


def _form_and_rule(kind: ChangeKind) -> Hashable:
    return kind.form, kind.rule


def _form_of(kind: ChangeKind) -> Hashable:
    return kind.form


def _sort_key(kind: ChangeKind) -> tuple[int, int, int, tuple[str, ...]]:
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


def worth_a_look(kinds: Sequence[ChangeKind]) -> list[Look]:
    """These users, each once with all reasons, those of the riskiest kind first."""
    total = sum(kind.users for kind in kinds)
    of_rules = Counter(change.rule for kind in kinds for change in kind.changes)
    reasons: dict[UserRef, list[str]] = {}
    for kind in kinds:
        for change, why in (
            *_find_rare(kind, total),
            *_find_unlike(
                kind,
                total,
                of_rules,
            ),
        ):
            reasons.setdefault(change.user, []).append(why)
    return [Look(user, "; ".join(why)) for user, why in reasons.items()]


def _find_rare(kind: ChangeKind, total: int) -> Iterator[tuple[Change, str]]:
    """Users of a kind that is rare for its risk. Leavers lose our values in due course: no agent claims them."""
    share = RARE.get(kind.form)
    if share is None or kind.users > max(1, total * share // 100):
        return
    if total < FEW and RISKS[kind.form] > RISKS[Form.FOREIGN]:
        return
    if kind.form is Form.EMPTIED and not any(change.agent for change in kind.changes):
        return
    for change in kind.changes:
        names = [each.name for each in change.attributes if each.form is kind.form]
        yield change, f"{kind.form}: {', '.join(names)}" if names else str(kind.form)


def _find_unlike(
    kind: ChangeKind,
    total: int,
    of_rules: Counter[int | None],
) -> Iterator[tuple[Change, str]]:
    disabled = [change for change in kind.changes if change.targets_disabled_account]
    yield from _if_few(
        kind,
        disabled,
        "a disabled account",
        most=FEW,
    )
    if total < FEW:
        return
    for change in kind.changes:
        if of_rules[change.rule] == 1 and change.rule is not None:
            by = f"rule {change.rule}" if change.rule else "a pin"
            yield change, f"the only user by {by}"
    services = [change for change in kind.changes if _of_a_service(change)]
    yield from _if_few(
        kind,
        services,
        "looks like a service account",
    )
    if kind.users < FEW:
        return
    apart = _find_alone(kind, [_container_of(change) for change in kind.changes])
    yield from _if_few(
        kind,
        apart,
        "the only user in its container",
    )
    for name in kind.attributes:
        shapes = [_shape_of(change, name) for change in kind.changes]
        why = f"{name}: a value of another shape"
        yield from _if_few(
            kind,
            _find_alone(kind, shapes),
            why,
        )


def _if_few(
    kind: ChangeKind,
    found: Sequence[Change],
    why: str,
    most: int = 1,
) -> Iterator[tuple[Change, str]]:
    """These changes of a kind, if they are few: `most`, or one in so many."""
    if len(found) <= max(most, kind.users // _SHARE):
        for change in found:
            yield change, why


def _find_alone(kind: ChangeKind, keys: Sequence[str | None]) -> list[Change]:
    """Those of a kind whose key no other has; None: the key says nothing of that one."""
    counts = Counter(keys)
    return [
        change
        for change, key in zip(
            kind.changes,
            keys,
            strict=True,
        )
        if key is not None and counts[key] == 1
    ]


def _container_of(change: Change) -> str | None:
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


def _shape_of(change: Change, name: str) -> str | None:
    """The shape of the first new value. Letters in a row are one `a`, each digit is a `9`, all else is itself."""
    for each in change.attributes:
        if each.name == name and each.new and isinstance(each.new[0], str):
            return _DIGIT.sub("9", _LETTERS.sub("a", each.new[0]))
    return None


# ---------------------------------------------------------------- whom a refusal is about


NAMED: Final = 10
"""How many of them are named under it."""


def list_effects(change: Change) -> frozenset[str]:
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


def find_concerned(plan: Plan, refusal: Refusal) -> list[str]:
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
