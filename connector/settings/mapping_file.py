"""The mapping file: which agent is which user, and what is written where. Read into `reconcile.mapping.Mapping`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    InstanceOf,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

import connector
from connector.errors import FileError
from connector.model.spelling import meant
from connector.reconcile.diff import patterns
from connector.reconcile.diff.templates import (
    AGENT_FIELDS,
    SECRET_FIELDS,
    TENANT_FIELDS,
    Template,
)
from connector.reconcile.diff.transforms import TemplateError
from connector.reconcile.mapping import (
    SIP,
    AttributeRule,
    Mapping,
    MatchRule,
    WhenAbsent,
)
from connector.settings.attribute_names import (
    fault_of_name,
    why_not_matched,
    why_not_written,
)
from connector.settings.choices import ObjectClass, StaleChoice, StaleRules, Together
from connector.settings.document import Document
from connector.settings.shape import MisfitError, Strict, misfit
from connector.settings.textfile import Fault, why_no_file, wrong
from connector.settings.validation import check
from connector.settings.yamlfile import read

_PACKAGE: Final = Path(connector.__file__).parent
READY: Final = (_PACKAGE / "mappings", _PACKAGE.parent / "mappings")
"""Where ready mappings are: inside the package as it is installed, beside it in a checkout."""
_FIELDS: Final = ", ".join(f"{{{field}}}" for field in AGENT_FIELDS + TENANT_FIELDS)
_TEMPLATE_SCHEMA: Final = {
    "type": "string",
    "minLength": 1,
    "description": f"Text with fields in braces: {_FIELDS}.",
}
_OWNS: Final = {"type": "string", "minLength": 1}


def _template(value: object) -> Template:
    if _unquoted(value):
        raise misfit('put the template in quotes: "{…}"')
    if isinstance(value, Template):
        return value
    if not isinstance(value, str):
        raise misfit('must be a template in quotes, such as "{accountCode}"')
    try:
        return Template.parse(value)
    except TemplateError as fault:
        raise misfit(str(fault)) from None


def _templates(value: object) -> tuple[Template, ...]:
    if not isinstance(value, list):
        return (_template(value),)
    if not value:
        raise misfit("must not be empty")
    found, faults = [], []
    for place, each in enumerate(value, start=1):
        try:
            found.append(_template(each))
        except MisfitError as fault:
            faults.append(f"template {place}: {fault.what}")
    if faults:
        raise misfit(". Also: ".join(faults))
    return tuple(found)


def _owned(value: object) -> object:
    """Several globs as one text; anything else is left to be judged as a text."""
    several = value if isinstance(value, list) else [value]
    if any(isinstance(each, str) and not each.isprintable() for each in several):
        raise misfit("a pattern holds an unprintable character")
    if (
        isinstance(value, list)
        and value
        and all(isinstance(each, str) and each for each in value)
    ):
        return patterns.joined(value)
    if isinstance(value, list):
        raise misfit("must be a pattern in quotes, or a list of them")
    return value


def _unquoted(value: object) -> bool:
    """`{workNo}` without quotes is a mapping to YAML: of keys that have no values."""
    return (
        isinstance(value, dict)
        and bool(value)
        and all(inner is None for inner in value.values())
    )


def _match_template(template: Template) -> Template:
    if template.fields & SECRET_FIELDS:
        raise misfit("agents cannot be matched by a secret")
    if not template.fields & set(AGENT_FIELDS):
        raise misfit(
            "has no field of the agent, so it is the same for all agents. Add a field"
        )
    return template


def _named(name: str) -> str:
    if fault := fault_of_name(name):
        raise misfit(fault)
    return name


def _matchable(name: str) -> str:
    if why := why_not_matched(_named(name)):
        raise misfit(f"agents cannot be matched by {name}: {why}")
    return name


def _writable(name: str) -> str:
    if why := why_not_written(_named(name)):
        raise misfit(f"is not written: {why}")
    return name


def _one_or_several(schema: Any) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "array", "items": schema, "minItems": 1}]}


TemplateText = Annotated[
    InstanceOf[Template], BeforeValidator(_template), WithJsonSchema(_TEMPLATE_SCHEMA)
]
Templates = Annotated[
    tuple[InstanceOf[Template], ...],
    BeforeValidator(_templates),
    WithJsonSchema(_one_or_several(_TEMPLATE_SCHEMA)),
]
Patterns = Annotated[
    str,
    Field(min_length=1),
    BeforeValidator(_owned),
    WithJsonSchema(_one_or_several(_OWNS)),
]


class MatchShape(Strict):
    """One rule: the user who holds the template's value in an attribute."""

    agent: Annotated[
        TemplateText,
        AfterValidator(_match_template),
        Field(description="Value to look for."),
    ]
    directory: Annotated[
        str, AfterValidator(_matchable), Field(description="Attribute to look in.")
    ]


