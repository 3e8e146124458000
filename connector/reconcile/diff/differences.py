"""What one user's entry would have to change to say what its agent says: one user at a time, as users stream by."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Final, Self

from msgspec import Struct

from connector.errors import FileError
from connector.model import (
    OBJECT_CLASS,
    Agent,
    AgentRef,
    AttributeChange,
    AttributeInfo,
    Description,
    Fingerprint,
    Held,
    Owned,
    Problem,
    Secret,
    Syntax,
    Tenant,
    User,
)
from connector.reconcile import dn, equality
from connector.reconcile.checks import suitability
from connector.reconcile.checks.schema_checks import SchemaChecks, spelt
from connector.reconcile.diff import patterns
from connector.reconcile.diff.conversion import UnfitError, defined, fit, named
from connector.reconcile.diff.draft import Draft
from connector.reconcile.diff.together import Together, staying
from connector.reconcile.mapping import AttributeRule, Mapping
from connector.reconcile.stale.stale_users import CHANGED, UNSHOWN_LEAVER, Unclaimed

_MEMO: Final = 10_000
"""So many sets of object classes, and of attributes with them, are remembered."""
_Made = Held | None | tuple[Held | None, ...]
"""What one template makes of an agent, or what each of several does."""
_Render = Callable[[Agent], _Made]
_BY_SCHEMA: Final = frozenset({Syntax.DN, Syntax.NAME_AND_UID, Syntax.DEFINED})
"""Syntaxes of values that name something of the directory's schema."""


class _Wanted(Struct, frozen=True):
    """One attribute rule, bound to the tenant and to what the directory says of the attribute; all of its names.

    `unique`: one user alone may hold a value. `keeps`: values may stay of which no template makes one any more.
    """

    rule: AttributeRule
    info: AttributeInfo
    render: _Render
    schema: Description
    names: frozenset[str]
    unique: bool
    keeps: bool
    tenant: Tenant

    @classmethod
    def of(cls, rule: AttributeRule, description: Description, tenant: Tenant) -> Self:
        info = description.attributes[rule.name]
        names, unique = info.aliases | {rule.name.lower()}, rule.unique or info.unique
        keeps = rule.when_absent == "keep" or bool(rule.missing(tenant))
        return cls(rule, info, _bound(rule, tenant), description, names, unique, keeps, tenant)


_Column = tuple[str, _Render, _Wanted]


def _bound(rule: AttributeRule, tenant: Tenant) -> _Render:
    if not rule.more:
        return rule.value.bind(tenant)
    renders = [template.bind(tenant) for template in rule.templates]
    return lambda agent: tuple([render(agent) for render in renders])


