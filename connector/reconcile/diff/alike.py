"""Values that are spelt otherwise than they are there: whether that is a change, the directory has to say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import partial

from connector.model import AttributeChange, Description, Holds, Question
from connector.reconcile import equality
from connector.reconcile.diff.draft import Draft
from connector.reconcile.questions import Brief, Compare, Planning, ask

Slot = tuple[str, str]
"""A user's id, and an attribute."""


def judge_alike(drafts: Collection[Draft], brief: Brief) -> Planning[None]:
    """Take for in step what the directory takes for the same, though not every server would."""
    schema = brief.description
    asked = [
        question
        for draft in drafts
        for each in draft.planned
        if each.old and each.new and not each.secret
        for question in _asked(draft, each, schema)
    ]
    if not asked:
        return
    same: dict[Slot, bool] = {}
    for question, answer in zip(asked, (yield from ask(Compare(tuple(asked)))), strict=True):
        slot = question.user.id, question.attribute
        same[slot] = same.get(slot, True) and answer is Holds.SAME
    users = {id_ for id_, _ in same}
    for draft in drafts:
        if draft.user.id in users:
            draft.judge(partial(_unless_same, same, draft.user.id))


def _asked(draft: Draft, each: AttributeChange, description: Description) -> Iterator[Question]:
    rule = description.equality(each.name)
    if equality.alike(rule, each.old, each.new):
        for value in equality.minus(rule, each.new, each.old):
            yield Question(draft.user, each.name, value)


def _unless_same(same: Mapping[Slot, bool], user: str, change: AttributeChange) -> AttributeChange | None:
    return None if same.get((user, change.name)) else change
