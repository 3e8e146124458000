"""What one user's entry would have to change to say what its agent says: one user at a time, as users stream by."""

from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final

from connector.errors import FileError
from connector.model import (
    OBJECT_CLASS,
    Agent,
    AttributeChange,
    Change,
    Description,
    Fingerprint,
    Held,
    Problem,
    Tenant,
    User,
)
from connector.model.draft import Draft
from connector.model.mapping import Mapping
from connector.model.templates import SECRET_FIELDS
from connector.planning import suitability
from connector.planning.compare_attribute import (
    WantedAttribute,
    as_held,
    each_of,
    holds_ours,
    judge_attribute,
    judge_clearing,
    makes_any,
)
from connector.planning.conversion import UnfitError
from connector.planning.schema_checks import SchemaChecks, lower_classes
from connector.planning.standing import CHANGED, KnownSpellings, Leaver
from connector.planning.together import AttributeGroups

_MEMO: Final = 10_000
"""So many sets of object classes, and of attributes with them, are remembered."""

_UNKNOWN: Final = (
    "the sipPwd of {count:,} agents is unknown: it is * alone, or ten agents or more share it. It is neither written "
    "nor cleared. Fix the tenant. If agents may share one, set `shared_secrets: true` in `source`"
)


def _describe_untold(mapping: Mapping, tenant: Tenant) -> dict[str, Problem]:
    """The one line of each attribute that is made of what the account list does not tell."""
    unknown = tenant.accounts.unknown if tenant.accounts else {}
    problems = {}
    for rule in mapping.attributes:
        untold = sorted(rule.fields & unknown.keys())
        if untold:
            most = max(unknown[field] for field in untold)
            why = (
                f"agents of whom the account list does not tell {' and '.join(untold)}: {most:,}. It is masked there, "
                "or not listed. What their users hold is kept"
            )
            problems[rule.name] = Problem("tenant", why, attribute=rule.name)
    return problems


def _describe_blind_rules(mapping: Mapping, tenant: Tenant) -> Iterator[Problem]:
    """A line for each match rule by a field that the account list tells of no agent."""
    if tenant.accounts is None:
        return
    assigned = sum(agent.account is not None for agent in tenant.agents)
    for number, rule in enumerate(mapping.match, 1):
        for field in sorted(rule.agent.fields & tenant.accounts.unknown.keys()):
            if assigned and tenant.accounts.unknown[field] == assigned:
                why = f"match rule {number} finds nobody: the account list tells {field} of no agent"
                yield Problem("tenant", why)


