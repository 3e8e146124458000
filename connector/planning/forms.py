"""The form of each attribute's change, from what earlier runs wrote: first value, replaces ours, and so on."""

from __future__ import annotations

from collections import Counter
from collections.abc import (
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Set as AbstractSet,
)
from itertools import chain
from typing import Final

from msgspec import Struct, field
from msgspec.structs import replace

from connector.model import (
    OBJECT_CLASS,
    AgentRef,
    AttributeChange,
    Change,
    Form,
    Held,
    Owned,
    Plan,
    UserRef,
    equality,
)
from connector.planning.brief import PlanBrief, Slot

Places = Collection[tuple[str, str]]
"""Attributes of users: user id and attribute."""
_MILD: Final = frozenset({Form.SECRET, Form.OURS, Form.FIRST})
"""Forms that matter less than that the user now stands for another agent."""


class OtherValues(Struct, frozen=True):
    """What is known of values beside those of the changes."""

    beside: Places = ()
    """Where a user shows values, and none of ours."""
    taken: Places = ()
    """Where another user still holds the new value."""
    ours: Collection[str] = ()
    """Users whose values this job wrote, though the state does not know it yet."""


def add_forms(
    changes: Sequence[Change],
    brief: PlanBrief,
    others: OtherValues,
) -> FormedChanges:
    """The changes with their forms, and what they come to for values of others and of this job.

    An object class has no form. A secret that is not shown may be anybody's: it counts as lost only where it is
    emptied, and this job wrote none there.
    """
    ids = [change.user.id for change in changes]
    known, agents = brief.memory.read_confirmed(ids), brief.memory.read_agents(ids)
    formed = FormedChanges(
        brief,
        others,
        known,
        agents,
    )
    for change in changes:
        attributes = tuple(formed.form_attributes(change))
        formed.changes.append(replace(change, attributes=attributes))
    return formed


class FormedChanges(Struct):
    """Changes, each attribute with its form, and what that was found from."""

    brief: PlanBrief
    others: OtherValues
    known: Mapping[str, Mapping[str, Owned]]
    """By user id what this job wrote last."""
    agents: Mapping[str, AgentRef]
    """By user id for whom."""
    changes: list[Change] = []
    losing: dict[str, set[str]] = {}
    """By attribute the ids of users that lose values which this job did not write."""
    left: Counter[tuple[str, str]] = field(default_factory=Counter)
    """By attribute and its former `owns` how many users may keep what this job wrote by that, and which is not its
    own any more."""

    def _find_owned(self, user: str, name: str) -> Owned | None:
        """What this job wrote there, also where its mapping had another spelling or alias of the attribute."""
        known = self.known.get(user, {})
        if name in known or not known:
            return known.get(name)
        info = self.brief.description.attributes.get(name)
        names = {name.lower(), *(info.definition.aliases if info else ())}
        aliases = (owned for spelt, owned in known.items() if spelt.lower() in names)
        return next(aliases, None)

    def form_attributes(self, change: Change) -> Iterator[AttributeChange]:
        id_, agent = change.user.id, change.agent
        last = self.agents.get(id_, agent)
        moved = (
            agent is not None and last is not None and not _is_same_agent(last, agent)
        )
        for each in change.attributes:
            if each.name == OBJECT_CLASS:
                yield each
                continue
            owned = self._find_owned(id_, each.name)
            form = self._find_form(
                change.user,
                each,
                owned,
            )
            if form is Form.BESIDE and owned is not None and owned.values:
                if owned.pattern not in (None, each.pattern):
                    self.left[each.name, owned.pattern] += 1
            elif moved and form in _MILD:
                form = Form.OTHER_AGENT
            yield replace(each, form=form)

    def _find_form(
        self,
        user: UserRef,
        each: AttributeChange,
        owned: Owned | None,
    ) -> Form:
        rule, slot = self.brief.description.equality(each.name), (user.id, each.name)
        comes = each.new
        gone = each.old
        if not each.secret:
            comes = equality.subtract_equal(
                rule,
                each.new,
                each.old,
            )
            gone = equality.subtract_equal(
                rule,
                each.old,
                each.new,
            )
        if each.seen:
            lost = bool(each.old) and not self._is_ours(
                user,
                owned,
                each,
                gone,
            )
        else:
            # of what is not shown, `old` is what this job wrote last
            is_cleared = each.secret and not each.new and not each.absent
            lost = is_cleared and owned is None
        if lost:
            self.losing.setdefault(each.name, set()).add(user.id)
        for applies, form in (
            (not comes, Form.EMPTIED),
            (slot in self.others.taken, Form.TAKEN_OVER),
            (lost, Form.FOREIGN),
            (each.secret, Form.SECRET),
            (gone, Form.OURS),
        ):
            if applies:
                return form
        if each.old:
            is_ours = self._is_ours(
                user,
                owned,
                each,
                each.old,
            )
            return Form.FIRST if is_ours else Form.BESIDE
        if slot in self.others.beside:
            return Form.BESIDE
        is_unseen = not each.seen and not each.absent and owned
        return Form.OURS if is_unseen else Form.FIRST

    def _is_ours(
        self,
        user: UserRef,
        owned: Owned | None,
        each: AttributeChange,
        values: Iterable[Held],
    ) -> bool:
        """Whether this job wrote all these values of the attribute; secrets by their fingerprints."""
        if user.id in self.others.ours:
            return True
        if each.secret:
            print_ = owned.fingerprint if owned else ""
            fingerprint = self.brief.fingerprint
            return all(
                fingerprint(
                    user,
                    each.name,
                    value,
                )
                == print_
                for value in values
            )
        known: set[str] = set()
        if owned:
            known = {*owned.values, *chain.from_iterable(owned.former.values())}
        rule = self.brief.description.equality(each.name)
        return equality.digest_values(rule, values) <= known


