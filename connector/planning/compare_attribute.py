"""One attribute of one user: what is wanted there, what fits, and what becomes of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Self

from msgspec import Struct

from connector.model import (
    UNKNOWN_SECRET,
    Agent,
    AttributeChange,
    AttributeInfo,
    Description,
    Fingerprint,
    Held,
    Owned,
    Secret,
    Syntax,
    Tenant,
    User,
    Value,
    dn,
    equality,
    patterns,
)
from connector.model.mapping import AttributeRule
from connector.model.templates import SECRET_FIELDS, Template
from connector.planning.conversion import (
    UnfitError,
    check_address,
    check_defined,
    check_names,
    make_fit,
)
from connector.planning.standing import CHANGED, UNSHOWN_LEAVER, KnownSpellings, Leaver
from connector.planning.together import choose_staying

Made = Held | None | tuple[Held | None, ...]
"""What one template makes of an agent, or what each of several does."""
Render = Callable[[Agent], Made]
_BY_SCHEMA: Final = frozenset({Syntax.DN, Syntax.NAME_AND_UID, Syntax.DEFINED})
"""Syntaxes of values that name something of the directory's schema."""


class WantedAttribute(Struct, frozen=True):
    """One attribute rule, bound to the tenant and to what the directory says of the attribute."""

    rule: AttributeRule
    info: AttributeInfo
    render: Render
    schema: Description
    names: frozenset[str]
    """All names of the attribute."""
    unique: bool
    """One user alone may hold a value."""
    keeps: bool
    """Values may stay of which no template makes one any more."""
    tenant: Tenant
    fits: Callable[[str], Value]
    """A text as the attribute's syntax has it."""
    owned: Callable[[Held], bool] | None
    """Whether a value is this job's; None: all are."""
    plain: bool
    """Nothing else decides what it can hold, but for `owned`."""

    @classmethod
    def bind_rule(
        cls,
        rule: AttributeRule,
        description: Description,
        tenant: Tenant,
    ) -> Self:
        info = description.attributes[rule.name]
        renders = [template.bind(tenant) for template in rule.templates]
        all_ours = rule.owns in (None, patterns.ALL)
        return cls(
            rule,
            info,
            renders[0]
            if not rule.more
            else lambda agent: tuple([render(agent) for render in renders]),
            description,
            names=info.definition.aliases | {rule.name.lower()},
            unique=rule.unique or info.unique,
            keeps=rule.when_absent == "keep" or bool(rule.missing(tenant)),
            tenant=tenant,
            fits=make_fit(info),
            owned=None if all_ours else patterns.is_owned(rule.owns or ""),
            plain=not rule.secret and info.syntax not in _BY_SCHEMA,
        )


class AttributeVerdict(Struct, frozen=True):
    """What becomes of one attribute of a user: in step, unless it says more."""

    change: AttributeChange | None = None
    unfit: str = ""
    """Why the attribute cannot hold the value, or why our value, or somebody's, stays."""
    lacks: bool = False
    """A field of a template is absent, so that there is no new value."""
    unknown: bool = False
    """The source does not tell the value."""


IN_STEP: Final = AttributeVerdict()


def each_of(made: Made) -> tuple[Held | None, ...]:
    """What each template makes."""
    return made if isinstance(made, tuple) else (made,)


def makes_any(wanted: WantedAttribute, agent: Agent) -> bool:
    """Whether a template makes a value of this agent."""
    return any(value is not None for value in each_of(wanted.render(agent)))


def holds_ours(wanted: WantedAttribute, user: User) -> bool:
    """Whether the user shows a value that `owns` covers."""
    return bool(
        patterns.owned_values(wanted.rule.owns, user.values.get(wanted.rule.name, ()))
    )


def _is_untold(agent: Agent, rule: AttributeRule) -> bool:
    """Whether the source hides a field of which the attribute is made."""
    if agent.sip_pwd is UNKNOWN_SECRET and not SECRET_FIELDS.isdisjoint(rule.fields):
        return True
    return agent.account is not None and agent.has_unknown(rule.fields)


def judge_attribute(
    wanted: WantedAttribute,
    agent: Agent,
    user: User,
    spellings: KnownSpellings | None,
) -> AttributeVerdict:
    """What becomes of one attribute of a user and its agent."""
    rule = wanted.rule
    if _is_untold(agent, rule):
        return AttributeVerdict(unknown=True)
    value, held = wanted.render(agent), user.values.get(rule.name, ())
    if held in ((value,), value):
        return IN_STEP
    lacks = None in each_of(value)
    if value is None and (wanted.keeps or (not held and wanted.info.readable)):
        return AttributeVerdict(lacks=lacks)
    try:
        change = plan_change(wanted, value, held, _naming(user.name), agent)
    except UnfitError as fault:
        return AttributeVerdict(unfit=str(fault), lacks=lacks)
    if (
        spellings is not None
        and change is not None
        and change.old
        and change.new
        and spellings.is_in_step(
            user.ref, rule.name, wanted.info.equality, change.new, change.old
        )
    ):
        change = None
    return AttributeVerdict(change, lacks=lacks)


_naming = lru_cache(maxsize=1)(dn.naming_types)
"""Attributes of one user are judged one after the other."""


