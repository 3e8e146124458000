"""The text of a job and a mapping file, with comments, as `init` writes them. What is secret is named by its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping as AbstractMapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.init.rules import Tried
from connector.reconcile.diff import patterns
from connector.reconcile.mapping import AttributeRule, Mapping, MatchRule
from connector.settings import job as jobs
from connector.settings.textfile import parse_yaml

_PLAIN: Final = re.compile(r"[A-Za-z(/.][A-Za-z0-9(&|!)=*~<>:.,;@/%+_ -]*")
"""Texts that YAML takes for themselves (1.2.2, §7.3.3), at the end of a line; others are
put in quotes."""
_OWNS: Final = re.compile(r'owns: ("[^"]*"|\[[^\]]*\])')
FULLEST: Final = "openldap-h350"
"""The ready mapping that writes every field."""


class Reference(Struct, frozen=True):
    """Where a secret is kept: `env` and the name of a variable, or `file` and a path."""

    kind: str
    place: str

    def __str__(self) -> str:
        return f"{{{self.kind}: {_scalar(self.place)}}}"


class Answers(Struct, frozen=True):
    """What somebody said of a job: with flags or at the terminal. Paths are as the job file is to name them."""

    source: str
    directories: tuple[str, ...]
    app_key: Reference | None = None
    app_secret: Reference | None = None
    source_ca: str | None = None
    bind_dn: str | None = None
    password: Reference | None = None
    token: Reference | None = None
    ca_file: str | None = None
    start_tls: bool = False
    allow_plaintext: bool = False
    base: tuple[str, ...] = ()
    filter: str = ""

    @property
    def cec(self) -> bool:
        return self.source.lower().startswith(("https:", "http:"))

    @property
    def ldap(self) -> bool:
        return self.directories[0].lower().startswith(("ldaps:", "ldap:", "ldapi:"))

    @property
    def scim(self) -> bool:
        return self.directories[0].lower().startswith(("https:", "http:"))

    @property
    def local(self) -> bool:
        """Whether the server is reached by a socket of this machine, which says who binds."""
        return all(url.lower().startswith("ldapi:") for url in self.directories)

    def to(self, path: Path, base: tuple[str, ...], filter_: str) -> jobs.LoadedJob:
        """The job that this would be, in a file of that name, with this base and filter. Raises FileError."""
        answered = replace(self, base=base, filter=filter_)
        return jobs.shaped(parse_yaml(job_text(answered, FULLEST), path))


def job_text(answers: Answers, mapping: str) -> str:
    """The job file."""
    source, directory = _source(answers), _directory(answers)
    return "\n".join(
        [
            "# Written by `cec-connector init`. All keys: docs/job-file.md, or `cec-connector schema job`.",
            "source:",
            *_keys(source),
            "directory:",
            *_keys(directory),
            f"mapping: {_scalar(mapping)}",
            "# The first run changes all users. Then lower `update` (default: 20%).",
            "limits: {update: 100%}",
            "",
        ]
    )


def _source(answers: Answers) -> dict[str, object]:
    if not answers.cec:
        return {"type": "file", "path": answers.source}
    return {
        "type": "cec",
        "url": answers.source,
        "allow_plaintext": _allowed(answers, answers.source),
        "app_key": answers.app_key,
        "app_secret": answers.app_secret,
        "ca_file": answers.source_ca,
    }


def _directory(answers: Answers) -> dict[str, object]:
    base = answers.base if len(answers.base) > 1 else next(iter(answers.base), None)
    within: dict[str, object] = {"base": base, "filter": answers.filter or None}
    if answers.scim:
        proof = {"token": answers.token, "ca_file": answers.ca_file}
        clear = {"allow_plaintext": _allowed(answers, answers.directories[0])}
        return {
            "type": "scim",
            "url": answers.directories[0],
            **clear,
            **proof,
            **within,
        }
    if not answers.ldap:
        return {"type": "ldif", "path": answers.directories[0], **within}
    return {
        "type": "ldap",
        "urls": answers.directories,
        "start_tls": True if answers.start_tls else None,
        "allow_plaintext": None
        if answers.start_tls
        else _allowed(answers, *answers.directories),
        "sasl": "external" if answers.local else None,
        "bind_dn": answers.bind_dn,
        "password": answers.password,
        "ca_file": answers.ca_file,
        **within,
    }


def _allowed(answers: Answers, *urls: str) -> bool | None:
    """Said in a job only of addresses that need it."""
    clear = any(url.lower().startswith(("http:", "ldap:")) for url in urls)
    return True if clear and answers.allow_plaintext else None


def _keys(values: AbstractMapping[str, object]) -> Iterable[str]:
    for key, value in values.items():
        if isinstance(value, tuple):
            yield f"  {key}: [{', '.join(map(json.dumps, value))}]"
        elif isinstance(value, bool):
            yield f"  {key}: {str(value).lower()}"
        elif value is not None:
            yield f"  {key}: {value if isinstance(value, Reference) else _scalar(str(value))}"


def _scalar(text: str) -> str:
    plain = (
        _PLAIN.fullmatch(text)
        and text == text.strip()
        and ": " not in text
        and not text.endswith(":")
    )
    if plain and text.lower() not in {"true", "false", "null"}:
        return text
    return json.dumps(text, ensure_ascii=False)


OWN: Final = "own schema"
"""What a mapping is called that is no ready one, but made from the directory's own schema."""