def _is_same_agent(last: AgentRef, now: AgentRef) -> bool:
    """Whether it is one agent: by the account where both have one, for a seat may pass to somebody else."""
    if last.account_code is not None and now.account_code is not None:
        return last.account_code == now.account_code
    return last.work_no == now.work_no


# ---------------------------------------------------------------- values in use by others


class ForeignValues(Struct, frozen=True):
    """How many users lose a value that this job did not write, and how many get one."""

    users: Mapping[str, int]
    """By attribute, in the order of the mapping."""
    matched: int
    """How many users were looked at: those that an agent matches."""
    gaining: Mapping[str, int]
    """By attribute, how many of them get a value."""

    def describe_attribute(self, name: str) -> str:
        """How many users hold another value of this attribute."""
        count = self.users[name]
        return f"{count:,} of {self.matched:,} matched users {'holds' if count == 1 else 'hold'} another value"

    def describe_gain(self, name: str) -> str:
        """How many users get a value."""
        return f"{self.gaining[name]:,} of {self.matched:,} matched users get a value"


def find_foreign_values(
    plan: Plan,
    brief: PlanBrief,
    differing_secrets: Collection[Slot],
) -> ForeignValues:
    """Count the matched users whose values a plan replaces or empties although this job did not write them.

    Nobody sees whose a hidden secret is. It is somebody else's if a comparison found
    another value, or if the user holds somebody else's number or address.
    `differing_secrets`: users and attributes that the directory compared, and that do not
    hold the secret.
    """
    matching = [change for change in plan.changes if change.agent is not None]
    losing = {
        name: set(users)
        for name, users in add_forms(
            matching,
            brief,
            OtherValues(),
        ).losing.items()
    }
    known = brief.memory.read_confirmed([change.user.id for change in matching])
    for change in matching:
        id_ = change.user.id
        for each in change.attributes:
            is_hidden = each.secret and each.sets and not each.seen and not each.absent
            if not is_hidden or each.name in known.get(id_, {}):
                continue
            if (id_, each.name) in differing_secrets or _holds_foreign_identity(
                change,
                each.name,
                losing,
                brief,
            ):
                losing.setdefault(each.name, set()).add(id_)
    counted = {
        rule.name: len(losing[rule.name])
        for rule in brief.mapping.attributes
        if rule.name in losing
    }
    gaining = dict.fromkeys((rule.name for rule in brief.mapping.attributes), 0)
    for change in matching:
        for each in change.attributes:
            if each.name in gaining:
                gaining[each.name] += each.sets
    return ForeignValues(counted, plan.summary.matched, gaining)


def _holds_foreign_identity(
    change: Change,
    secret: str,
    losing: Mapping[str, AbstractSet[str]],
    brief: PlanBrief,
) -> bool:
    """Whether an attribute of the secret's group has values of somebody else, replaced or beside the new ones."""
    group = next((names for names in brief.mapping.groups if secret in names), ())
    others = [each for each in change.attributes if each.name in group]
    return any(
        each.form is Form.BESIDE or change.user.id in losing.get(each.name, ())
        for each in others
    )
