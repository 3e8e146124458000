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

from connector.errors import FileError, UsageError
from connector.init.drafts import FULLEST, OWN, Answers, Chosen, mapping_text
from connector.init.foreign_values import keep_foreign_values
from connector.init.match_search import Found, search
from connector.init.place import Place, Places
from connector.init.places import places, siblings
from connector.init.rules import some
from connector.init.skeleton import skeleton, stays, unplaced, unused, why_not
from connector.model import Invalid, Tenant, View
from connector.reconcile.checks.schema_checks import classes_of
from connector.reconcile.diff.differences import Differ
from connector.reconcile.mapping import Mapping
from connector.run.adapters import password_of, reader_of, source_of
from connector.settings import job as jobs, mapping_file as mappings
from connector.settings.textfile import parse_yaml, read_text

AGENTS: Final = 200
"""So many agents are tried."""

_PEOPLE: Final = "(objectClass=inetOrgPerson)"
_FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "Active Directory": (
        "(&(objectCategory=person)(objectClass=user)(!(userAccountControl:1.2.840.113556.1.4.803:=2)))",
    )
}
_NOBODY: Final = re.compile(
    r"group|organization|domain|container|country|locality|role|device|alias|subentry|view"
)
"""Classes of entries that are no users have such a word in their names."""
_MAPPINGS: Final[dict[str, tuple[str, ...]]] = {
    "Active Directory": ("active-directory",),
    "389-DS": ("389ds", "inetorgperson"),
    "LDIF file": ("ldif",),
    "SCIM 2.0 server": ("scim-extension", "scim-enterprise"),
}
"""Ready mappings by the kind of directory, the fullest first."""
_REPLACED: Final = frozenset(
    {"active-directory", "inetorgperson", "ldif", "scim-enterprise"}
)
"""Those of them that a mapping onto the directory's own attributes is better than."""


class Server(Struct, frozen=True):
    """A directory as it is first met: its kind, and what may be a base (naming contexts)."""

    kind: str
    contexts: tuple[str, ...] = ()


class Fit(Struct, frozen=True):
    """A job that fits: its base and filter in `answers`, the mapping file's text, and how that came about.

    `misfits`: the ready mappings that were not chosen, each with why. `agents`: of the tenant; `invalid`: of its
    records those that cannot be read. `found`: by what users were looked for.
    """

    answers: Answers
    text: str
    chosen: Chosen
    misfits: tuple[str, ...]
    agents: int
    found: Found
    invalid: Sequence[Invalid] = ()


def meet(answers: Answers, path: Path) -> Server:
    """Connect and look. Raises FileError, or one of the kinds of IncompleteRead."""
    if not answers.ldap:
        return Server("SCIM 2.0 server" if answers.scim else "LDIF file")
    from connector.directories.ldap.connection import connect
    from connector.directories.ldap.inspection import Inspection

    job = answers.to(path, answers.base or ("dc=unknown",), answers.filter or _PEOPLE)
    settings = job.job.directory
    assert settings.type == "ldap"
    with closing(connect(settings, password_of(job))) as wire:
        inspection = Inspection(wire, settings.base)
        root = inspection.root_dse
        named = root.get("defaultnamingcontext") or root.get("namingcontexts") or []
        users = [name for name in named if name and not name.lower().startswith("cn=")]
        return Server(inspection.dialect.kind, tuple(users))


def read(answers: Answers, path: Path) -> Tenant:
    """The tenant, with passwords unless all is shown there. Raises FileError, or one of the kinds of IncompleteRead."""
    job = answers.to(path, answers.base, answers.filter or _PEOPLE)
    into_a_file = job.job.directory.type == "ldif"
    return source_of(
        job, Mapping((), ()) if into_a_file else mappings.load(FULLEST, path)
    ).read()


def fit(
    answers: Answers, path: Path, server: Server, mapping_path: Path, tenant: Tenant
) -> Fit:
    """Try filters, mappings and rules. Raises UsageError where nobody is within base and filter."""
    answers = replace(answers, filter=_filter(answers, path, server))
    job = answers.to(path, answers.base, answers.filter)
    name, ready, misfits = _ready(job, server)
    sampled = replace(tenant, agents=some(tenant.agents, AGENTS))
    found = search(job, sampled)
    chosen = Chosen(name, ready, len(sampled.agents), found.tried, found.rules)
    stock = Fit(
        answers,
        read_text(Path(ready.where)),
        chosen,
        misfits,
        tenant.size,
        found,
        tenant.invalid,
    )
    fitted = _own(job, tenant, sampled, stock)
    if fitted.chosen.name != OWN:
        fitted = replace(fitted, chosen=keep_foreign_values(job, tenant, fitted.chosen))
    if not fitted.chosen.written:
        in_use = "; ".join(
            f"{each}: {why}" for each, why in fitted.chosen.taken.items()
        )
        why = f"every attribute that {name} writes holds values of others: {in_use}. Write a mapping by hand"
        raise UsageError(why, where="--directory")
    text = mapping_text(fitted.text, fitted.chosen)
    mappings.shaped(parse_yaml(text, mapping_path))
    return replace(fitted, text=text)