class AttributeShape(Strict):
    """What is written into one attribute."""

    value: Annotated[
        Templates,
        Field(description="A template; for a multi-valued attribute also a list."),
    ]
    owns: Annotated[
        Patterns | None,
        Field(
            description='Values of a multi-valued attribute that belong to this job: a glob or a list; "*" for all.'
        ),
    ] = None
    unique: Annotated[bool, Field(description="Only one user may hold a value.")] = (
        False
    )
    secret: Annotated[
        bool,
        Field(
            description="Values are secrets: they are never shown.",
            validate_default=True,
        ),
    ] = False
    when_absent: Annotated[
        WhenAbsent | None,
        Field(
            description="What to do when the agent has no value. Default: as the mapping."
        ),
    ] = None
    adopt: Annotated[
        bool, Field(description="Any value counts as written by this job.")
    ] = False
    take_over: Annotated[
        bool,
        Field(description="Write also where another job of this state wrote last."),
    ] = False
    together: Annotated[
        Together | None,
        Field(
            description=(
                "Group of the attribute: a user gets all new values of a group, or none. false: no group. "
                f"Default: attributes made of a sip… field form the group {SIP}."
            )
        ),
    ] = None

    @field_validator("owns")
    @classmethod
    def _covers_the_value(cls, owns: str | None, info: ValidationInfo) -> str | None:
        templates = info.data.get("value", ())
        for place, template in enumerate(templates, start=1):
            if owns and not any(
                _may_own(each.lower(), template) for each in patterns.parts(owns)
            ):
                which = "value" if len(templates) == 1 else f"template {place} of value"
                raise misfit(
                    f"{patterns.said(owns)!r} does not cover what {which} writes. Widen `owns`"
                )
        return owns

    @field_validator("secret")
    @classmethod
    def _says_that_it_is_secret(cls, secret: bool, info: ValidationInfo) -> bool:
        templates = info.data.get("value", ())
        if any(template.secret for template in templates) and not secret:
            raise misfit("writes a secret: set secret: true", at="value")
        if secret and len(templates) > 1:
            raise misfit("a secret takes one template, not a list", at="value")
        return secret


def _may_own(owns: str, template: Template) -> bool:
    """Whether a value of the template can match the glob, as far as the words at both ends tell."""
    first, last = template.pieces[0], template.pieces[-1]
    head, *_, tail = owns.split("*") if "*" in owns else (owns, owns)
    begins = not isinstance(first, str) or _agree(first.lower(), head)
    return begins and (
        not isinstance(last, str) or _agree(last.lower()[::-1], tail[::-1])
    )


