"""The source and the directory that a job names; an adapter is imported only when a job names it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from connector.directories.port import Directory, Feed, Reader
from connector.errors import FileError
from connector.model import Secret, Tenant, View
from connector.model.mapping import Mapping
from connector.net.secret_stores import fetch_secret
from connector.settings import job as jobs
from connector.settings.fields import name_place
from connector.sources.port import AdjustedSource, Source, forget_hidden_secrets

if TYPE_CHECKING:
    from connector.directories.scim.protocol import Transport
    from connector.settings.scim import ScimDirectory as ScimSettings


def source_of(
    job: jobs.LoadedJob,
    mapping: Mapping,
) -> Source:
    """The source that a job names, for as much as this mapping makes of it. Raises FileError."""
    agents = job.job.source.own_agents
    if mapping.account_fields and job.job.source.accounts is None:
        names = " and ".join(f"{{{field}}}" for field in sorted(mapping.account_fields))
        why = f"the mapping names {names}, so the account list is needed. Set `accounts: true`"
        raise FileError(why, where=job.where("source"))
    source = _whole_source_of(job, mapping)
    steps: list[Callable[[Tenant], Tenant]] = []
    if mapping.passwords:
        shared = job.job.source.shared_secrets
        steps.append(partial(forget_hidden_secrets, shared=shared))
    if agents.only or agents.besides:
        steps.append(agents.mark_others)
    return AdjustedSource(source, *steps)


def _whole_source_of(job: jobs.LoadedJob, mapping: Mapping) -> Source:
    settings = job.job.source
    # what nothing is to be made of is not kept in memory either
    passwords = mapping.passwords
    fields = None
    if settings.accounts is not None:
        fields = mapping.account_fields | settings.own_agents.account_fields
    if settings.type == "file":
        from connector.sources.file import FileSource

        return FileSource(
            settings.path, settings.max_bytes, passwords=passwords, fields=fields
        )
    from connector.sources.cec import CecSource

    app_key = fetch_secret(
        settings.app_key, "the app key", job.where("source", "app_key")
    )
    app_secret = fetch_secret(
        settings.app_secret, "the app secret", job.where("source", "app_secret")
    )
    return CecSource(settings, app_key, app_secret, passwords=passwords, fields=fields)


def reader_of(
    job: jobs.LoadedJob,
    view: View,
    *,
    past: bool = False,
    unread: bool = False,
) -> Reader:
    """A reader of the directory that a job names. Raises FileError with the job's line.

    `past`: it reads past the job's base and filter. `unread`: an LDAP server's schema is not read, as far as it need
    not be.
    """
    settings = (job.widen_to_everybody() if past else job).job.directory
    with locate_faults(job):
        if settings.type == "ldif":
            from connector.directories.ldif.adapter import LdifReader

            return LdifReader(settings, view)
        if settings.type == "scim":
            from connector.directories.scim.adapter import ScimReader

            return ScimReader(settings, transport_of(job, settings), view)
        from connector.directories.ldap.reader import LdapReader

        password = password_of(job)
        return LdapReader(settings, password, view, past=past, unread=unread)


def directory_of(
    job: jobs.LoadedJob,
    view: View,
) -> Directory:
    """The directory that a job names, for reading and writing. Raises FileError with the job's line."""
    settings = job.job.directory
    with locate_faults(job):
        if settings.type == "ldif":
            from connector.directories.ldif.adapter import LdifDirectory

            return LdifDirectory(settings, view)
        if settings.type == "scim":
            from connector.directories.scim.adapter import ScimDirectory

            return ScimDirectory(settings, transport_of(job, settings), view)
        from connector.directories.ldap.adapter import LdapDirectory

        return LdapDirectory(settings, password_of(job), view)


def feed_of(job: jobs.LoadedJob) -> Feed:
    """What tells whether users of the job's directory may have changed. Raises FileError with the job's line."""
    settings = job.job.directory
    with locate_faults(job):
        if settings.type == "ldif":
            from connector.directories.ldif.feed import LdifFeed

            return LdifFeed(settings.path)
        if settings.type == "scim":
            from connector.directories.scim.feed import ScimFeed

            return ScimFeed(partial(transport_of, job, settings), settings.url)
        from connector.directories.ldap.feed import LdapFeed

        return LdapFeed(settings, password_of(job))


@contextmanager
def locate_faults(job: jobs.LoadedJob) -> Iterator[None]:
    """What an adapter finds wrong in the job's values is told with the job's line."""
    try:
        yield
    except FileError as fault:
        keys = fault.where.split(".")
        if keys[0] != "directory":
            raise
        raise FileError(fault.what, where=job.where(*keys)) from None


def transport_of(
    job: jobs.LoadedJob,
    settings: ScimSettings,
) -> Transport:
    """The way to a job's SCIM server. Raises FileError."""
    from connector.directories.scim.transport import HttpTransport

    kept, secret = settings.secret, None
    if kept:
        secret = fetch_secret(kept.ref, kept.what, job.where("directory", *kept.keys))
    return HttpTransport(settings, secret)


def password_of(job: jobs.LoadedJob) -> Secret | None:
    """The password of the name that a job binds as, if it does. Raises FileError."""
    settings = job.job.directory
    if settings.type != "ldap" or settings.password is None:
        return None
    where = job.where("directory", "password")
    password = fetch_secret(settings.password, "the password of bind_dn", where)
    name = job.where("directory", "bind_dn")
    line = job.document.find_line("directory", "password")
    kept = f"its password: {name_place(settings.password)} (line {line})"
    return Secret(password.reveal(), f"bind_dn: {name}; {kept}")
