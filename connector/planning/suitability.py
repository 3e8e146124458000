"""Whether a mapping suits a directory's schema, as far as that can be told before any user is read. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from connector.model import Description, Equality, Syntax, patterns
from connector.model.mapping import AttributeRule, Mapping
from connector.model.templates import suggest_name

_ID: Final = "name another attribute in the job, or remove this line"
_FOLDERS: Final = {
    "OpenLDAP": "openldap/{}.ldif",
    "389": "389ds/60{}.ldif",
    "Active Directory": "active-directory/{}.ldif",
}
"""Where the files for a kind of server are within `deploy/schema`."""
_LATER: Final = frozenset({"cecsipserviceport"})
"""What the class cecAgent has not had from the start."""
_CEC: Final = frozenset({"cecagent", "cecaccountcode", "cecworkno"}) | _LATER


_Fault = tuple[int, str]
"""A line of the mapping (0: none), and what is wrong with it."""


def find_faults(mapping: Mapping, description: Description) -> Iterator[str]:
    """What the schema forbids of it, each with the mapping's line where there is one."""
    for line, why in (
        *_find_unfit_attributes(mapping, description),
        *_find_clashes(mapping, description),
        *_find_filter_faults(mapping, description),
        *_find_unfit_rules(mapping, description),
        *_find_unknown_classes(mapping, description),
    ):
        where = f"{mapping.where}:{line}" if line else mapping.where
        yield f"{where}: {why}"


def _find_unfit_attributes(
    mapping: Mapping, description: Description
) -> Iterator[_Fault]:
    chosen = description.naming.chosen_id
    for rule in mapping.attributes:
        why = _why_forbidden(rule, description)
        if chosen is not None and description.attributes[rule.name].is_(chosen):
            why = f"{rule.name} is the job's `directory.id`, and an id never changes: {_ID}"
        if why:
            yield rule.line, why


def _find_unfit_rules(mapping: Mapping, description: Description) -> Iterator[_Fault]:
    for number, match in enumerate(mapping.match, start=1):
        name = match.directory
        definition = description.attributes[name].definition
        if definition.constructed:
            why = "computes it on reading, so no look-up finds it. Match by a stored attribute"
            yield match.line, f"match rule {number}: {name}: the directory {why}"
        elif not definition.known and description.schema.closed:
            near = suggest_name(name.partition(";")[0], _list_attributes(description))
            why = f"the directory's schema has no attribute {name}{near}"
            yield match.line, f"match rule {number}: {why}"


def _find_unknown_classes(
    mapping: Mapping, description: Description
) -> Iterator[_Fault]:
    schema = description.schema
    known = [each.spelling or each.name for each in schema.classes.values()]
    for name in schema.unknown_classes if schema.closed else ():
        near = suggest_name(name, known)
        file = _find_schema_file(name, description)
        load = f": load {file}" if file else ""
        why = f"object_classes: the directory's schema has no class {name}{near}{load}"
        yield mapping.class_lines.get(name, 0), why


def find_cautions(mapping: Mapping, description: Description) -> Iterator[str]:
    """What of it the schema makes less sure."""
    infos = description.attributes
    for rule in mapping.attributes:
        if rule.secret and infos[rule.name].equality is not Equality.OCTETS:
            why = "a secret that differs only in case or spaces is not written"
            yield f"{rule.name} does not compare octet by octet: {why}"
    for number, match in enumerate(mapping.match, start=1):
        info = infos[match.directory]
        is_hidden = description.reading.hides and info.readable is None
        if is_hidden and info.definition.known:
            why = "without control access this account sees no value of it and matches no user by it"
            yield f"match rule {number}: {match.directory} is confidential: {why}"
    for rule in mapping.attributes:
        if infos[rule.name].syntax is Syntax.OTHER:
            yield f"{rule.name} has a syntax that is not known here: what it may hold is not checked in advance"