def _agree(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _spread(value: object) -> object:
    """The short form, a template alone, as the long one."""
    if isinstance(value, dict) and not (
        _unquoted(value) and not value.keys() & AttributeShape.model_fields.keys()
    ):
        return value
    if isinstance(value, list):
        raise misfit(
            'write a list of templates under value: {value: ["…", "…"], owns: "…"}'
        )
    return {"value": _template(value)}


class MappingShape(Strict):
    """Which agent is which user, and what is written where."""

    match: Annotated[
        list[MatchShape],
        Field(
            min_length=1,
            description="Match rules, tried in order; the first with a user decides.",
        ),
    ]
    attributes: Annotated[
        dict[
            Annotated[str, AfterValidator(_writable)],
            Annotated[
                AttributeShape,
                BeforeValidator(_spread, json_schema_input_type=str | AttributeShape),
            ],
        ],
        Field(
            min_length=1,
            description="Attributes to write, by their names in the directory.",
        ),
    ]
    when_absent: Annotated[
        WhenAbsent,
        Field(description="What to do with values that the agent no longer has."),
    ] = "keep"
    object_classes: Annotated[
        list[ObjectClass],
        Field(description="Auxiliary classes to add with the attributes."),
    ] = Field(default_factory=list)
    stale: Annotated[
        StaleChoice,
        Field(
            description="What to do with values whose agent is gone. clear_after: after this many runs or days. "
            "disabled: for disabled users outside the filter. Default: report."
        ),
    ] = Field(default_factory=StaleRules)


def locate(named: str, folder: Path) -> tuple[Path, bool]:
    """Where a mapping is, and whether it is a ready one: a bare name is, anything else is a path from `folder`.

    Raises FileError, without a place, where there is none.
    """
    if "/" in named or named.endswith((".yaml", ".yml")):
        path = folder / named
        if why := why_no_file(path) if named.isprintable() else "is no path of a file":
            raise FileError(why)
        return path, False
    homes = [home for home in READY if home.is_dir()]
    ready = {
        path.stem: path
        for home in homes[:1]
        for path in home.iterdir()
        if path.suffix == ".yaml"
    }
    if named not in ready:
        names = ", ".join(sorted(ready))
        near = meant(named, ready)
        raise FileError(
            f"no ready mapping is called {named!r}{near}; there are {names} (a path ends in .yaml)"
        )
    return ready[named], True


def load(named: str, relative_to: Path) -> Mapping:
    """Read a mapping, by a ready one's name or a path. `relative_to` is the job file that names it.

    Raises FileError with every fault of the file and the line of each.
    """
    try:
        path, _ = locate(named, relative_to.parent)
    except FileError as fault:
        raise FileError(fault.what, where=str(relative_to)) from None
    return shaped(read(path))


def shaped(document: Document) -> Mapping:
    """A mapping from what its file says. Raises FileError."""
    shape, faults = check(MappingShape, document)
    faults += _across(document)
    if shape is None or faults:
        raise wrong(document.path, faults)
    mapping = Mapping(
        match=tuple(
            MatchRule(
                rule.agent, rule.directory, document.line("match", place, "directory")
            )
            for place, rule in enumerate(shape.match)
        ),
        attributes=tuple(
            AttributeRule(
                name=name,
                value=rule.value[0],
                more=rule.value[1:],
                owns=rule.owns,
                unique=rule.unique,
                secret=rule.secret,
                when_absent=rule.when_absent or shape.when_absent,
                adopt=rule.adopt,
                take_over=rule.take_over,
                together=rule.together,
                line=document.line("attributes", name),
            )
            for name, rule in shape.attributes.items()
        ),
        object_classes=tuple(shape.object_classes),
        stale=shape.stale.unclaimed,
        disabled=shape.stale.disabled,
        where=str(document.path),
        class_lines={
            name: document.line("object_classes", place)
            for place, name in enumerate(shape.object_classes)
        },
    )
    alone = list(_alone(mapping, document))
    if alone:
        raise wrong(document.path, alone)
    return mapping


def _alone(mapping: Mapping, document: Document) -> Iterator[Fault]:
    """Attributes that name a group of which nothing else is: a slip of the pen, or half of a change."""
    together = {name for group in mapping.groups for name in group}
    for rule in mapping.attributes:
        if rule.together and rule.name not in together:
            loc = ("attributes", rule.name, "together")
            yield Fault(
                document.line(*loc),
                0,
                f"{'.'.join(loc)}: no other attribute is of the group {rule.together}",
            )


def _across(document: Document) -> Iterator[Fault]:
    """What rules and attributes make of each other.

    An attribute has one spelling in a file, for case does not tell attributes apart (RFC
    4512 §2.5, RFC 7643 §2.1), and one that holds secrets is not searched for.
    """
    attributes = document.data.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    seen: dict[str, tuple[str, int]] = {}
    for name in attributes:
        line = document.line("attributes", name)
        first, before = seen.setdefault(name.lower(), (name, line))
        if first != name:
            yield Fault(
                line,
                0,
                f"attributes.{name}: line {before} has it as {first}. Remove one",
            )
    rules = document.data.get("match")
    for place, searching in enumerate(rules if isinstance(rules, list) else []):
        name = searching.get("directory") if isinstance(searching, dict) else None
        if not isinstance(name, str):
            continue
        loc = ("match", place, "directory")
        first, before = seen.setdefault(name.lower(), (name, document.line(*loc)))
        if first != name:
            what = f"match[{place + 1}].directory: {name} is spelt {first} on line {before}; use one spelling"
            yield Fault(document.line(*loc), 0, what)
        rule = attributes.get(first)
        if isinstance(rule, dict) and rule.get("secret") is True:
            yield Fault(
                document.line(*loc),
                0,
                f"match[{place + 1}].directory: {name} holds secrets",
            )