class Differ:
    """The mapping's attribute rules against one user and its agent.

    `problems` are those of the tenant itself: a field of its own that it lacks keeps everything made of it.
    Raises FileError where the directory's schema forbids the mapping.
    """

    def __init__(self, tenant: Tenant, mapping: Mapping, description: Description) -> None:
        self._mapping = mapping
        self._infos = description.attributes
        self._schema = description.classes
        # users share few sets of classes and of attributes, so that each is worked out once
        self._named = lru_cache(_MEMO)(self._names_of)
        self._needed = lru_cache(_MEMO)(self._needed_by)
        self._sets: dict[frozenset[str], frozenset[str]] = {}  # of names, each once for all users: one has 216 octets
        self.schema_checks = SchemaChecks(mapping.object_classes, description)
        self._together = Together(mapping, tenant, description)
        self._lacking = self._together.lacking
        self.problems = [Problem("tenant", note) for note in tenant.notes]
        self._wanted: list[_Wanted] = []
        faults = list(suitability.faults(mapping, description))
        if faults:
            raise FileError("\n".join(faults))
        self.cautions = list(suitability.cautions(mapping, description))
        missing: dict[str, list[str]] = {}
        partly: dict[str, list[str]] = {}
        for rule in mapping.attributes:
            makes = not all(template.missing(tenant) for template in rule.templates)
            for field in rule.missing(tenant):
                (partly if makes else missing).setdefault(field, []).append(rule.name)
            if makes:
                self._wanted.append(_Wanted.of(rule, description, tenant))
        self.attributes = [rule.name for rule in mapping.attributes]
        self._columns = [(wanted.rule.name, wanted.render, wanted) for wanted in self._wanted]
        for found, what in ((missing, "nothing is planned for"), (partly, "values made of it are kept in")):
            self.problems += [
                Problem("tenant", f"the tenant has no {field}; {what} {', '.join(names)}")
                for field, names in sorted(found.items())
            ]

    def draft(self, agent: Agent, user: User, rule: int | None) -> Draft | None:
        """Compare; None: the user is in step, which costs no object. `rule`: the one that matched the two."""
        return self._compared(self._columns, agent, user, rule)

    def one_by_one(
        self, agent: Agent, user: User
    ) -> Iterator[tuple[AttributeRule, tuple[Held | None, ...], Draft | None]]:
        """The same attribute by attribute: its rule, what each template makes as the attribute can hold it, the draft.

        None: a template makes nothing, or what does not fit.
        """
        for column in self._columns:
            _, render, wanted = column
            fitted: list[Held | None] = []
            for value in _each(render(agent)):
                fitted.append(None)
                if value is not None:
                    with suppress(UnfitError):
                        fitted[-1] = _fitted(wanted, value)
            yield wanted.rule, tuple(fitted), self._compared([column], agent, user, None)

    def _compared(self, columns: list[_Column], agent: Agent, user: User, rule: int | None) -> Draft | None:
        planned: list[AttributeChange] = []
        unfit: list[tuple[str, str]] = []
        values = user.values
        naming: frozenset[str] | None = None
        lacking = self._lacking
        for name, render, wanted in columns:
            value = render(agent)
            held = values.get(name, ())
            if held == (value,) or (type(value) is tuple and held == value):
                continue
            lacking = lacking or value is None or (type(value) is tuple and None in value)
            if value is None and (wanted.keeps or (not held and wanted.info.readable)):
                continue
            if naming is None:
                naming = dn.naming(user.name)
            try:
                change = _change(wanted, value, held, naming, agent)
            except UnfitError as fault:
                unfit.append((wanted.rule.name, str(fault)))
                continue
            if change is not None:
                planned.append(change)
        if not planned and not unfit:
            return None
        ref = AgentRef(agent.work_no, agent.account_code)
        shows = frozenset([each.name for each in planned if not each.old and each.name in values])
        shows = self._sets.setdefault(shows, shows)
        draft = self._checked(Draft(user.ref, ref, rule, tuple(planned), shows=shows), user)
        if unfit:
            draft.held = (*(_fault(draft, "value", name, why) for name, why in unfit), *draft.held)
        if lacking:
            draft.keeps = self._together.kept(agent, user, planned)
        return draft

    def holds_most(self, agent: Agent, draft: Draft | None) -> bool:
        """Whether a user holds most of what is wanted for its agent, and shows some of it; a draft says what differs.

        A secret that nobody sees may be there.
        """
        wanted = {
            name: wanted.rule.secret
            for name, render, wanted in self._columns
            if any(value is not None for value in _each(render(agent)))
        }
        changed = {each.name for each in draft.planned if each.seen} if draft else set()
        changed |= {each.attribute for each in draft.held if each.attribute} if draft else set()
        held = wanted.keys() - changed
        return 2 * len(held) > len(wanted) and not all(wanted[name] for name in held)

    def clearing(self, user: User, found: Unclaimed, fingerprint: Fingerprint) -> Draft:
        """Take what this job wrote, and is there still, from a user that no agent claims any more.

        That takes no template. Only where the tenant lacks a field of every template, nothing at all is planned.
        """
        draft = Draft(user.ref, None, None, (), disabled=user.disabled)
        planned = []
        for each in self._wanted:
            name = each.rule.name
            last = found.last(name)
            unshown = found.unshown.get(name)
            if last is None and unshown is None and name not in found.adopted:
                continue
            held = user.values.get(name, ())
            covered = patterns.ours(each.rule.owns, held)
            if not held and each.rule.secret and each.info.readable is not True:
                planned.append(_attribute_change(each, (), (), seen=False))
            elif unshown is not None and not held and (each.schema.hides or each.info.readable is not True):
                if unshown and each.schema.by_value and each.info.comparable:
                    planned.append(_attribute_change(each, unshown, (), seen=False))
                else:
                    draft.held = (*draft.held, draft.problem("stale", UNSHOWN_LEAVER, name))
            elif name in found.adopted:
                planned.append(_attribute_change(each, covered, (), seen=True))
            elif covered and (last or unshown):
                kept = tuple(value for value in covered if not (last and _wrote(last, each, user, value, fingerprint)))
                kept = equality.minus(each.info.equality, kept, unshown or ())  # it was not shown at first, and is now
                if kept:
                    draft.held = (*draft.held, draft.problem("stale", CHANGED, name))
                if len(kept) < len(covered):
                    planned.append(_attribute_change(each, covered, kept, seen=True))
        draft.planned = tuple(planned)
        return self._checked(draft, user)

    def _checked(self, draft: Draft, user: User) -> Draft:
        draft.classes = self._named(user.values.get(OBJECT_CLASS, ()))
        refused = self.schema_checks.refused(user, draft.planned) if draft.planned else {}
        for name, why in refused.items():
            draft.hold((name,), _fault(draft, "schema", name, why))
        relies = self.schema_checks.relied_on(user, draft.planned)
        draft.relies = self._sets.setdefault(relies, relies)
        return draft

    def adopted(self, user: User) -> frozenset[str]:
        return frozenset(
            each.rule.name
            for each in self._wanted
            if each.rule.adopt and patterns.ours(each.rule.owns, user.values.get(each.rule.name, ()))
        )

    def _names_of(self, shown: tuple[Held, ...]) -> frozenset[str]:
        """These object classes in lower case, as they are spelt and by their names; servers store numbers too."""
        names = spelt(shown)
        return names | {self._schema[name].name for name in names if name in self._schema}

    def attributes_of(self, draft: Draft) -> tuple[AttributeChange, ...]:
        """What is planned, led by the object classes that the attributes to be set need and the entry lacks."""
        names = tuple([change.name for change in draft.planned if change.new])
        return (*self._needed(draft.classes, names), *draft.planned)

    def needing_classes(self, draft: Draft) -> frozenset[str]:
        return self.schema_checks.needing_classes(draft.classes, draft.planned)

    def hold_classless(self, draft: Draft) -> bool:
        """Hold back what needs an object class that cannot be added any more; whether there was any.

        Such a class requires an attribute that was to be set with it and was held back.
        """
        if draft.relies <= {change.name for change in draft.planned}:
            return False
        needing = self.needing_classes(draft)
        why = "its object class requires another attribute that this plan cannot set"
        for name in [change.name for change in draft.planned if change.name in needing]:
            if any(change.name == name for change in draft.planned):  # it may have fallen with one before it
                draft.hold((name,), draft.problem("schema", why, name))
        return bool(needing)

    def _needed_by(self, classes: frozenset[str], names: tuple[str, ...]) -> tuple[AttributeChange, ...]:
        """The change that adds the object classes which an entry of these lacks to hold these attributes, if any."""
        needed = tuple(name for name in self._mapping.object_classes if self._needs(name.lower(), classes, names))
        return (AttributeChange(OBJECT_CLASS, (), needed),) if needed else ()

    def _needs(self, name: str, classes: frozenset[str], names: Iterable[str]) -> bool:
        if name in classes:
            return False
        for attribute in names:
            allowed_by = self._infos[attribute].classes
            # without a schema nobody can say which class an attribute needs: then each of the mapping's is added
            if not allowed_by or (name in allowed_by and not allowed_by & classes):
                return True
        return False