def _find_schema_file(name: str, description: Description) -> str:
    """The file of this project that defines an attribute or class of its own, or of H.350, for this kind of server."""
    low = name.lower()
    if low.startswith("urn:ietf:params:scim:schemas:extension:cec:"):
        return "deploy/schema/scim/cec-extension.json"
    file = (
        "cec-agent" if low in _CEC else "h350" if low.startswith("sipidentity") else ""
    )
    where = next(
        (each for kind, each in _FOLDERS.items() if kind in description.kind), ""
    )
    if not file or not where:
        return ""
    if (
        low in _LATER
        and "cecagent" in description.schema.classes
        and "389" not in where
    ):
        file = "cec-agent-upgrade"
    return f"deploy/schema/{where.format(file)} (README.md beside it says how)"


def _list_attributes(description: Description) -> Iterable[str]:
    return description.schema.paths or (
        info.name for info in description.schema.types.values()
    )


def _find_clashes(mapping: Mapping, description: Description) -> Iterator[_Fault]:
    """Attributes that the mapping names twice, by aliases, or both writes and matches by with different values."""
    infos = description.attributes
    for place, rule in enumerate(mapping.attributes):
        info, made = infos[rule.name], {each.text for each in rule.templates}
        for other in mapping.attributes[:place]:
            if info.is_(infos[other.name]):
                why = f"{rule.name} and {other.name} are two names of one attribute"
                yield rule.line, why
        for number, match in enumerate(mapping.match, start=1):
            if info.is_(infos[match.directory]) and made != {match.agent.text}:
                yield (
                    rule.line,
                    (
                        f"match rule {number} looks for {match.agent.text} in {match.directory}, and this line writes "
                        "another value there. The next run would match other users. Change one of them"
                    ),
                )


def _find_filter_faults(mapping: Mapping, description: Description) -> Iterator[_Fault]:
    """What the mapping writes and the job's filter looks at: who leaves the filter by a write is out of its reach."""
    written = {
        each.name: (each.line, each.unique or each.when_absent == "clear")
        for each in mapping.attributes
    }
    for name in mapping.object_classes:
        written[name] = mapping.class_lines.get(name, 0), False
    for name, (line, emptied) in written.items():
        by_any = description.scope.filtered.get(name)
        if by_any or (by_any is False and (emptied or mapping.clears)):
            yield (
                line,
                (
                    f"{'writing' if by_any else 'clearing'} {name} can take a user out of the job's `filter`, so "
                    f"nobody could verify or undo that write. Remove {name} from the filter, or remove this line"
                ),
            )


def _suggest_owns(rule: AttributeRule) -> str:
    """What to write for `owns`: the pattern of what the templates make; everything only where no mark is there."""
    made = dict.fromkeys(map(patterns.pattern_of, rule.templates))
    if patterns.ALL not in made:
        said = ", ".join(f'"{pattern}"' for pattern in made)
        return f"add owns: {said if len(made) == 1 else f'[{said}]'}, the values of this job"
    if rule.secret:
        return 'add owns: "*" if no other program keeps a value there, else write another attribute'
    mark = f"cec-{min(rule.value.fields, default='value')}:"
    marked = f'value: "{mark}{rule.value.text}", owns: "{mark}*"'
    return f'mark the values of this job ({marked}), or add owns: "*" if no other values are there'


def _why_forbidden(rule: AttributeRule, description: Description) -> str:
    name, info = rule.name, description.attributes[rule.name]
    known = info.definition.known
    if not known and description.schema.closed:
        options = ", or not with these options" if ";" in name else ""
        near = suggest_name(name.partition(";")[0], _list_attributes(description))
        load = _find_schema_file(name, description) or "its schema"
        return (
            f"the directory's schema has no attribute {name}{options}{near}: load {load}, or use a mapping without "
            "this line"
        )
    if not info.single and rule.owns is None:
        return f"{name} can hold several values here: {_suggest_owns(rule)}"
    if info.single and rule.more:
        why = "may hold one value only: no schema says otherwise"
        if known:
            why = "can hold one value only here"
        return f"{name} {why}: give `value` one template, not a list"
    if not info.writable:
        return f"{name} cannot be written: the directory maintains it. Remove this line"
    if rule.unique and not (info.comparable or info.unique):
        return (
            f"{name} has no equality rule, so the holder of a value cannot be found. Remove `unique` from "
            "this line, or write another attribute"
        )
    return ""
