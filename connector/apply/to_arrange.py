"""What an administrator of an LDAP server has to arrange for a job: rights and indexes."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence

from connector.apply.context import PlanContext
from connector.directories.ldap.reader import LdapReader
from connector.errors import UsageError
from connector.model import Change, Holds, Question, Secret, User
from connector.model.mapping import Mapping


def list_access_rules(context: PlanContext) -> list[str]:
    """The rights that a job's account needs, as its server writes them down. Raises UsageError if that is not known."""
    if not isinstance(context.reader, LdapReader):
        raise UsageError("is for LDAP servers alone", where="--acl")
    rules = context.reader.access_rules(
        [rule.name for rule in context.rules.mapping.attributes],
        _list_searched(context.rules.mapping),
    )
    if not rules:
        why = "no access rules are known for this kind of server, or the job has no `bind_dn`. See docs/checks.md"
        raise UsageError(why, where="--acl")
    return rules


def find_missing_rights(
    context: PlanContext,
    changes: Sequence[Change],
) -> Iterator[tuple[list[str], int, int]]:
    """Attributes that the account may not write, with how many of how many users asked it may not write them of."""
    if not isinstance(context.reader, LdapReader):
        return
    changing = [change for change in changes if change.attributes]
    asked = Counter[str]()
    for change in changing:
        asked.update(each.name for each in change.attributes)
    denied = defaultdict[str, set[str]](set)
    for objection in context.reader.preflight(changing):
        denied[objection.attribute].add(objection.user)
    groups = defaultdict[tuple[frozenset[str], int], list[str]](list)
    for name, users in denied.items():
        groups[frozenset(users), asked[name]].append(name)
    for (denied_users, count), names in groups.items():
        yield names, len(denied_users), count


def tell_compare_rights(
    context: PlanContext,
    users: Sequence[User],
) -> Iterator[str]:
    """What is to be said of secrets that the account can neither read nor compare of any of these users."""
    reader = context.reader
    if not isinstance(reader, LdapReader) or not users:
        return
    for rule in context.rules.mapping.attributes:
        if not rule.secret or any(rule.name in user.values for user in users):
            continue
        unseen = [Question(user.ref, rule.name, Secret("-")) for user in users]
        grant = reader.right_to_compare(rule.name)
        if grant and set(reader.holds(unseen)) == {Holds.UNKNOWN}:
            yield f"{rule.name} can be neither read nor compared, so no plan verifies what is there. {grant}"


def tell_indexes(context: PlanContext) -> Iterator[str]:
    """What is to be said of the indexes of an LDAP server, for the attributes that users are looked up by."""
    if isinstance(context.reader, LdapReader):
        yield from context.reader.index_notes(_list_searched(context.rules.mapping))


def _list_searched(mapping: Mapping) -> list[str]:
    """The attributes that users are looked up by: to match, and to find who holds a value that one user may hold."""
    return [
        *(rule.directory for rule in mapping.match),
        *(rule.name for rule in mapping.attributes if rule.unique),
    ]