class UserComparer:
    """The mapping's attribute rules against one user and its agent.

    `problems` are those of the tenant itself: a field of its own that it lacks keeps everything made of it.
    Raises FileError where the directory's schema forbids the mapping.
    """

    def __init__(
        self,
        tenant: Tenant,
        mapping: Mapping,
        description: Description,
        spellings: KnownSpellings | None = None,
    ) -> None:
        faults = list(suitability.find_faults(mapping, description))
        if faults:
            raise FileError("\n".join(faults))
        self.cautions = list(suitability.find_cautions(mapping, description))
        self._spellings = spellings
        self._mapping = mapping
        self._infos = description.attributes
        self._schema = description.schema.classes
        # users share few sets of classes and of attributes, so that each is worked out once
        self._named = lru_cache(_MEMO)(self._names_of)
        self._needed = lru_cache(_MEMO)(self._needed_by)
        self.schema_checks = SchemaChecks(mapping.object_classes, description)
        self._together = AttributeGroups(mapping, tenant, description)
        self.attributes = [rule.name for rule in mapping.attributes]
        notes = list(tenant.notes)
        self._wanted: list[WantedAttribute] = []
        self._unknown: dict[str, Problem] = {}
        """The one line of each attribute that is made of secrets which the source does not tell."""
        unbound: dict[str, list[str]] = {}
        for rule in mapping.attributes:
            if tenant.unknown_secrets and not SECRET_FIELDS.isdisjoint(rule.fields):
                why = _UNKNOWN.format(count=tenant.unknown_secrets)
                self._unknown[rule.name] = Problem("tenant", why, attribute=rule.name)
            what = "nothing is planned for"
            if not all(template.missing(tenant) for template in rule.templates):
                what = "values made of it are kept in"
                self._wanted.append(
                    WantedAttribute.bind_rule(rule, description, tenant)
                )
            for field in rule.missing(tenant):
                why = f"the tenant has no {field}; {what}"
                unbound.setdefault(why, []).append(rule.name)
        notes += [f"{why} {', '.join(unbound[why])}" for why in sorted(unbound)]
        self.problems = [Problem("tenant", note) for note in notes]
        self._unknown |= _describe_untold(mapping, tenant)
        self.problems += _describe_blind_rules(mapping, tenant)
        self.problems += self._unknown.values()
        self._secret = [each for each in self._wanted if each.rule.secret]
        self._plain = [
            (each.rule.name, each.render)
            for each in self._wanted
            if not each.rule.secret
        ]

    def draft_user(
        self,
        agent: Agent,
        user: User,
        rule: int | None,
    ) -> Draft | None:
        """Compare; None: the user is in step, which costs no object. `rule`: the one that matched the two."""
        values = user.values
        for name, render in self._plain:
            if values.get(name) != (render(agent),):
                return self._compare_attributes(self._wanted, agent, user, rule)
        if not self._secret:
            return None
        return self._compare_attributes(self._secret, agent, user, rule)

    def fit_values(self, agent: Agent) -> dict[str, tuple[Held | None, ...]]:
        """By attribute what each template makes, as the attribute can hold it; None: nothing, or what does not fit."""
        found = {}
        for wanted in self._wanted:
            fitted: list[Held | None] = []
            made = each_of(wanted.render(agent))
            for template, value in zip(wanted.rule.templates, made, strict=True):
                fitted.append(None)
                if value is not None:
                    with suppress(UnfitError):
                        fitted[-1] = as_held(wanted, value, template, agent)
            found[wanted.rule.name] = tuple(fitted)
        return found

    def _compare_attributes(
        self,
        attributes: list[WantedAttribute],
        agent: Agent,
        user: User,
        rule: int | None,
    ) -> Draft | None:
        planned: list[AttributeChange] = []
        unfit: list[tuple[str, str]] = []
        unknown: list[Problem] = []
        lacks = self._together.lacking
        for wanted in attributes:
            verdict = judge_attribute(wanted, agent, user, self._spellings)
            lacks = lacks or verdict.lacks
            if verdict.change:
                planned.append(verdict.change)
            if verdict.unfit:
                unfit.append((wanted.rule.name, verdict.unfit))
            if verdict.unknown:
                unknown.append(self._unknown[wanted.rule.name])
        if not planned and not unfit and not unknown:
            return None
        shows = [
            each.name for each in planned if each.name in user.values and not each.old
        ]
        draft = Draft(
            user.ref,
            agent.ref,
            rule,
            tuple(planned),
            shows=frozenset(shows),
            inactive=user.inactive,
        )
        self._check_schema(draft, user)
        faults = [_make_fault(draft, "value", name, why) for name, why in unfit]
        draft.held = (*faults, *draft.held, *unknown)
        if lacks:
            draft.keeps = self._together.find_kept(agent, user, planned)
        return draft

    def holds_most(self, agent: Agent, draft: Draft | None) -> bool:
        """Whether a user holds most of what is wanted for its agent, and shows some of it; a draft says what differs.

        A secret that nobody sees may be there.
        """
        if draft is None:
            return any(
                makes_any(each, agent) for each in self._wanted if not each.rule.secret
            )
        differing: set[str | None] = {each.name for each in draft.planned if each.seen}
        differing.update(each.attribute for each in draft.held)
        if differing.issuperset(self.attributes):
            return False
        wanted = {
            each.rule.name: each.rule.secret
            for each in self._wanted
            if makes_any(each, agent)
        }
        held = wanted.keys() - differing
        return 2 * len(held) > len(wanted) and not all(wanted[name] for name in held)

    def draft_clearing(
        self,
        user: User,
        found: Leaver,
        fingerprint: Fingerprint,
    ) -> Draft:
        """Take what this job wrote, and is there still, from a user that no agent claims any more.

        That takes no template. Only where the tenant lacks a field of every template,
        nothing at all is planned.
        """
        inactive = user.inactive or user.disabled
        draft = Draft(
            user.ref, None, None, (), disabled=user.disabled, inactive=inactive
        )
        for each in self._wanted:
            verdict = judge_clearing(each, user, found, fingerprint)
            if verdict.change:
                draft.planned += (verdict.change,)
            if verdict.unfit:
                draft.held += (draft.problem("stale", verdict.unfit, each.rule.name),)
        self._check_schema(draft, user)
        return draft

    def list_theirs(self, found: Leaver, fingerprint: Fingerprint) -> frozenset[str]:
        """Attributes, in small letters, of which a user shows somebody else's values alone where this job wrote."""
        theirs = set()
        if found.now is None:
            return frozenset()
        for each in self._wanted:
            verdict = judge_clearing(each, found.now, found, fingerprint)
            if verdict.unfit == CHANGED and not verdict.change:
                theirs.add(each.rule.name.lower())
        return frozenset(theirs)

    def _check_schema(self, draft: Draft, user: User) -> None:
        """Hold back what the schema forbids."""
        if draft.planned:
            refused = self.schema_checks.find_refused(user, draft.planned)
            for name, why in refused.items():
                draft.hold((name,), _make_fault(draft, "schema", name, why))
        relies = self.schema_checks.relied_on(user, draft.planned)
        draft.needs = self._named(user.values.get(OBJECT_CLASS, ())), relies

    def list_adopted(self, user: User) -> frozenset[str]:
        return frozenset(
            each.rule.name
            for each in self._wanted
            if each.rule.adopt and holds_ours(each, user)
        )

    def _names_of(self, shown: tuple[Held, ...]) -> frozenset[str]:
        """These object classes in lower case, as they are spelt and by their names; servers store numbers too."""
        names = lower_classes(shown)
        return names | {
            self._schema[name].name for name in names if name in self._schema
        }

    def attributes_of(self, draft: Draft) -> tuple[AttributeChange, ...]:
        """What is planned, led by the object classes that the attributes to be set need and the entry lacks."""
        names = tuple([change.name for change in draft.planned if change.new])
        return (*self._needed(draft.classes, names), *draft.planned)

    def make_trial(self, user: User) -> Change:
        """A change of each attribute that the schema lets the user have, to be told what else stands against it."""
        changes = [
            AttributeChange(
                rule.name,
                user.values.get(rule.name, ()),
                ("some value",),
                seen=not rule.secret,
            )
            for rule in self._mapping.attributes
        ]
        refused = self.schema_checks.find_refused(user, changes)
        allowed = tuple([each for each in changes if each.name not in refused])
        draft = Draft(user.ref, None, None, allowed)
        draft.needs = self._named(user.values.get(OBJECT_CLASS, ())), frozenset()
        return Change(
            user.ref, None, None, self.attributes_of(draft) if allowed else ()
        )

    def needing_classes(self, draft: Draft) -> frozenset[str]:
        return self.schema_checks.needing_classes(draft.classes, draft.planned)

    def hold_classless(self, draft: Draft) -> bool:
        """Hold back what needs an object class that cannot be added any more; whether there was any.

        Such a class requires an attribute that was to be set with it and was held back.
        """
        if draft.needs[1] <= {change.name for change in draft.planned}:
            return False
        needing = self.needing_classes(draft)
        why = "its object class requires another attribute that this plan cannot set"
        for each in draft.planned:
            # it may have fallen with one before it
            if each.name in needing and each in draft.planned:
                draft.hold_attribute(each.name, "schema", why)
        return bool(needing)

    def _needed_by(
        self, classes: frozenset[str], names: tuple[str, ...]
    ) -> tuple[AttributeChange, ...]:
        """The change that adds the object classes which an entry of these lacks to hold these attributes, if any."""
        allowing = [self._infos[name].definition.classes for name in names]
        # without a schema nobody can say which class an attribute needs: then each of the
        # mapping's is added
        lacking = [each for each in allowing if not each or not each & classes]
        needed = tuple(
            name
            for name in self._mapping.object_classes
            if name.lower() not in classes
            and any(not each or name.lower() in each for each in lacking)
        )
        return (AttributeChange(OBJECT_CLASS, (), needed),) if needed else ()


def _make_fault(
    draft: Draft,
    kind: str,
    attribute: str,
    why: str,
) -> Problem:
    """What holds back one attribute before anything is asked; it names no rule, for it would be so by any."""
    return Problem(
        kind,
        why,
        agent=draft.agent,
        users=(draft.user.name,),
        attribute=attribute,
    )
