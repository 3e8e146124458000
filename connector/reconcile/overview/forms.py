"""The form of each attribute's change, from what earlier runs wrote: first value, replaces ours, and so on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Final

from msgspec.structs import replace

from connector.model import OBJECT_CLASS, AgentRef, AttributeChange, Change, Form, Owned, UserRef
from connector.reconcile import equality
from connector.reconcile.questions import Brief

Places = Collection[tuple[str, str]]
"""Attributes of users: user id and attribute."""
_MILD: Final = frozenset({Form.SECRET, Form.OURS, Form.FIRST})
"""Forms that matter less than that the user now stands for another agent."""


def formed(changes: Iterable[Change], brief: Brief, *, beside: Places = (), taken: Places = ()) -> list[Change]:
    """The changes, each attribute with its form; an object class has none.

    `beside`: where the user shows values, and none of ours. `taken`: where another user still holds the new value.
    """
    found = list(changes)
    ids = [change.user.id for change in found]
    known = brief.memory.confirmed(ids)
    agents = brief.memory.agents(ids) if known else {}
    forms = _Forms(brief, known, agents, beside, taken)
    return [replace(change, attributes=tuple(forms.of(change))) for change in found]


class _Forms:
    def __init__(
        self,
        brief: Brief,
        known: Mapping[str, Mapping[str, Owned]],
        agents: Mapping[str, AgentRef],
        beside: Places,
        taken: Places,
    ) -> None:
        self._description = brief.description
        self._fingerprint = brief.fingerprint
        self._known = known
        self._agents = agents
        self._beside = beside
        self._taken = taken

    def of(self, change: Change) -> Iterator[AttributeChange]:
        last = self._agents.get(change.user.id)
        moved = change.agent is not None and last is not None and not _same(last, change.agent)
        for each in change.attributes:
            if each.name == OBJECT_CLASS:
                yield each
                continue
            form = self._form(change.user, each)
            yield replace(each, form=Form.OTHER_AGENT if moved and form in _MILD else form)

    def _form(self, user: UserRef, each: AttributeChange) -> Form:
        rule = self._description.equality(each.name)
        comes = each.new if each.secret else equality.minus(rule, each.new, each.old)
        if not comes:
            return Form.EMPTIED
        if (user.id, each.name) in self._taken:
            return Form.TAKEN_OVER
        owned = self._known.get(user.id, {}).get(each.name)
        foreign = bool(each.old) and not self._ours(user, owned, each)
        if each.secret:
            return Form.FOREIGN if foreign else Form.SECRET
        if each.old:
            gone = equality.minus(rule, each.old, each.new)
            return (Form.FOREIGN if foreign else Form.OURS) if gone else Form.BESIDE if foreign else Form.FIRST
        if (user.id, each.name) in self._beside:
            return Form.BESIDE
        return Form.OURS if not each.seen and not each.absent and owned else Form.FIRST

    def _ours(self, user: UserRef, owned: Owned | None, each: AttributeChange) -> bool:
        """Whether this job wrote all values that were seen; secrets by their fingerprints."""
        if owned is None:
            return False
        if each.secret:
            return all(self._fingerprint(user, each.name, value) == owned.fingerprint for value in each.old)
        rule = self._description.equality(each.name)
        return all(equality.digest(rule, value) in owned.values for value in each.old)


def _same(last: AgentRef, now: AgentRef) -> bool:
    """Whether it is one agent: by the account where both have one, for a seat may pass to somebody else."""
    if last.account_code is not None and now.account_code is not None:
        return last.account_code == now.account_code
    return last.work_no == now.work_no
