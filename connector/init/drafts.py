"""The text of a job and a mapping file, with comments, as `init` writes them. What is secret is named by its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping as AbstractMapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.init.match_search import FoundRules
from connector.model import patterns
from connector.model.mapping import AttributeRule, Mapping
from connector.settings import job as jobs
from connector.settings.textfile import parse_yaml

_PLAIN: Final = re.compile(
    r"(?!(?i:true|false|null)$)(?!.*(:[ ]|[: ]$))[A-Za-z(/.][A-Za-z0-9(&|!)=*~<>:.,;@/%+_ -]*"
)
"""Texts that YAML takes for themselves (1.2.2, §7.3.3), at the end of a line; others are
put in quotes."""
_OWNS: Final = re.compile(r'owns: ("[^"]*"|\[[^\]]*\])')
FULLEST: Final = "openldap-h350"
"""The ready mapping that writes every field."""


SecretReference = AbstractMapping[str, str]
"""Where a secret is kept: `env` with the name of a variable, or `file` with a path."""


class SourceAnswers(Struct, frozen=True, kw_only=True):
    """What somebody said of the source. Paths are as the job file is to name them."""

    source: str
    app_key: SecretReference | None = None
    app_secret: SecretReference | None = None
    source_ca: str | None = None
    accounts: bool = False
    """Whether the tenant's account list is read."""


class JobAnswers(SourceAnswers, frozen=True, kw_only=True):
    """What somebody said of a job: with flags or at the terminal."""

    directories: tuple[str, ...]
    bind_dn: str | None = None
    password: SecretReference | None = None
    token: SecretReference | None = None
    ca_file: str | None = None
    start_tls: bool = False
    allow_plaintext: bool = False
    base: tuple[str, ...] = ()
    filter: str = ""

    @property
    def is_cec(self) -> bool:
        return self.source.lower().startswith(("https:", "http:"))

    @property
    def is_ldap(self) -> bool:
        return self.directories[0].lower().startswith(("ldaps:", "ldap:", "ldapi:"))

    @property
    def is_scim(self) -> bool:
        return self.directories[0].lower().startswith(("https:", "http:"))

    @property
    def is_local(self) -> bool:
        """Whether the server is reached by a socket of this machine, which says who binds."""
        return all(url.lower().startswith("ldapi:") for url in self.directories)

    def make_job(
        self,
        path: Path,
        base: tuple[str, ...],
        filter_: str,
    ) -> jobs.LoadedJob:
        """Make the job that this would be, with this base and filter. Raises FileError."""
        answered = replace(
            self,
            base=base,
            filter=filter_,
        )
        return jobs.make_job(parse_yaml(job_text(answered, FULLEST), path))


def job_text(answers: JobAnswers, mapping: str) -> str:
    """Write the job file."""
    lines = [
        "# Written by `cec-connector init`. All keys: docs/job-file.md, or `cec-connector schema job`.",
        "source:",
        *_write_keys(_choose_source(answers)),
        "directory:",
        *_write_keys(_choose_directory(answers)),
        f"mapping: {_write_value(mapping)}",
        "# The first run may change all users. Then lower `update` (default: 20%).",
        "limits: {update: 100%}",
        "",
    ]
    return "\n".join(lines)


def _choose_source(answers: JobAnswers) -> dict[str, object]:
    accounts = answers.accounts or None
    if not answers.is_cec:
        return {"type": "file", "path": answers.source, "accounts": accounts}
    return {
        "type": "cec",
        "url": answers.source,
        "allow_plaintext": _needs_plaintext(answers, answers.source),
        "app_key": answers.app_key,
        "app_secret": answers.app_secret,
        "ca_file": answers.source_ca,
        "accounts": accounts,
    }


def _choose_directory(answers: JobAnswers) -> dict[str, object]:
    """Choose the keys of the directory; those without a value are not written."""
    first = answers.directories[0]
    base = answers.base[0] if len(answers.base) == 1 else answers.base
    within = {"base": base, "filter": answers.filter}
    if not (answers.is_scim or answers.is_ldap):
        return {"type": "ldif", "path": first, **within}
    server: dict[str, object] = {"type": "scim", "url": first}
    if answers.is_ldap:
        server = {"type": "ldap", "urls": answers.directories}
        server["start_tls"] = answers.start_tls
    is_clear = _needs_plaintext(answers, *answers.directories)
    return {
        **server,
        "allow_plaintext": is_clear and not server.get("start_tls"),
        "sasl": "external" if answers.is_local else None,
        "bind_dn": answers.bind_dn,
        "password": answers.password,
        "token": answers.token,
        "ca_file": answers.ca_file,
        **within,
    }


