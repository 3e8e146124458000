"""The mapping file: which agent is which user, and what is written where. Read into `model.mapping.Mapping`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

import connector
from connector.errors import FileError
from connector.model import patterns
from connector.model.mapping import AttributeRule, Mapping, MatchRule, WhenAbsent
from connector.model.spelling import meant
from connector.settings.mapping_values import (
    Globs,
    MatchedName,
    MatchTemplate,
    ObjectClass,
    StaleChoice,
    StaleRules,
    Templates,
    Together,
    WrittenName,
    lacks_quotes,
    parse_template,
)
from connector.settings.shape import MisfitError, Strict, check_document, join_keys
from connector.settings.textfile import (
    Document,
    Fault,
    Loc,
    read_yaml,
    why_no_file,
    wrong,
)

_PACKAGE: Final = Path(connector.__file__).parent
READY: Final = (_PACKAGE / "mappings", _PACKAGE.parent / "mappings")
"""Where ready mappings are: inside the package as it is installed, beside it in a checkout."""


class MatchShape(Strict):
    """One rule: the user who holds the template's value in an attribute."""

    agent: MatchTemplate
    """Value to look for: a template with fields in braces, such as {accountCode}."""
    directory: MatchedName
    """Attribute to look in."""


class AttributeShape(Strict):
    """What is written into one attribute."""

    value: Templates
    """A template with fields in braces; for a multi-valued attribute also a list."""
    owns: Globs | None = None
    """Globs of a multi-valued attribute's values that belong to this job; "*" for all."""
    unique: bool = False
    """Only one user may hold a value."""
    secret: bool = Field(default=False, validate_default=True)
    """Values are secrets: they are never shown."""
    when_absent: WhenAbsent | None = None
    """What to do when the agent has no value. Default: as the mapping."""
    adopt: bool = False
    """Any value counts as written by this job."""
    take_over: bool = False
    """Write also where another job of this state wrote last."""
    together: Together | None = None
    """Group of the attribute: a user gets all new values of a group, or none. false: no
    group. Default: attributes made of a sip… field form the group sip."""

    @field_validator("owns")
    @classmethod
    def _check_coverage(
        cls, owns: list[str] | None, info: ValidationInfo
    ) -> list[str] | None:
        templates = info.data.get("value", ())
        pattern = patterns.joined(owns) if owns else None
        for number, template in enumerate(templates, start=1):
            if patterns.apart(pattern, patterns.of(template)):
                of = "" if len(templates) == 1 else f"template {number} of "
                what = f"does not cover what {of}value writes. Widen `owns`"
                raise MisfitError(f"{patterns.said(pattern)!r} {what}")
        return owns

    @field_validator("secret")
    @classmethod
    def _check_secret(cls, secret: bool, info: ValidationInfo) -> bool:
        templates = info.data.get("value", ())
        if not secret and any(template.secret for template in templates):
            raise MisfitError("writes a secret: set secret: true", at="value")
        if secret and len(templates) > 1:
            raise MisfitError("a secret takes one template, not a list", at="value")
        return secret


def _expand_short_form(value: object) -> object:
    """Make the long form of the short one, which is a template alone."""
    if isinstance(value, dict):
        has_known_keys = bool(value.keys() & AttributeShape.model_fields.keys())
        if has_known_keys or not lacks_quotes(value):
            return value
    if isinstance(value, list):
        raise MisfitError(
            'write a list of templates under value: {value: ["…", "…"], owns: "…"}'
        )
    return {"value": parse_template(value)}


AttributeOrTemplate = Annotated[
    AttributeShape,
    BeforeValidator(_expand_short_form, json_schema_input_type=str | AttributeShape),
]


class MappingShape(Strict):
    """Which agent is which user, and what is written where."""

    match: list[MatchShape] = Field(min_length=1)
    """Match rules, tried in order; the first with a user decides."""
    attributes: dict[WrittenName, AttributeOrTemplate] = Field(min_length=1)
    """Attributes to write, by their names in the directory."""
    when_absent: WhenAbsent = "keep"
    """What to do with values that the agent no longer has."""
    object_classes: list[ObjectClass] = Field(default_factory=list)
    """Auxiliary classes to add with the attributes."""
    stale: StaleChoice = StaleRules()
    """What to do with values whose agent is gone. Default: report."""