def judge_clearing(
    wanted: WantedAttribute,
    user: User,
    found: Leaver,
    fingerprint: Fingerprint,
) -> AttributeVerdict:
    """What is taken from a user that no agent claims; `unfit`: why our value, or somebody's, stays."""
    name, info, schema = wanted.rule.name, wanted.info, wanted.schema
    last, unshown = found.find_last(name), found.unshown.get(name)
    adopted = name in found.adopted
    if last is None and unshown is None and not adopted:
        return IN_STEP
    held = user.values.get(name, ())
    is_shown = info.readable is True
    if not held and wanted.rule.secret and not is_shown:
        return AttributeVerdict(_attribute_change(wanted, (), (), seen=False))
    if not held and unshown is not None and (schema.reading.hides or not is_shown):
        if unshown and schema.writing.by_value and info.comparable:
            return AttributeVerdict(_attribute_change(wanted, unshown, (), seen=False))
        return AttributeVerdict(unfit=UNSHOWN_LEAVER)
    covered = patterns.owned_values(wanted.rule.owns, held)
    if adopted:
        return AttributeVerdict(_attribute_change(wanted, covered, ()))
    kept = tuple(
        value
        for value in covered
        if not last or not _was_written(last, wanted, user, value, fingerprint)
    )
    # it was not shown at first, and is now
    kept = equality.subtract_equal(info.equality, kept, unshown or ())
    change = None
    if len(kept) < len(covered):
        change = _attribute_change(wanted, covered, kept)
    return AttributeVerdict(change, unfit=CHANGED if kept and (last or unshown) else "")


def plan_change(
    wanted: WantedAttribute,
    value: Made,
    held: tuple[Held, ...],
    naming: frozenset[str],
    agent: Agent,
) -> AttributeChange | None:
    """The change of one attribute, or None. Raises UnfitError where it cannot hold what is wanted."""
    if not wanted.names.isdisjoint(naming):
        raise UnfitError("it names the entry; a naming attribute is never written")
    rule, info = wanted.rule, wanted.info
    made = zip(rule.templates, each_of(value), strict=True)
    new = tuple(
        [
            as_held(wanted, each, template, agent)
            for template, each in made
            if each is not None
        ]
    )
    if isinstance(value, tuple):
        new = equality.drop_equal(info.equality, new)
    if not held:
        seen = not rule.secret or info.readable is True
        is_needed = new or not seen
        return _attribute_change(wanted, (), new, seen=seen) if is_needed else None
    owned = patterns.owned_values(rule.owns, held)
    if rule.owns is None and len(held) > 1:
        raise UnfitError(
            f"it holds {len(held)} values. In the mapping, set `owns` to those of this job"
        )
    if info.single and new and len(owned) < len(held):
        raise UnfitError(
            "its only value is not this job's (owns), and stays. To replace it, remove it by hand, or widen `owns`"
        )
    others = [each for each in held if each not in owned]
    taken = len(equality.subtract_equal(info.equality, new, others)) < len(new)
    if isinstance(value, tuple) and None in value and wanted.keeps:
        kept = choose_staying(
            rule, info.equality, wanted.tenant, agent, owned=owned, new=new
        )
        new = (*kept, *equality.subtract_equal(info.equality, new, kept))
    compared = equality.choose_rule(info.equality, secret=rule.secret)
    if equality.same_set(compared, owned, new):
        return None
    if taken:
        raise UnfitError(
            "it already holds the value among those that are not this job's (owns)"
        )
    return _attribute_change(wanted, owned, new)


def _was_written(
    owned: Owned,
    wanted: WantedAttribute,
    user: User,
    value: Held,
    fingerprint: Fingerprint,
) -> bool:
    """Whether a value is one that we wrote, by its digest; a secret by its fingerprint."""
    # the mapping may no longer call it a secret
    was_secret = owned.fingerprint and not owned.restored
    if wanted.rule.secret or was_secret:
        return fingerprint(user.ref, wanted.rule.name, value) == owned.fingerprint
    return equality.digest_value(wanted.info.equality, value) in owned.values


def _attribute_change(
    wanted: WantedAttribute,
    old: tuple[Held, ...],
    new: tuple[Held, ...],
    *,
    seen: bool = True,
) -> AttributeChange:
    rule = wanted.rule
    return AttributeChange(
        rule.name,
        old,
        new,
        rule.secret,
        seen,
        rule.owns,
        unique=wanted.unique,
    )


def as_held(
    wanted: WantedAttribute,
    value: Held,
    template: Template,
    agent: Agent,
) -> Held:
    """What a template made of an agent, as the attribute holds it. Raises UnfitError."""
    check_address(value, template, agent, wanted.tenant)
    if wanted.plain and type(value) is str:
        held: Held = wanted.fits(value)
    else:
        held = _fit_value(wanted, value)
    if wanted.owned is not None and not wanted.owned(held):
        raise UnfitError(
            f"the value is not covered by `owns`: {patterns.describe_pattern(wanted.rule.owns)}"
        )
    return held


def _fit_value(wanted: WantedAttribute, value: Held) -> Held:
    """The same, whoever owns it. It is let go of as plain text before anybody else is called."""
    info, schema = wanted.info, wanted.schema.schema
    fitted = equality.reveal_value(value)
    if isinstance(fitted, str):
        fitted = wanted.fits(fitted)
    if isinstance(fitted, str) and info.syntax in _BY_SCHEMA and schema.types:
        if info.syntax is Syntax.DEFINED:
            check_defined(fitted, schema.types, schema.classes)
        else:
            check_names(info, fitted, schema.types)
    return Secret(fitted) if wanted.rule.secret else fitted
