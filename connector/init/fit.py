"""What a directory is, which users and which ready mapping fit it, and which match rules find agents their users."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from connector.apply.adapters import password_of, reader_of, source_of
from connector.directories.ldap.connection import connect_server
from connector.directories.ldap.inspection import Inspection
from connector.errors import (
    FileError,
    IncompleteRead,
    UnreachableError,
    UntrustedError,
    UsageError,
)
from connector.init.classes import list_siblings
from connector.init.drafts import (
    FULLEST,
    OWN,
    BarredPlace,
    ChosenMapping,
    JobAnswers,
    mapping_text,
)
from connector.init.foreign_values import keep_foreign_values
from connector.init.match_search import search_rules
from connector.init.place import (
    FieldPlace,
    FieldPlaces,
    describe_stay,
    describe_use,
    list_unplaced,
    why_not,
    write_skeleton,
    write_unused,
)
from connector.init.places import find_places
from connector.init.rules import sample_agents
from connector.model import ClassInfo, Secret, Tenant, View
from connector.model.mapping import Mapping, MatchRule
from connector.model.templates import Template
from connector.planning.compare_user import UserComparer
from connector.planning.schema_checks import classes_of
from connector.settings import job as jobs, mapping_file as mappings
from connector.settings.textfile import parse_yaml, read_text
from connector.sources.accounts import NO_ACCOUNTS

AGENTS: Final = 200
"""So many agents are tried."""

_PEOPLE: Final = "(objectClass=inetOrgPerson)"
_MICROSOFT: Final = "Active Directory"
_MICROSOFT_PEOPLE: Final = (
    "(&(objectCategory=person)(objectClass=user)"
    "(!(userAccountControl:1.2.840.113556.1.4.803:=2)))"
)
_NOBODY: Final = re.compile(
    r"group|organization|domain|container|country|locality|role|device|alias|subentry|view"
)
"""Classes of entries that are no users have such a word in their names."""
_MAPPINGS: Final = {
    _MICROSOFT: ("active-directory",),
    "389-DS": ("389ds", "inetorgperson"),
    "LDIF file": ("ldif",),
    "SCIM 2.0 server": ("scim-extension", "scim-enterprise"),
    "": (FULLEST, "inetorgperson"),
}
"""Ready mappings by words of the directory's kind, the fullest first."""
_REPLACED: Final = frozenset(
    {"active-directory", "inetorgperson", "ldif", "scim-enterprise"}
)
"""Those of them that a mapping onto the directory's own attributes is better than."""


class MetServer(Struct, frozen=True):
    """A directory as it is first met: its kind, and what may be a base (naming contexts)."""

    kind: str
    contexts: tuple[str, ...] = ()


class FittingJob(Struct, frozen=True):
    """A job that fits, and how that came about."""

    answers: JobAnswers
    """With the base and filter that were found."""
    text: str
    """Of the mapping file."""
    chosen: ChosenMapping
    tenant: Tenant


def meet_directory(answers: JobAnswers, path: Path) -> MetServer:
    """Connect and look. Raises FileError, or one of the kinds of IncompleteRead."""
    if not answers.is_ldap:
        return MetServer("SCIM 2.0 server" if answers.is_scim else "LDIF file")
    base = answers.base or ("dc=unknown",)
    job = answers.make_job(
        path,
        base,
        answers.filter or _PEOPLE,
    )
    settings = job.job.directory
    assert settings.type == "ldap"
    password = password_of(job)
    if password is not None:
        password = Secret(password.reveal())  # there is no job file to look at yet
    with closing(connect_server(settings, password)) as wire:
        inspection = Inspection(wire, settings.base)
        root = inspection.root_dse
        contexts = root.get("defaultnamingcontext") or root.get("namingcontexts") or []
        bases = [each for each in contexts if not each.lower().startswith("cn=")]
        return MetServer(inspection.dialect.kind, tuple(filter(None, bases)))


def read_tenant(answers: JobAnswers, path: Path) -> Tenant:
    """Read the tenant, with passwords unless all is shown in the directory, and its account list if it can be read.

    Raises FileError, or one of the kinds of IncompleteRead.
    """
    try:
        return _read_tenant(replace(answers, accounts=True), path)
    except (UnreachableError, UntrustedError):
        raise
    except IncompleteRead as fault:
        tenant = _read_tenant(answers, path)
        if fault.what == NO_ACCOUNTS:  # as most files
            return tenant
        why = f"no rule by mail is tried: {fault.what}"
        return replace(tenant, notes=[*tenant.notes, why])


