"""The mapping file: which agent is which user, and what is written where. Read into `model.mapping.Mapping`."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)

import connector
from connector.errors import FileError
from connector.model import patterns
from connector.model.mapping import (
    SIP,
    AttributeRule,
    Disabled,
    Grace,
    Mapping,
    MatchRule,
    WhenAbsent,
)
from connector.model.templates import (
    ACCOUNT_FIELDS,
    AGENT_FIELDS,
    SECRET_FIELDS,
    Template,
    suggest_name,
)
from connector.settings.attribute_names import (
    fault_of_name,
    why_not_matched,
    why_not_written,
)
from connector.settings.shape import (
    ONE_OR_MORE,
    MisfitError,
    Strict,
    check_document,
    describe_choice,
    match_pattern,
)
from connector.settings.textfile import (
    Document,
    Fault,
    join_faults,
    read_yaml,
    why_no_file,
)

_PACKAGE: Final = Path(connector.__file__).parent
READY: Final = (_PACKAGE / "mappings", _PACKAGE.parent / "mappings")
"""Where ready mappings are: inside the package as it is installed, beside it in a checkout."""


# ---------------------------------------------------------------- templates


def parse_template(value: object) -> Template:
    """Read a template. Raises MisfitError, or a kind of ValueError."""
    if lacks_quotes(value):
        raise MisfitError('put the template in quotes: "{…}"')
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        raise MisfitError('must be a template in quotes, such as "{accountCode}"')
    return Template.parse(value)


def lacks_quotes(value: object) -> bool:
    """Tell `{workNo}` without quotes: to YAML these are keys that have no values."""
    return isinstance(value, dict) and set(value.values()) == {None}


def _check_match_template(template: Template) -> Template:
    if template.fields & SECRET_FIELDS:
        raise MisfitError("agents cannot be matched by a secret")
    if not template.fields & {*AGENT_FIELDS, *ACCOUNT_FIELDS}:
        what = (
            "has no field of the agent, so it is the same for all agents. Add a field"
        )
        raise MisfitError(what)
    return template


OneTemplate = Annotated[
    Template, PlainValidator(parse_template, json_schema_input_type=str)
]
MatchTemplate = Annotated[OneTemplate, AfterValidator(_check_match_template)]
Templates = Annotated[list[OneTemplate], Field(min_length=1), ONE_OR_MORE]


# ---------------------------------------------------------------- attributes


def _check_name(name: str) -> str:
    fault = fault_of_name(name)
    if fault:
        raise MisfitError(fault)
    return name


def _check_matched_name(name: str) -> str:
    why = why_not_matched(_check_name(name))
    if why:
        raise MisfitError(f"agents cannot be matched by {name}: {why}")
    return name


def _check_written_name(name: str) -> str:
    why = why_not_written(_check_name(name))
    if why:
        raise MisfitError(f"is not written: {why}")
    return name


def _check_glob(glob: str) -> str:
    if not glob.isprintable():
        raise MisfitError("a pattern holds an unprintable character")
    return glob


MatchedName = Annotated[str, AfterValidator(_check_matched_name)]
WrittenName = Annotated[str, AfterValidator(_check_written_name)]
Glob = Annotated[str, Field(min_length=1), AfterValidator(_check_glob)]
Globs = Annotated[list[Glob], Field(min_length=1), ONE_OR_MORE]
ObjectClass = Annotated[
    str,
    match_pattern(
        r"[A-Za-z][A-Za-z0-9_-]*|[0-9]+(\.[0-9]+)+", "this is no object class's name"
    ),
]
"""An oid of RFC 4512 §1.4."""


# ---------------------------------------------------------------- stale, together


def _parse_grace(after: object) -> Grace:
    found = re.fullmatch(r"([1-9]\d{0,3}) (run|day)s?", str(after))
    if found is None:
        raise MisfitError(
            "must be a number of runs or of days, such as 3 runs or 7 days"
        )
    return Grace(int(found[1]), "runs" if found[2] == "run" else "days")


GraceText = Annotated[
    Grace | None,
    PlainValidator(_parse_grace),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9]\d{0,3} (run|day)s?$"}),
]


class StaleRules(Strict):
    """What to do with values whose agent is gone, by where the user is."""

    model_config = ConfigDict(
        json_schema_extra={
            "minProperties": 1,
            "not": {"required": ["clear_after", "unclaimed"]},
        }
    )

    clear_after: GraceText = None
    """Clear after this many applies, or days, in which the user is stale."""
    unclaimed: Disabled = "report"
    """For users within base and filter."""
    disabled: Disabled = "report"
    """For users below the base that are disabled and so outside the filter."""

    @model_validator(mode="after")
    def _check_one_rule(self) -> Self:
        if {"clear_after", "unclaimed"} <= self.model_fields_set:
            raise MisfitError("give either clear_after or unclaimed, not both")
        return self


def _expand_stale(value: object) -> object:
    """Make the long form of the short one, which is `report` or `clear`."""
    if isinstance(value, StaleRules) or (isinstance(value, dict) and value):
        return value
    if value in ("report", "clear"):
        return {"unclaimed": value}
    forms = ("{clear_after: 3 runs}", "{unclaimed: clear, disabled: clear}")
    raise MisfitError(describe_choice(value, ("report", "clear", *forms)))


_GROUP: Final = r"(?!(?:false|no|none|off|true|yes|on)$)[a-z][a-z0-9_-]*"


def _parse_group(value: object) -> str:
    """Return a group's name; empty for an attribute that stands alone."""
    if value is False:
        return ""
    if isinstance(value, str) and re.fullmatch(_GROUP, value):
        return value
    what = "must be false, or the name of a group (small letters, digits, - and _)"
    raise MisfitError(f"{what}, such as {SIP}")


