"""What a directory is, which users and which ready mapping fit it, and which match rules find agents their users."""

from __future__ import annotations

import re
from collections import Counter
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import FileError, UsageError
from connector.init.drafts import Answers, Chosen, mapping_text
from connector.init.rules import ATTRIBUTES, SCIM_ATTRIBUTES, Sample, Tried, best, candidates, keys, some
from connector.model import Tenant, User, View
from connector.reconcile.diff.differences import Differ
from connector.reconcile.mapping import Mapping, MatchRule
from connector.run.adapters import password_of, reader_of, source_of
from connector.settings import job as jobs, mapping_file as mappings
from connector.settings.textfile import read_text
from connector.settings.yamlfile import parse

AGENTS: Final = 200
"""So many agents are tried, and so many users show what the directory's values look like."""

_PEOPLE: Final = "(objectClass=inetOrgPerson)"
_FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "Active Directory": (
        "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
    )
}
_MAPPINGS: Final[dict[str, tuple[str, ...]]] = {
    "Active Directory": ("active-directory",),
    "389-DS": ("389ds", "inetorgperson"),
    "LDIF file": ("ldif",),
    "SCIM 2.0 server": ("scim-extension", "scim-enterprise"),
}
"""Ready mappings by the kind of directory, the fullest first."""
_STOCK: Final = frozenset({"active-directory", "inetorgperson", "scim-enterprise"})
"""Those of them that write to attributes which may well be in use for something else."""


class Server(Struct, frozen=True):
    """A directory as it is first met: its kind, and what may be a base (naming contexts)."""

    kind: str
    contexts: tuple[str, ...] = ()


class Fit(Struct, frozen=True):
    """A job that fits: its base and filter in `answers`, the mapping file's text, and how that came about.

    `misfits`: the ready mappings that were not chosen, each with why. `agents`: of the tenant. `together`: how many of
    the agents that were tried have exactly one user by the rules that were chosen.
    """

    answers: Answers
    text: str
    chosen: Chosen
    misfits: tuple[str, ...]
    agents: int
    together: int


def meet(answers: Answers, path: Path) -> Server:
    """Connect and look. Raises FileError, or one of the kinds of IncompleteRead."""
    if not answers.ldap:
        return Server("SCIM 2.0 server" if answers.scim else "LDIF file")
    from connector.directories.ldap.connection import connect
    from connector.directories.ldap.inspection import Inspection

    job = answers.to(path, answers.base or "dc=unknown", answers.filter or _PEOPLE)
    settings = job.job.directory
    assert settings.type == "ldap"
    with closing(connect(settings, password_of(job))) as wire:
        inspection = Inspection(wire, settings.base)
        root = inspection.root
        named = root.get("defaultnamingcontext") or root.get("namingcontexts") or []
        users = [name for name in named if name and not name.lower().startswith("cn=")]
        return Server(inspection.dialect.kind, tuple(users))


def fit(answers: Answers, path: Path, server: Server, mapping_path: Path) -> Fit:
    """Try filters, mappings and rules. Raises UsageError where nobody is within base and filter."""
    answers = replace(answers, filter=_filter(answers, path, server))
    job = answers.to(path, answers.base, answers.filter)
    name, ready, misfits = _ready(job, server)
    tenant = source_of(job, replace(ready, attributes=())).read()
    sampled = replace(tenant, agents=some(tenant.agents, AGENTS))
    each, rules, together = _rules(job, sampled)
    chosen = Chosen(name, ready, len(sampled.agents), each, rules, {})
    if name in _STOCK:
        chosen = replace(chosen, taken=_taken(job, sampled, chosen.mapping))
    text = mapping_text(read_text(Path(ready.where)), chosen)
    mappings.shaped(parse(text, mapping_path))
    return Fit(answers, text, chosen, misfits, tenant.size, together)


def _of_kind(table: dict[str, tuple[str, ...]], kind: str) -> tuple[str, ...]:
    """The line of a table whose words the kind of server has in its name, as "Samba Active Directory" has."""
    return next((line for words, line in table.items() if words in kind), ())


def _filter(answers: Answers, path: Path, server: Server) -> str:
    """The one that was asked for, or the first that somebody is found by."""
    likely = (*_of_kind(_FILTERS, server.kind), _PEOPLE, "(objectClass=person)")
    tries = (answers.filter,) if answers.filter or answers.scim else likely
    for filter_ in tries:
        with closing(reader_of(answers.to(path, answers.base, filter_), View(()))) as reader:
            if next(reader.scan(), None) is not None:
                return filter_
    where = answers.base or ", ".join(answers.directories)
    why = f"no users within {where} by {' or '.join(tries) or 'no filter'}, or this account may not see them"
    raise UsageError(f"{why}. Give --filter", where="--base, --filter")


def _ready(job: jobs.LoadedJob, server: Server) -> tuple[str, Mapping, tuple[str, ...]]:
    """The fullest ready mapping that the directory's schema has a place for, and why not those before it."""
    misfits = []
    names = _of_kind(_MAPPINGS, server.kind) or ("openldap-h350", "inetorgperson")
    for name in names:
        try:
            mapping = mappings.load(name, job.path)
            with closing(reader_of(job, mapping.view())) as reader:
                description = reader.describe()
                Differ(Tenant([]), mapping, description)
        except FileError as fault:
            why = re.sub(r"^.*?\.yaml(:\d+)?: ", "", fault.what.splitlines()[0])  # where in a file that is ours
            misfits.append(f"{name}: {why}")
            continue
        if description.closed or name == names[-1]:  # without a schema nobody can say, so the plainest is the safest
            return name, mapping, tuple(misfits)
        misfits.append(f"{name}: the server publishes no schema with it")
    raise UsageError(f"no ready mapping fits this directory: {'; '.join(misfits)}", where=server.kind)


def _rules(job: jobs.LoadedJob, sampled: Tenant) -> tuple[list[Tried], list[MatchRule], int]:
    """The candidates, each by itself; those to take; and how many agents these find together."""
    attributes = SCIM_ATTRIBUTES if job.job.directory.type == "scim" else ATTRIBUTES
    with closing(reader_of(job, View(attributes))) as reader:
        description = reader.describe()
        known = [name for name in attributes if description.attributes[name].known]
        looks = list(islice(reader.scan(), AGENTS))
        rules = list(candidates(known, sampled.agents, looks))
        users: dict[str, User] = {user.id: user for user in reader.find(keys(rules, sampled))}
    sample = Sample(sampled, list(users.values()), description)
    each = [Tried(rule, *sample.try_([rule]), proposed="workNo" not in rule.agent.fields) for rule in rules]
    rules = best(each, sample)
    return each, rules, sample.try_(rules)[0] if rules else 0


def _taken(job: jobs.LoadedJob, sampled: Tenant, mapping: Mapping) -> dict[str, str]:
    """Attributes that hold something else for users of the sample, by name, each with for how many."""
    with closing(reader_of(job, mapping.view())) as reader:
        users = list(reader.find(keys(mapping.match, sampled)))
        verdicts = Sample(sampled, users, reader.describe()).verdicts(mapping)
    replaced = Counter(
        each.name
        for claim in verdicts.matched
        for each in (claim.draft.planned if claim.draft else ())
        if each.old and each.pattern is None
    )  # fmt: skip
    return {
        name: f"{count} of {len(verdicts.matched)} matched users hold another value" for name, count in replaced.items()
    }
