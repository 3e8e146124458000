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


def find_faults(mapping: Mapping, description: Description) -> Iterator[str]:
    """What the schema forbids of it, each with the mapping's line where there is one."""
    for rule in mapping.attributes:
        fault = _why_forbidden(
            mapping,
            rule,
            description,
        )
        if description.naming.chosen_id is not None and description.attributes[
            rule.name
        ].is_(description.naming.chosen_id):
            why = f"{rule.name} is the job's `directory.id`, and an id never changes: {_ID}"
            fault = f"{_describe_line(mapping, rule.line)}: {why}"
        if fault:
            yield fault
    yield from _find_clashes(mapping, description)
    yield from _find_filter_faults(mapping, description)
    for number, match in enumerate(mapping.match, start=1):
        info = description.attributes[match.directory]
        if info.definition.constructed:
            why = "computes it on reading, so no look-up finds it. Match by a stored attribute"
            yield f"{_describe_line(mapping, match.line)}: match rule {number}: {match.directory}: the directory {why}"
        elif not info.definition.known and description.schema.closed:
            near = suggest_name(
                match.directory.partition(";")[0], _list_attributes(description)
            )
            why = f"match rule {number}: the directory's schema has no attribute {match.directory}{near}"
            yield f"{_describe_line(mapping, match.line)}: {why}"
    if not description.schema.closed:
        return
    for name in description.schema.unknown_classes:
        line = mapping.class_lines.get(name, 0)
        near = suggest_name(
            name,
            (
                each.spelling or each.name
                for each in description.schema.classes.values()
            ),
        )
        file = _find_schema_file(name, description)
        load = f": load {file}" if file else ""
        yield f"{_describe_line(mapping, line)}: object_classes: the directory's schema has no class {name}{near}{load}"


def find_cautions(mapping: Mapping, description: Description) -> Iterator[str]:
    """What of it the schema makes less sure."""
    infos = description.attributes
    for rule in mapping.attributes:
        if rule.secret and infos[rule.name].equality is not Equality.OCTETS:
            why = "a secret that differs only in case or spaces is not written"
            yield f"{rule.name} does not compare octet by octet: {why}"
    for number, match in enumerate(mapping.match, start=1):
        if (
            description.reading.hides
            and infos[match.directory].definition.known
            and infos[match.directory].readable is None
        ):
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


def _describe_line(mapping: Mapping, line: int) -> str:
    return f"{mapping.where}:{line}" if line else mapping.where


def _list_attributes(description: Description) -> Iterable[str]:
    return description.schema.paths or (
        info.name for info in description.schema.types.values()
    )


def _find_clashes(mapping: Mapping, description: Description) -> Iterator[str]:
    """Attributes that the mapping names twice, by aliases, or both writes and matches by with different values."""
    infos = description.attributes
    for place, rule in enumerate(mapping.attributes):
        for other in mapping.attributes[:place]:
            if infos[rule.name].is_(infos[other.name]):
                yield f"{mapping.where}:{rule.line}: {rule.name} and {other.name} are two names of one attribute"
        for number, match in enumerate(mapping.match, start=1):
            if infos[rule.name].is_(infos[match.directory]) and {
                each.text for each in rule.templates
            } != {match.agent.text}:
                why = (
                    f"match rule {number} looks for {match.agent.text} in {match.directory}, and this line writes "
                    "another value there. The next run would match other users. Change one of them"
                )
                yield f"{mapping.where}:{rule.line}: {why}"


def _find_filter_faults(mapping: Mapping, description: Description) -> Iterator[str]:
    """What the mapping writes and the job's filter looks at: who leaves the filter by a write is out of its reach."""
    written = [
        (each.name, each.line, each.unique or each.when_absent == "clear")
        for each in mapping.attributes
    ]
    added = [
        (name, mapping.class_lines.get(name, 0), False)
        for name in mapping.object_classes
    ]
    for name, line, emptied in (*written, *added):
        by_any = description.scope.filtered.get(name)
        if by_any or (by_any is False and (emptied or mapping.clears)):
            write = f"writing {name}" if by_any else f"clearing {name}"
            why = f"{write} can take a user out of the job's `filter`, so nobody could verify or undo that write"
            yield f"{_describe_line(mapping, line)}: {why}. Remove {name} from the filter, or remove this line"


def _suggest_owns(rule: AttributeRule) -> str:
    """What to write for `owns`: the pattern of what the templates make; everything only where no mark is there."""
    made = list(dict.fromkeys(map(patterns.pattern_of, rule.templates)))
    if patterns.ALL not in made:
        said = ", ".join(f'"{pattern}"' for pattern in made)
        return f"add owns: {said if len(made) == 1 else f'[{said}]'}, the values of this job"
    if rule.secret:
        return 'add owns: "*" if no other program keeps a value there, else write another attribute'
    mark = f"cec-{min(rule.value.fields, default='value')}:"
    marked = f'value: "{mark}{rule.value.text}", owns: "{mark}*"'
    return f'mark the values of this job ({marked}), or add owns: "*" if no other values are there'


def _why_forbidden(
    mapping: Mapping,
    rule: AttributeRule,
    description: Description,
) -> str | None:
    info = description.attributes[rule.name]
    if not info.definition.known and description.schema.closed:
        options = ", or not with these options" if ";" in rule.name else ""
        options += suggest_name(
            rule.name.partition(";")[0], _list_attributes(description)
        )
        load = _find_schema_file(rule.name, description) or "its schema"
        why = (
            f"the directory's schema has no attribute {rule.name}{options}: load {load}"
        )
        why += ", or use a mapping without this line"
    elif not info.single and rule.owns is None:
        why = f"{rule.name} can hold several values here: {_suggest_owns(rule)}"
    elif rule.more and info.single:
        known = (
            "can hold one value only here"
            if info.definition.known
            else "may hold one value only: no schema says otherwise"
        )
        why = f"{rule.name} {known}: give `value` one template, not a list"
    elif not info.writable:
        why = f"{rule.name} cannot be written: the directory maintains it. Remove this line"
    elif rule.unique and not (info.comparable or info.unique):
        why = (
            f"{rule.name} has no equality rule, so the holder of a value cannot be found. Remove `unique` from "
            "this line, or write another attribute"
        )
    else:
        return None
    return f"{mapping.where}:{rule.line}: {why}"