def _own(job: jobs.LoadedJob, tenant: Tenant, sampled: Tenant, stock: Fit) -> Fit:
    """A mapping from the directory's own schema; where that has no place for a softphone the stock one, and why.

    A mapping onto attributes that are there for nothing else gives way only to those that
    hold agents' values already.
    """
    description, rules, ready = (
        stock.found.description,
        stock.found.rules,
        stock.chosen.name,
    )
    if not description.types:
        return stock
    mapped = frozenset(attribute.name for attribute in stock.chosen.ready.attributes)
    yielding = frozenset[str]() if ready in _REPLACED else siblings(mapped, description)
    own = places(job, tenant, sampled, description, rules, ready=yielding)
    others, in_use = (_names(some) for some in own.besides(yielding | mapped))
    fault = own.fault(microsoft=description.hides)
    if ready not in _REPLACED and not in_use:
        fault = f"{others} hold no agents' values, or few" if others else ""
    elif own.suffice(microsoft=description.hides):
        why = (
            f"agents' values are in {in_use}"
            if in_use
            else "this schema has attributes for it"
        )
        misfits = (*stock.misfits, f"{ready}: {why}")
        chosen, text = _onto(own, job, tenant, stock.chosen, misfits)
        if chosen.written:
            return replace(stock, text=text, chosen=chosen, misfits=misfits)
        fault = "; ".join(f"{name}: {why}" for name, why in chosen.taken.items())
    if not fault:
        return stock
    besides = (
        f"  # not mapped onto this directory's own schema, since {fault}",
        *unused(own, yielding | mapped),
    )
    misfits = (*stock.misfits, f"{OWN}: {fault}")
    return replace(
        stock, chosen=replace(stock.chosen, besides=besides), misfits=misfits
    )


def _onto(
    own: Places,
    job: jobs.LoadedJob,
    tenant: Tenant,
    stock: Chosen,
    misfits: Sequence[str],
) -> tuple[Chosen, str]:
    """The mapping onto the best of these places, and its text before that is changed."""
    text = skeleton(own, misfits, stock.mapping.match[0].directory)
    kept = {
        place.info.name: stays(place, own)
        for place in own.best
        if place.free and place.holders
    }
    chosen = replace(
        stock,
        name=OWN,
        ready=mappings.shaped(parse_yaml(text, job.path)),
        stays=kept,
        unplaced=unplaced(own),
    )
    chosen = keep_foreign_values(job, tenant, chosen)
    barred = {
        place.info.name: why_not(place, own) for place in own.best if not place.free
    }
    return replace(chosen, taken={**chosen.taken, **barred}), text


def _names(some: Sequence[Place]) -> str:
    return ", ".join(sorted({place.info.name for place in some}))


def _of_kind(table: dict[str, tuple[str, ...]], kind: str) -> tuple[str, ...]:
    """The line of a table whose words the kind of server has in its name, as "Samba Active Directory" has."""
    return next((line for words, line in table.items() if words in kind), ())


def _filter(answers: Answers, path: Path, server: Server) -> str:
    """The one that was asked for, or the first that somebody is found by."""
    likely = (*_of_kind(_FILTERS, server.kind), _PEOPLE, "(objectClass=person)")
    tries = (answers.filter,) if answers.filter or answers.scim else likely
    for filter_ in tries:
        with closing(
            reader_of(answers.to(path, answers.base, filter_), View(()))
        ) as reader:
            if next(reader.scan(), None) is not None:
                return filter_
    own = "" if answers.filter or not answers.ldap else _commonest_class(answers, path)
    if own:
        return f"(objectClass={own})"
    where = " or ".join(answers.base) or ", ".join(answers.directories)
    why = f"no users within {where} by {' or '.join(tries) or 'no filter'}, or this account may not see them"
    raise UsageError(f"{why}. Give --filter", where="--base, --filter")


def _commonest_class(answers: Answers, path: Path) -> str:
    """The structural class that most of the first entries have, but for containers and groups; empty if there is none.

    Of a class and those that it inherits from, only itself counts. 389-DS does not tell
    structural classes apart: there it is any class.
    """
    with closing(
        reader_of(answers.to(path, answers.base, "(objectClass=*)"), View(()))
    ) as reader:
        known = reader.describe().classes
        entries = [
            classes_of(entry) & known.keys() for entry in islice(reader.scan(), AGENTS)
        ]
    counts = Counter(
        name
        for names in entries
        for name in sorted(names - {"top"})
        if not any(name in known[other].above for other in names - {name})
        and not _NOBODY.search(name)
    )
    ranked = sorted(
        counts, key=lambda name: (known[name].kind != "structural", -counts[name], name)
    )
    return known[ranked[0]].spelling if ranked else ""


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
            # where in a file that is ours
            why = re.sub(r"^.*?\.yaml(:\d+)?: ", "", fault.what.splitlines()[0])
            misfits.append(
                f"{name}: {re.sub(', or (use a mapping without|remove) this line$', '', why)}"
            )
            continue
        if (
            description.closed or name == names[-1]
        ):  # without a schema nobody can say, so the plainest is the safest
            return name, mapping, tuple(misfits)
        misfits.append(f"{name}: the server publishes no schema with it")
    raise UsageError(
        f"no ready mapping fits this directory: {'; '.join(misfits)}", where=server.kind
    )