def _each(made: _Made) -> tuple[Held | None, ...]:
    return made if isinstance(made, tuple) else (made,)


def _change(
    wanted: _Wanted, value: _Made, held: tuple[Held, ...], naming: frozenset[str], agent: Agent
) -> AttributeChange | None:
    """The change of one attribute, or None. Raises UnfitError where it cannot hold what is wanted."""
    rule, info = wanted.rule, wanted.info
    if not wanted.names.isdisjoint(naming):
        raise UnfitError("it names the entry; a naming attribute is never written")
    if isinstance(value, tuple):
        new = equality.distinct(info.equality, [_fitted(wanted, each) for each in value if each is not None])
    else:
        new = () if value is None else (_fitted(wanted, value),)
    if rule.secret and not held and info.readable is not True:
        return _attribute_change(wanted, (), new, seen=False)
    if not held:
        return _attribute_change(wanted, (), new, seen=True) if new else None
    owned = patterns.ours(wanted.rule.owns, held)
    if rule.owns is None and len(held) > 1:
        raise UnfitError(f"it holds {len(held)} values. In the mapping, set `owns` to those of this job")
    if info.single and new and len(owned) < len(held):
        raise UnfitError("its only value is not this job's (owns). Remove it by hand, or widen `owns`")
    others = [each for each in held if each not in owned]
    taken = new and others and len(equality.minus(info.equality, new, others)) < len(new)
    if isinstance(value, tuple) and None in value and wanted.keeps:
        kept = staying(rule, info.equality, wanted.tenant, agent, owned=owned, new=new)
        new = (*kept, *equality.minus(info.equality, new, kept))
    if equality.same_set(info.equality, owned, new):
        return None
    if taken:
        raise UnfitError("it already holds the value among those that are not this job's (owns)")
    return _attribute_change(wanted, owned, new, seen=True)


def _wrote(owned: Owned, wanted: _Wanted, user: User, value: Held, fingerprint: Fingerprint) -> bool:
    """Whether a value is one that we wrote, by its digest; a secret by its fingerprint."""
    if wanted.rule.secret:
        return fingerprint(user.ref, wanted.rule.name, value) == owned.fingerprint
    return equality.digest(wanted.info.equality, value) in owned.values


def _attribute_change(wanted: _Wanted, old: tuple[Held, ...], new: tuple[Held, ...], *, seen: bool) -> AttributeChange:
    rule = wanted.rule
    return AttributeChange(rule.name, old, new, rule.secret, seen, rule.owns, "", wanted.unique)


def _fitted(wanted: _Wanted, value: Held) -> Held:
    rule, info = wanted.rule, wanted.info
    text = equality.plain(value)
    fitted = fit(info, text) if isinstance(text, str) else text
    if info.syntax in _BY_SCHEMA and isinstance(fitted, str) and wanted.schema.types:
        if info.syntax is Syntax.DEFINED:
            defined(fitted, wanted.schema.types, wanted.schema.classes)
        else:
            named(info, fitted, wanted.schema.types)
    if not patterns.ours(rule.owns, (fitted,)):
        raise UnfitError(f"the value is not covered by `owns`: {patterns.said(rule.owns)}")
    return Secret(fitted) if rule.secret else fitted


def _fault(draft: Draft, kind: str, attribute: str, why: str) -> Problem:
    """What holds back one attribute before anything is asked; it names no rule, for it would be so by any."""
    return Problem(kind, why, agent=draft.agent, users=(draft.user.name,), attribute=attribute)