def locate(named: str, folder: Path) -> tuple[Path, bool]:
    """Find a mapping, and tell whether it is a ready one.

    A bare name is a ready one, anything else a path from `folder`. Raises FileError, without
    a place, where there is none.
    """
    if "/" not in named and not named.endswith((".yaml", ".yml")):
        return _find_ready(named), True
    path = folder / named
    why = why_no_file(path) if named.isprintable() else "is no path of a file"
    if why:
        raise FileError(why)
    return path, False


def _find_ready(name: str) -> Path:
    home = READY[0] if READY[0].is_dir() else READY[1]
    names = sorted(path.stem for path in home.glob("*.yaml"))
    if name in names:
        return home / f"{name}.yaml"
    what = f"no ready mapping is called {name!r}{meant(name, names)}"
    raise FileError(f"{what}; there are {', '.join(names)} (a path ends in .yaml)")


def load(named: str, relative_to: Path) -> Mapping:
    """Read a mapping, by a ready one's name or a path. `relative_to` is the job file that names it.

    Raises FileError with every fault of the file and the line of each.
    """
    try:
        path, _ = locate(named, relative_to.parent)
    except FileError as fault:
        raise FileError(fault.what, where=str(relative_to)) from None
    return shaped(read_yaml(path))


def shaped(document: Document) -> Mapping:
    """Make a mapping from what its file says. Raises FileError."""
    shape, faults = check_document(MappingShape, document)
    faults += _check_spellings(document)
    if shape is None or faults:
        raise wrong(document.path, faults)
    mapping = _make_mapping(shape, document)
    faults += _check_rules(mapping)
    if faults:
        raise wrong(document.path, faults)
    return mapping


def _make_mapping(shape: MappingShape, document: Document) -> Mapping:
    rules = []
    for number, rule in enumerate(shape.match):
        line = document.line("match", number, "directory")
        rules.append(MatchRule(rule.agent, rule.directory, line))
    class_lines = {}
    for number, name in enumerate(shape.object_classes):
        class_lines[name] = document.line("object_classes", number)
    attributes = []
    for name, attribute in shape.attributes.items():
        first, *more = attribute.value
        keys = {
            **dict(attribute),
            "value": first,
            "owns": patterns.joined(attribute.owns) if attribute.owns else None,
            "when_absent": attribute.when_absent or shape.when_absent,
        }
        line = document.line("attributes", name)
        attributes.append(AttributeRule(name=name, line=line, more=tuple(more), **keys))
    return Mapping(
        match=tuple(rules),
        attributes=tuple(attributes),
        object_classes=tuple(shape.object_classes),
        stale=shape.stale.clear_after or shape.stale.unclaimed,
        disabled=shape.stale.disabled,
        where=str(document.path),
        class_lines=class_lines,
    )


def _check_rules(mapping: Mapping) -> Iterator[Fault]:
    """Refuse to search for secrets, and a group of one: a slip of the pen, or half of a change."""
    secrets = {rule.name for rule in mapping.attributes if rule.secret}
    for number, match in enumerate(mapping.match, start=1):
        if match.directory in secrets:
            what = f"{match.directory} holds secrets"
            yield Fault(match.line, 0, f"match[{number}].directory: {what}")
    grouped = {name for group in mapping.groups for name in group}
    for rule in mapping.attributes:
        if rule.together and rule.name not in grouped:
            what = f"no other attribute is of the group {rule.together}"
            yield Fault(rule.line, 0, f"attributes.{rule.name}.together: {what}")


def _check_spellings(document: Document) -> Iterator[Fault]:
    """Check that an attribute has one spelling in a file, and is written once.

    Case does not tell attributes apart (RFC 4512 §2.5, RFC 7643 §2.1).
    """
    first_names: dict[str, tuple[str, int]] = {}
    for loc, name in _list_names(document):
        line = document.line(*loc)
        first, first_line = first_names.setdefault(name.lower(), (name, line))
        if first != name:
            what = f"line {first_line} spells it {first}. Keep one spelling"
            yield Fault(line, 0, f"{join_keys(loc)}: {what}")


def _list_names(document: Document) -> Iterator[tuple[Loc, str]]:
    """List the attributes that are written, then those that are searched, with their places."""
    attributes = document.data.get("attributes")
    if isinstance(attributes, dict):
        for name in attributes:
            yield ("attributes", name), name
    rules = document.data.get("match")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        name = rule.get("directory") if isinstance(rule, dict) else None
        if isinstance(name, str):
            yield ("match", number, "directory"), name