def _read_tenant(answers: JobAnswers, path: Path) -> Tenant:
    job = answers.make_job(
        path,
        answers.base,
        answers.filter or _PEOPLE,
    )
    mapping = Mapping((), ())
    if job.job.directory.type != "ldif":
        mapping = mappings.load_mapping(FULLEST, path)
    if answers.accounts:
        by_mail = MatchRule(Template.parse("{email}"), "mail")
        mapping = replace(mapping, match=(*mapping.match, by_mail))
    return source_of(job, mapping).read()


def fit_job(
    answers: JobAnswers,
    path: Path,
    server: MetServer,
    mapping_path: Path,
    tenant: Tenant,
) -> FittingJob:
    """Try filters, mappings and rules. Raises UsageError where nobody is within base and filter."""
    answers = replace(
        answers,
        filter=_find_filter(answers, path, server),
    )
    job = answers.make_job(path, answers.base, answers.filter)
    sampled = replace(tenant, agents=sample_agents(tenant.agents, AGENTS))
    name, ready, misfits = _choose_ready(job, server)
    found = search_rules(job, sampled)
    stock = ChosenMapping(
        name,
        read_text(Path(ready.where)),
        ready,
        found,
        misfits=misfits,
    )
    chosen = _fit_own_schema(job, tenant, stock)
    if chosen.name != OWN:
        chosen = keep_foreign_values(job, tenant, chosen)
    if not chosen.written_attributes:
        why = f"every attribute that {name} writes holds values of others: {_join_reasons(chosen)}"
        raise UsageError(f"{why}. Write a mapping by hand", where="--directory")
    uses_accounts = bool(chosen.mapping.account_fields)
    answers = replace(answers, accounts=uses_accounts)
    text = mapping_text(chosen)
    mappings.make_mapping(parse_yaml(text, mapping_path))
    return FittingJob(answers, text, chosen, tenant)


def _join_reasons(chosen: ChosenMapping) -> str:
    reasons = [f"{name}: {why}" for name, why in chosen.taken.items()]
    reasons += [f"{place.name}: {place.why}" for place in chosen.barred]
    return "; ".join(reasons)


def _fit_own_schema(
    job: jobs.LoadedJob,
    tenant: Tenant,
    stock: ChosenMapping,
) -> ChosenMapping:
    """Make a mapping from the directory's own schema.

    Where that has no place for a softphone, the stock mapping is kept, and told why. A mapping
    onto attributes that are there for nothing else gives way only to those that hold agents'
    values already.
    """
    found = stock.found
    schema = found.sample.description.schema
    if not schema.types:
        return stock
    is_replaced = stock.name in _REPLACED
    mapped = frozenset(rule.name for rule in stock.ready.attributes)
    yielding = frozenset() if is_replaced else list_siblings(mapped, schema)
    own = find_places(job, tenant, found, yielding)
    others, in_use = own.list_others(yielding | mapped)
    fault = own.describe_fault()
    if not is_replaced and not in_use:
        fault = ""
        if others:
            fault = f"{_join_names(others)} hold no agents' values, or few"
    elif own.are_enough():
        why = "this schema has attributes for it"
        if in_use:
            why = f"agents' values are in {_join_names(in_use)}"
        misfits = [*stock.misfits, f"{stock.name}: {why}"]
        chosen = _map_onto(
            own,
            job,
            tenant,
            replace(stock, misfits=misfits),
        )
        if chosen.written_attributes:
            return chosen
        fault = _join_reasons(chosen)
    if not fault:
        return stock
    besides = [
        f"  # not mapped onto this directory's own schema, since {fault}",
        *write_unused(own, yielding | mapped),
    ]
    misfits = [*stock.misfits, f"{OWN}: {fault}"]
    return replace(
        stock,
        besides=besides,
        misfits=misfits,
    )


