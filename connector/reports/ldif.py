"""The report as LDIF change records (RFC 2849) that `ldapmodify` applies as they are, but for secrets.

Values are taken out and put in one by one, so that a record fails where an entry no longer
is what the plan saw, and values that are not ours stay. A secret is never in the file: a
comment stands for it, and only apply sets it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from connector.model import AttributeChange, Change, Outcome, Plan, Secret, Value
from connector.model.digests import is_secret, keep_octets, secret_fingerprint
from connector.reports.ldif_lines import encode_line
from connector.reports.visible import make_visible
from connector.reports.wording import (
    NewsMarks,
    by_user,
    count_losses,
    describe_since,
    give_reason,
    name_user,
    outcome_text,
)

OBJECT_CLASS: Final = "objectclass"
_DESCRIPTION: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9-]+)*", re.ASCII
)
"""An attribute description (RFC 4512 §2.5); SCIM's paths are none."""


def render(plan: Plan, outcomes: Sequence[Outcome] | None = None) -> Iterator[str]:
    """Header comments, `version: 1`, then a record for every user of whom anything but a secret changes."""
    yield f"# A preview by cec-connector of job {make_visible(plan.job)}\n"
    yield f"# Plan {make_visible(plan.id)}, created {make_visible(plan.created)}\n"
    yield f"# Digest {make_visible(plan.digest)}\n"
    yield "# Secrets are not in this file. Only `cec-connector apply` sets them and verifies its writes.\n"
    if plan.notes.since is not None:
        yield f"# {describe_since(plan)}\n"
    if plan.notes.lost:
        yield f"# {count_losses(plan)}\n"
    for refusal in plan.refusals:
        yield f"# REFUSED: {make_visible(refusal.limit)}: {make_visible(refusal.why)}\n"
    for caution in plan.cautions:
        yield f"# Note: {make_visible(caution)}\n"
    for kind in plan.notes.kinds:
        yield f"# {kind.form}: {make_visible(kind.sentence)}\n"
    for look in plan.notes.worth_a_look:
        yield f"# Worth a look: {name_user(plan.notes.people, look.user.name)}: {make_visible(look.why)}\n"
    yield "version: 1\n"
    results, marks = by_user(outcomes), NewsMarks(plan)
    earlier = (
        f" since plan {make_visible(plan.notes.since.plan)}"
        if plan.notes.since and plan.notes.since.plan
        else ""
    )
    for change in in_order(plan.changes):
        mark = marks.mark_change(change)
        yield from _change_record(
            change,
            results.get(change.user.id),
            plan.notes.people,
            mark and f"{mark}{earlier}",
        )


def in_order(changes: Sequence[Change]) -> Iterator[Change]:
    """The changes as they stand, but each after those that free a value which it sets.

    Where changes wait for each other in a ring, the ring is cut where it was met first.
    """
    by_id = {change.user.id: change for change in changes}
    begun: set[str] = set()
    done: set[str] = set()
    for first in changes:
        stack = [first]
        while stack:
            change = stack[-1]
            begun.add(change.user.id)
            waits_for = [
                by_id[user]
                for user in sorted(change.after)
                if user in by_id and user not in begun
            ]
            if waits_for:
                stack.append(waits_for[0])
                continue
            stack.pop()
            if change.user.id not in done:
                done.add(change.user.id)
                yield change


def _change_record(
    change: Change, outcome: Outcome | None, people: Mapping[str, str], mark: str
) -> Iterator[str]:
    yield f"\n# {name_user(people, change.user.name)}: {give_reason(change)}\n"
    if mark:
        yield f"# {mark}\n"
    if outcome is not None:
        yield f"# {outcome_text(outcome)}\n"
    for each in change.attributes:
        if is_secret(each):
            done = "set" if secret_fingerprint(each) else "cleared"
            yield f"# {make_visible(each.name)}: secret, {done} by apply, not in this file\n"
        elif not _DESCRIPTION.fullmatch(each.name):
            yield f"# {make_visible(each.name)}: not an LDAP attribute, not in this file\n"
    modifications = [
        text for each in _classes_outside(change.attributes) for text in each
    ]
    if not modifications:
        return
    if "=" not in change.user.name:
        yield "# not an entry of an LDAP directory, not in this file\n"
        return
    yield encode_line("dn", keep_octets(change.user.name))
    yield "changetype: modify\n"
    yield from modifications


def _classes_outside(attributes: Sequence[AttributeChange]) -> Iterator[Iterator[str]]:
    """Object classes come before the attributes that need them, and go after them."""
    plain = [
        each
        for each in attributes
        if not is_secret(each) and _DESCRIPTION.fullmatch(each.name)
    ]
    classes = [each for each in plain if each.name.lower() == OBJECT_CLASS]
    others = [each for each in plain if each.name.lower() != OBJECT_CLASS]
    yield from (
        _list_modification("add", each.name, _subtract_values(each.new, each.old))
        for each in classes
    )
    for each in others:
        yield _list_modification(
            "delete", each.name, _subtract_values(each.old, each.new)
        )
        yield _list_modification("add", each.name, _subtract_values(each.new, each.old))
    yield from (
        _list_modification("delete", each.name, _subtract_values(each.old, each.new))
        for each in classes
    )


def _list_modification(verb: str, name: str, values: Sequence[Value]) -> Iterator[str]:
    if not values:
        return
    yield encode_line(verb, name)
    for value in values:
        yield encode_line(name, value)
    yield "-\n"


def _subtract_values(
    some: tuple[Value | Secret, ...], others: tuple[Value | Secret, ...]
) -> list[Value]:
    return [
        keep_octets(value)
        for value in some
        if not isinstance(value, Secret) and value not in others
    ]