def _needs_plaintext(answers: JobAnswers, *urls: str) -> bool:
    """Tell whether a job has to allow these addresses, and may."""
    is_clear = any(url.lower().startswith(("http:", "ldap:")) for url in urls)
    return is_clear and answers.allow_plaintext


def _write_keys(values: AbstractMapping[str, object]) -> Iterable[str]:
    for key, value in values.items():
        if value:
            yield f"  {key}: {_write_value(value)}"


def _write_value(value: object) -> str:
    """Write a value as YAML: texts for themselves where that is clear, all else as JSON."""
    if isinstance(value, dict):
        ((kind, place),) = value.items()
        return f"{{{kind}: {_write_value(place)}}}"
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, ensure_ascii=False)


OWN: Final = "own schema"
"""What a mapping is called that is no ready one, but made from the directory's own schema."""


class BarredPlace(Struct, frozen=True):
    """An attribute that is a comment in a mapping onto the directory's own schema."""

    name: str
    fields: frozenset[str]
    """Of an agent, that it is for."""
    use: str
    """What users hold there."""
    why: str
    """Why it is not written."""
    holders: bool
    """Whether that is because users hold other values."""


class ChosenMapping(Struct, frozen=True):
    """A mapping by its name, and what is to be changed in it."""

    name: str
    text: str
    """Of the mapping, before anything is changed."""
    ready: Mapping
    found: FoundRules
    """Its rules stand in place of the mapping's own, if there are any."""
    taken: AbstractMapping[str, str] = {}
    """Attributes that are left out, each with the reason."""
    stays: AbstractMapping[str, str] = {}
    """Attributes of which some users keep another value, each with how many do."""
    owns: AbstractMapping[str, str] = {}
    """Attributes whose `owns` is narrower than the mapping's own."""
    use: AbstractMapping[str, str] = {}
    """By attribute, what users hold there, or how many get a value."""
    barred: Sequence[BarredPlace] = ()
    unplaced: AbstractMapping[str, str] = {}
    """Fields of an agent for which the schema has no place, each with the reason."""
    besides: Sequence[str] = ()
    """Lines for `attributes`."""
    misfits: Sequence[str] = ()
    """The ready mappings that were not chosen, each with why."""

    @property
    def mapping(self) -> Mapping:
        return replace(self.ready, match=tuple(self.found.rules) or self.ready.match)

    @property
    def written_attributes(self) -> list[AttributeRule]:
        """The attributes that are not left out."""
        return [rule for rule in self.ready.attributes if rule.name not in self.taken]


def mapping_text(chosen: ChosenMapping) -> str:
    """Change a mapping's text.

    Its `match` ends with an empty line, and an attribute is one line.
    """
    head, _, rest = chosen.text.partition("\nmatch:\n")
    _, _, tail = rest.partition("\n\n")
    origin = f"the ready mapping {chosen.name}"
    if chosen.name == OWN:
        origin = "this directory's schema"
    lines = [
        f"# Written by `cec-connector init`, from {origin}:",
        "#",
        head,
        "match:",
        f"  # tried on {chosen.found.agents} agents; the numbers: agents that the rule matches alone",
        *_write_rules(chosen),
        "",
    ]
    for line in tail.splitlines():
        lines.append(_change_attribute(line, chosen))
        if line == "attributes:":
            lines += chosen.besides
    return "\n".join([*lines, ""])


def _write_rules(chosen: ChosenMapping) -> Iterable[str]:
    counts = {each.rule: each.matched for each in chosen.found.tried}
    for rule in chosen.mapping.match:
        agent = json.dumps(rule.agent.text)
        line = f"  - {{agent: {agent}, directory: {rule.directory}}}"
        yield f"{line}  # {counts[rule]}" if rule in counts else line


def _change_attribute(line: str, chosen: ChosenMapping) -> str:
    """Change a line of the ready mapping.

    It becomes a comment where the attribute is left out, or gets its narrower `owns`.
    """
    name = line.strip().partition(": ")[0]
    if name in chosen.taken:
        return f"  # left out, since {chosen.taken[name]}:\n  # {line.strip()}"
    if name in chosen.owns:
        globs = patterns.split_pattern(chosen.owns[name])
        owns = json.dumps(globs if len(globs) > 1 else globs[0])
        changed = _OWNS.sub(lambda _: f"owns: {owns}", line)
        return f"  # {chosen.stays[name]}:\n{changed}"
    return line