def _map_onto(
    own: FieldPlaces,
    job: jobs.LoadedJob,
    tenant: Tenant,
    stock: ChosenMapping,
) -> ChosenMapping:
    """Map onto the best of these places, and let others keep their values."""
    text = write_skeleton(own, stock.misfits, stock.mapping.match[0].directory)
    kept, use = {}, {}
    barred = []
    for place in own.best_places:
        if not place.is_free:
            fields = frozenset(Template.parse(place.field.template).fields)
            barred.append(
                BarredPlace(
                    place.name,
                    fields,
                    describe_use(place, own),
                    why_not(place, own),
                    holders=not place.barred,
                )
            )
            continue
        if place.holders or place.used:
            use[place.name] = describe_use(place, own)
        if place.holders:
            kept[place.name] = describe_stay(place, own)
    chosen = replace(
        stock,
        name=OWN,
        text=text,
        ready=mappings.make_mapping(parse_yaml(text, job.path)),
        stays=kept,
        barred=barred,
        unplaced=list_unplaced(own, stock.found.rules),
    )
    chosen = keep_foreign_values(job, tenant, chosen)
    for name, gained in chosen.use.items():
        use[name] = f"{use[name]}; {gained}" if name in use else gained
    return replace(chosen, use=use)


def _join_names(several: Sequence[FieldPlace]) -> str:
    return ", ".join(sorted({place.name for place in several}))


def _find_filter(answers: JobAnswers, path: Path, server: MetServer) -> str:
    """Find the first filter that somebody is found by, or use the one that was asked for."""
    tries = [answers.filter]
    if not answers.filter and not answers.is_scim:
        tries = [_PEOPLE, "(objectClass=person)"]
        if _MICROSOFT in server.kind:
            tries.insert(0, _MICROSOFT_PEOPLE)
    for filter_ in tries:
        job = answers.make_job(path, answers.base, filter_)
        with closing(reader_of(job, View(()))) as reader:
            if next(reader.scan(), None) is not None:
                return filter_
    if answers.is_ldap and not answers.filter:
        common = _find_commonest_class(answers, path)
        if common:
            return f"(objectClass={common})"
    within = " or ".join(answers.base) or ", ".join(answers.directories)
    by = " or ".join(tries) or "no filter"
    why = f"no users within {within} by {by}, or this account may not see them"
    raise UsageError(f"{why}. Give --filter", where="--base, --filter")


def _find_commonest_class(answers: JobAnswers, path: Path) -> str:
    """Find the structural class that most of the first entries have; empty if there is none.

    Containers and groups do not count. Of a class and those that it inherits from, it is the
    class itself where as many have it. 389-DS does not tell structural classes apart: there it
    is any class.
    """
    job = answers.make_job(path, answers.base, "(objectClass=*)")
    counts: Counter[str] = Counter()
    with closing(reader_of(job, View(()))) as reader:
        known = reader.describe().schema.classes
        for entry in islice(reader.scan(), AGENTS):
            counts.update(classes_of(entry) & known.keys() - {"top"})

    def order(item: ClassInfo) -> tuple[object, ...]:
        is_other = item.kind != "structural"
        return is_other, -counts[item.name], -len(item.above), item.name

    people = [known[name] for name in counts if not _NOBODY.search(name)]
    return min(people, key=order).spelling if people else ""


def _choose_ready(
    job: jobs.LoadedJob, server: MetServer
) -> tuple[str, Mapping, tuple[str, ...]]:
    """Choose the fullest ready mapping that the schema has a place for; tell why not others."""
    misfits = []
    names = next(_MAPPINGS[words] for words in _MAPPINGS if words in server.kind)
    for name in names:
        try:
            mapping = mappings.load_mapping(name, job.path)
            with closing(reader_of(job, mapping.view())) as reader:
                description = reader.describe()
                UserComparer(
                    Tenant([]),
                    mapping,
                    description,
                )
        except FileError as fault:
            misfits.append(f"{name}: {_tell_misfit(fault)}")
            continue
        # without a schema nobody can say, so the plainest is the safest
        if description.schema.closed or name == names[-1]:
            return name, mapping, tuple(misfits)
        misfits.append(f"{name}: the server publishes no schema with it")
    why = f"no ready mapping fits this directory: {'; '.join(misfits)}"
    raise UsageError(why, where=server.kind)


def _tell_misfit(fault: FileError) -> str:
    """Tell the first fault, without its place in a file that is ours, and without advice."""
    why = re.sub(
        r"^.*?\.yaml(:\d+)?: ",
        "",
        fault.what.splitlines()[0],
    )
    return re.sub(r", or (use a mapping without|remove) this line$", "", why)