class Chosen(Struct, frozen=True):
    """A mapping by its name, and what is to be changed in it."""

    name: str
    ready: Mapping
    agents: int
    """How many agents the rules were tried on."""
    tried: Sequence[Tried]
    rules: Sequence[MatchRule]
    """They stand in place of the mapping's own, if there are any."""
    taken: AbstractMapping[str, str] = {}
    """Attributes that are left out, each with the reason."""
    stays: AbstractMapping[str, str] = {}
    """Attributes of which some users keep another value, each with how many do."""
    owns: AbstractMapping[str, str] = {}
    """Attributes whose `owns` is narrower than the mapping's own."""
    unplaced: AbstractMapping[str, str] = {}
    """Fields of an agent for which the schema has no place, each with the reason."""
    besides: Sequence[str] = ()
    """Lines for `attributes`."""

    @property
    def mapping(self) -> Mapping:
        return replace(self.ready, match=tuple(self.rules) or self.ready.match)

    @property
    def written(self) -> list[AttributeRule]:
        """The attributes that are not left out."""
        return [rule for rule in self.ready.attributes if rule.name not in self.taken]


def mapping_text(ready: str, chosen: Chosen) -> str:
    """A ready mapping's text with these changes. Its `match` ends with an empty line, and an attribute is one line."""
    head, _, rest = ready.partition("\nmatch:\n")
    _, _, tail = rest.partition("\n\n")
    counts = {
        (each.rule.agent.text, each.rule.directory): each for each in chosen.tried
    }
    written = (
        f"from the ready mapping {chosen.name}"
        if chosen.name != OWN
        else "from this directory's schema"
    )
    lines = [f"# Written by `cec-connector init`, {written}:", "#", head, "match:"]
    lines.append(
        f"  # tried on {chosen.agents} agents; the numbers: agents that the rule matches alone"
    )
    for rule in chosen.mapping.match:
        found = counts.get((rule.agent.text, rule.directory))
        line = (
            f"  - {{agent: {json.dumps(rule.agent.text)}, directory: {rule.directory}}}"
        )
        lines.append(f"{line}  # {found.matched}" if found else line)
    attributes = [_attribute_line(line, chosen) for line in tail.splitlines()]
    place = attributes.index("attributes:") + 1
    return "\n".join(
        [*lines, "", *attributes[:place], *chosen.besides, *attributes[place:], ""]
    )


def _attribute_line(line: str, chosen: Chosen) -> str:
    """A line of the ready mapping: as a comment where the attribute is left out, or with its narrower `owns`."""
    name = next(
        (
            name
            for name in (*chosen.taken, *chosen.owns)
            if line.startswith(f"  {name}:")
        ),
        None,
    )
    if name is None:
        return line
    if name in chosen.taken:
        return f"  # left out, since {chosen.taken[name]}:\n  # {line.strip()}"
    several = patterns.parts(chosen.owns[name])
    owns = json.dumps(several if len(several) > 1 else several[0])
    narrower = _OWNS.sub(lambda _: f"owns: {owns}", line)
    return f"  # {chosen.stays[name]}:\n{narrower}"
