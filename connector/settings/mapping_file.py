"""The mapping file: which agent is which user, and what is written where. Read into `model.mapping.Mapping`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator

import connector
from connector.errors import FileError
from connector.model import patterns
from connector.model.mapping import (
    SIP,
    AttributeRule,
    Mapping,
    MatchRule,
    WhenAbsent,
)
from connector.model.spelling import meant
from connector.model.templates import Template
from connector.settings.mapping_values import (
    MatchedName,
    MatchTemplate,
    ObjectClass,
    Patterns,
    StaleChoice,
    StaleRules,
    Templates,
    Together,
    WrittenName,
    lacks_quotes,
    parse_template,
)
from connector.settings.shape import MisfitError, Strict, check_document
from connector.settings.textfile import Document, Fault, read_yaml, why_no_file, wrong

_PACKAGE: Final = Path(connector.__file__).parent
READY: Final = (_PACKAGE / "mappings", _PACKAGE.parent / "mappings")
"""Where ready mappings are: inside the package as it is installed, beside it in a checkout."""


class MatchShape(Strict):
    """One rule: the user who holds the template's value in an attribute."""

    agent: MatchTemplate
    """Value to look for."""
    directory: MatchedName
    """Attribute to look in."""


class AttributeShape(Strict):
    """What is written into one attribute."""

    value: Templates
    """A template; for a multi-valued attribute also a list."""
    owns: Patterns | None = Field(
        default=None,
        description='Values of a multi-valued attribute that belong to this job: a glob or a list; "*" for all.',
    )
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
    together: Together | None = Field(
        default=None,
        description=(
            "Group of the attribute: a user gets all new values of a group, or none. false: no group. "
            f"Default: attributes made of a sip… field form the group {SIP}."
        ),
    )

    @field_validator("owns")
    @classmethod
    def _check_coverage(cls, owns: str | None, info: ValidationInfo) -> str | None:
        if not owns:
            return owns
        templates = info.data.get("value", ())
        globs = [glob.lower() for glob in patterns.parts(owns)]
        for number, template in enumerate(templates, start=1):
            if not any(_may_match(glob, template) for glob in globs):
                of = "" if len(templates) == 1 else f"template {number} of "
                what = f"does not cover what {of}value writes. Widen `owns`"
                raise MisfitError(f"{patterns.said(owns)!r} {what}")
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


def _may_match(glob: str, template: Template) -> bool:
    """Tell whether a value may match the glob, as far as the words at both ends say."""
    beginning, _, rest = glob.partition("*")
    ending = rest.rpartition("*")[2] if "*" in glob else glob
    first, last = template.pieces[0], template.pieces[-1]
    if isinstance(first, str) and not _share_beginning(first.lower(), beginning):
        return False
    if isinstance(last, str):
        return _share_beginning(last.lower()[::-1], ending[::-1])
    return True


def _share_beginning(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


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
    stale: StaleChoice = Field(
        default_factory=StaleRules,
        description="What to do with values whose agent is gone. clear_after: after this many runs or days. "
        "disabled: for disabled users outside the filter. Default: report.",
    )


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
    ready = {path.stem: path for path in home.glob("*.yaml")}
    if name not in ready:
        names = ", ".join(sorted(ready))
        near = meant(name, ready)
        what = f"no ready mapping is called {name!r}{near}; there are {names} (a path ends in .yaml)"
        raise FileError(what)
    return ready[name]


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
    lone_groups = list(_find_lone_groups(mapping, document))
    if lone_groups:
        raise wrong(document.path, lone_groups)
    return mapping


def _make_mapping(shape: MappingShape, document: Document) -> Mapping:
    rules = []
    for number, rule in enumerate(shape.match):
        line = document.line("match", number, "directory")
        rules.append(MatchRule(rule.agent, rule.directory, line))
    attributes = []
    for name, attribute in shape.attributes.items():
        first, *more = attribute.value
        attributes.append(
            AttributeRule(
                name=name,
                value=first,
                more=tuple(more),
                owns=attribute.owns,
                unique=attribute.unique,
                secret=attribute.secret,
                when_absent=attribute.when_absent or shape.when_absent,
                adopt=attribute.adopt,
                take_over=attribute.take_over,
                together=attribute.together,
                line=document.line("attributes", name),
            )
        )
    class_lines = {
        name: document.line("object_classes", number)
        for number, name in enumerate(shape.object_classes)
    }
    return Mapping(
        match=tuple(rules),
        attributes=tuple(attributes),
        object_classes=tuple(shape.object_classes),
        stale=shape.stale.unclaimed,
        disabled=shape.stale.disabled,
        where=str(document.path),
        class_lines=class_lines,
    )


def _find_lone_groups(mapping: Mapping, document: Document) -> Iterator[Fault]:
    """Find attributes that name a group of their own: a slip of the pen, or half of a change."""
    grouped = {name for group in mapping.groups for name in group}
    for rule in mapping.attributes:
        if rule.together and rule.name not in grouped:
            line = document.line("attributes", rule.name, "together")
            what = f"no other attribute is of the group {rule.together}"
            yield Fault(line, 0, f"attributes.{rule.name}.together: {what}")


def _check_spellings(document: Document) -> Iterator[Fault]:
    """Check what rules and attributes say of each other.

    An attribute has one spelling in a file, for case does not tell attributes apart (RFC
    4512 §2.5, RFC 7643 §2.1), and one that holds secrets is not searched for.
    """
    attributes = document.data.get("attributes")
    if not isinstance(attributes, dict):
        attributes = {}
    seen: dict[str, tuple[str, int]] = {}
    for name in attributes:
        line = document.line("attributes", name)
        first, first_line = seen.setdefault(name.lower(), (name, line))
        if first != name:
            what = f"line {first_line} has it as {first}. Remove one"
            yield Fault(line, 0, f"attributes.{name}: {what}")
    rules = document.data.get("match")
    for number, rule in enumerate(rules if isinstance(rules, list) else []):
        name = rule.get("directory") if isinstance(rule, dict) else None
        if not isinstance(name, str):
            continue
        key = f"match[{number + 1}].directory"
        line = document.line("match", number, "directory")
        first, first_line = seen.setdefault(name.lower(), (name, line))
        if first != name:
            what = f"{name} is spelt {first} on line {first_line}; use one spelling"
            yield Fault(line, 0, f"{key}: {what}")
        written: Any = attributes.get(first)
        if isinstance(written, dict) and written.get("secret") is True:
            yield Fault(line, 0, f"{key}: {name} holds secrets")
