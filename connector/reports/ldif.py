"""The report as LDIF change records (RFC 2849) that `ldapmodify` applies as they are, but for secrets.

Values are taken out and put in one by one, so that a record fails where an entry no longer
is what the plan saw, and values that are not ours stay. A secret is never in the file: a
comment stands for it, and only apply sets it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from connector.model import AttributeChange, Change, Held, Plan, Secret
from connector.model.digests import is_secret, keep_octets, secret_fingerprint
from connector.reports.sections import NewsMarks
from connector.reports.visible import make_visible
from connector.reports.wording import (
    Lines,
    Outcomes,
    by_user,
    count_losses,
    describe_since,
    give_reason,
    name_refusal,
    name_user,
    outcome_text,
)

OBJECT_CLASS: Final = "objectclass"
_DESCRIPTION: Final = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9-]*|\d+(?:\.\d+)+)(?:;[A-Za-z0-9-]+)*", re.ASCII
)
"""An attribute description (RFC 4512 §2.5); SCIM's paths are none."""
WIDTH: Final = 76
"""Columns of a line, the one of a continuation's leading space included (RFC 2849, note 2)."""

_SAFE: Final = re.compile(rb"(?![ :<])[\x20-\x7e]*(?<! )")


def render(plan: Plan, outcomes: Outcomes = None) -> Lines:
    """Header comments, `version: 1`, then a record for every user of whom anything but a secret changes."""
    yield from _write_comments(_describe_plan(plan))
    yield "version: 1\n"
    results, marks = by_user(outcomes), NewsMarks(plan)
    since = plan.notes.since
    earlier = f" since plan {since.plan}" if since and since.plan else ""
    for change in in_order(plan.changes):
        user = name_user(plan.notes.people, change.user.name)
        comments = [f"{user}: {give_reason(change)}"]
        mark = marks.mark_change(change)
        if mark:
            comments.append(f"{mark}{earlier}")
        if change.user.id in results:
            comments.append(outcome_text(results[change.user.id]))
        yield "\n"
        yield from _write_comments([*comments, *_list_left_out(change)])
        yield from _change_record(change)


def _write_comments(lines: Iterable[str]) -> Lines:
    for line in lines:
        yield f"# {make_visible(line)}\n"


def _describe_plan(plan: Plan) -> Lines:
    yield f"A preview by cec-connector of job {plan.job}"
    yield f"Plan {plan.id}, created {plan.created}"
    yield f"Digest {plan.digest}"
    yield "Secrets are not in this file. Only `cec-connector apply` sets them and verifies its writes."
    notes = plan.notes
    if notes.since:
        yield describe_since(notes.since)
    if notes.lost:
        yield count_losses(notes.lost)
    for refusal in plan.refusals:
        yield f"REFUSED: {name_refusal(refusal)}: {refusal.why}"
    for caution in plan.cautions:
        yield f"Note: {caution}"
    for kind in notes.kinds:
        yield f"{kind.form}: {kind.sentence}"
    for look in notes.worth_a_look:
        user = name_user(notes.people, look.user.name)
        yield f"Worth a look: {user}: {look.why}"


def in_order(changes: Sequence[Change]) -> Iterator[Change]:
    """The changes as they stand, but each after those that free a value which it sets.

    Where changes wait for each other in a ring, the ring is cut where it was met first.
    """
    left = {change.user.id: change for change in changes}
    for change in changes:
        stack = [left.pop(change.user.id)] if change.user.id in left else []
        while stack:
            waits_for = sorted(stack[-1].after & left.keys())
            if waits_for:
                stack.append(left.pop(waits_for[0]))
            else:
                yield stack.pop()


def _list_left_out(change: Change) -> Lines:
    """What of a change is not in the file, and why."""
    for each in change.attributes:
        if is_secret(each):
            done = "set" if secret_fingerprint(each) else "cleared"
            yield f"{each.name}: secret, {done} by apply, not in this file"
        elif not _DESCRIPTION.fullmatch(each.name):
            yield f"{each.name}: not an LDAP attribute, not in this file"


def _change_record(change: Change) -> Lines:
    modifications = list(_list_modifications(change.attributes))
    if not modifications:
        return
    if "=" not in change.user.name:
        yield "# not an entry of an LDAP directory, not in this file\n"
        return
    yield encode_line("dn", keep_octets(change.user.name))
    yield "changetype: modify\n"
    yield from modifications


def _list_modifications(attributes: Sequence[AttributeChange]) -> Lines:
    """Values that go, and values that come. Object classes come before the attributes that need them, and go after."""
    first, between, last = [], [], []
    for each in attributes:
        if is_secret(each) or not _DESCRIPTION.fullmatch(each.name):
            continue
        gone = _list_modification("delete", each.name, each.old, each.new)
        come = _list_modification("add", each.name, each.new, each.old)
        if each.name.lower() == OBJECT_CLASS:
            first.append(come)
            last.append(gone)
        else:
            between += [gone, come]
    for lines in (*first, *between, *last):
        yield from lines


def _list_modification(
    verb: str, name: str, values: Sequence[Held], others: Sequence[Held]
) -> Lines:
    """Those of the values that the `others` lack, one by one."""
    octets = [
        keep_octets(value)
        for value in values
        if not isinstance(value, Secret) and value not in others
    ]
    if octets:
        yield encode_line(verb, name)
        for value in octets:
            yield encode_line(name, value)
        yield "-\n"


# ---------------------------------------------------------------- lines


def encode_line(attribute: str, value: str | bytes) -> str:
    r"""`attribute: value` with its line break, in Base64 (`::`) where the value is no SAFE-STRING (RFC 2849).

    So is a value that ends with a space (note 8), is not ASCII, or has control characters, though some would be
    allowed: every reader takes it, no editor or mail gateway alters it on the way, and no terminal obeys it.
    """
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogateescape")
    if not value:
        text = f"{attribute}:"
    elif _SAFE.fullmatch(value):
        text = f"{attribute}: {value.decode()}"
    else:
        text = f"{attribute}:: {base64.b64encode(value).decode()}"
    return fold_line(text) + "\n"


def fold_line(text: str) -> str:
    r"""A logical line on physical ones of at most `WIDTH` columns, without a line break at the end."""
    # each line has one character beside its own `step`: the first, or a leading space
    step = WIDTH - 1
    lines = [text[start : start + step] for start in range(1, len(text), step)]
    return text[:1] + "\n ".join(lines)