StaleChoice = Annotated[
    StaleRules,
    BeforeValidator(_expand_stale, json_schema_input_type=Disabled | StaleRules),
]
Together = Annotated[
    str,
    PlainValidator(_parse_group),
    WithJsonSchema(
        {"anyOf": [{"const": False}, {"type": "string", "pattern": f"^{_GROUP}$"}]}
    ),
]
"""Names of attributes' groups."""


# ---------------------------------------------------------------- the file


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
        pattern = patterns.join_patterns(owns) if owns else None
        for number, template in enumerate(templates, start=1):
            if patterns.are_apart(pattern, patterns.pattern_of(template)):
                of = "" if len(templates) == 1 else f"template {number} of "
                what = f"does not cover what {of}value writes. Widen `owns`"
                raise MisfitError(f"{patterns.describe_pattern(pattern)!r} {what}")
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
    stale: StaleChoice = Field(default_factory=StaleRules)
    """What to do with values whose agent is gone. Default: report."""


def locate_mapping(named: str, folder: Path) -> tuple[Path, bool]:
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
    what = f"no ready mapping is called {name!r}{suggest_name(name, names)}"
    raise FileError(f"{what}; there are {', '.join(names)} (a path ends in .yaml)")


def load_mapping(named: str, relative_to: Path) -> Mapping:
    """Read a mapping, by a ready one's name or a path. `relative_to` is the job file that names it.

    Raises FileError with every fault of the file and the line of each.
    """
    try:
        path, _ = locate_mapping(named, relative_to.parent)
    except FileError as fault:
        raise FileError(fault.what, where=str(relative_to)) from None
    return make_mapping(read_yaml(path))


def make_mapping(document: Document) -> Mapping:
    """Make a mapping from what its file says. Raises FileError."""
    shape = check_document(MappingShape, document)
    mapping = _make_mapping(shape, document)
    faults = [*_check_spellings(mapping), *_check_rules(mapping, document)]
    if faults:
        raise join_faults(document.path, faults)
    return mapping


def _make_mapping(shape: MappingShape, document: Document) -> Mapping:
    rules = []
    for number, rule in enumerate(shape.match):
        line = document.find_line("match", number, "directory")
        rules.append(MatchRule(rule.agent, rule.directory, line))
    class_lines = {}
    for number, name in enumerate(shape.object_classes):
        class_lines[name] = document.find_line("object_classes", number)
    attributes = []
    for name, attribute in shape.attributes.items():
        first, *more = attribute.value
        keys = {
            **dict(attribute),
            "value": first,
            "owns": patterns.join_patterns(attribute.owns) if attribute.owns else None,
            "when_absent": attribute.when_absent or shape.when_absent,
        }
        line = document.find_line("attributes", name)
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


def _check_rules(mapping: Mapping, document: Document) -> Iterator[Fault]:
    """Refuse to search for secrets, and a group of one: a slip of the pen, or half of a change."""
    secrets = {rule.name for rule in mapping.attributes if rule.secret}
    for number, match in enumerate(mapping.match, start=1):
        if match.directory in secrets:
            what = f"{match.directory} holds secrets"
            yield Fault(match.line, 0, f"match[{number}].directory: {what}")
    grouped = {name for group in mapping.groups for name in group}
    for rule in mapping.attributes:
        if rule.together and rule.name not in grouped:
            line = document.find_line("attributes", rule.name, "together")
            what = f"no other attribute is of the group {rule.together}"
            yield Fault(line, 0, f"attributes.{rule.name}.together: {what}")


def _check_spellings(mapping: Mapping) -> Iterator[Fault]:
    """Check that an attribute has one spelling in a file, and is written once.

    Case does not tell attributes apart (RFC 4512 §2.5, RFC 7643 §2.1).
    """
    named = [(rule.name, rule.line) for rule in mapping.attributes]
    named += [(rule.directory, rule.line) for rule in mapping.match]
    first_names: dict[str, tuple[str, int]] = {}
    for name, line in named:
        first, first_line = first_names.setdefault(name.lower(), (name, line))
        if first != name:
            what = f"{name}: line {first_line} spells it {first}. Keep one spelling"
            yield Fault(line, 0, what)
