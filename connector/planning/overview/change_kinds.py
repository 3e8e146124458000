"""Kinds of changes: which changes of a plan are alike, the riskiest kind first."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Final

from connector.model import Change, Form, Kind

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


def _kind(changes: Sequence[Change], unlike: Sequence[Change], merged: int = 1) -> Kind:
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
        form, rules.pop() if len(rules) == 1 else None, forms, tuple(changes), merged
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
