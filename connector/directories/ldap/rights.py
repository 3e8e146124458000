"""Which right an account lacks, and how each kind of server writes it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from msgspec import Struct


class Right(Enum):
    """What is to be done with attributes. `BLIND`: written and compared, and never read, as secrets are."""

    READ = "search and read"
    WRITE = "write"
    BLIND = "write and compare"


Rule = Callable[[str, str, Sequence[str], Right], str]
"""Writes down a right: of an account, by its bind DN; of users below a base; over attributes."""
_OPENLDAP: Final = {Right.READ: "read", Right.WRITE: "write", Right.BLIND: "=wc"}
_DS389: Final = {Right.READ: "read, search, compare", Right.WRITE: "write", Right.BLIND: "write, compare"}


def openldap(account: str, base: str, names: Sequence[str], right: Right) -> str:
    """An access rule (slapd.access(5)). The first that says something of an attribute decides, unless it breaks."""
    attributes = ["entry", *names] if right is Right.READ else names  # nothing is found without a right to the entry
    what = f'to dn.subtree="{base}" attrs={",".join(attributes)}'
    return f'In olcAccess, first: {what} by dn.exact="{account}" {_OPENLDAP[right]} by * break'


def ds389(account: str, base: str, names: Sequence[str], right: Right) -> str:
    """An access control instruction of 389-DS."""
    target = " || ".join(names) or "*"
    allow = f'allow ({_DS389[right]}) userdn="ldap:///{account}";'
    return f'At {base}, add aci: (targetattr="{target}")(version 3.0; acl "cec-connector"; {allow})'


def active_directory(account: str, base: str, names: Sequence[str], right: Right) -> str:
    """Commands of Windows (dsacls): read property or write property, for users below the base."""
    letters = "RP" if right is Right.READ else "WP"
    commands = (f'dsacls "{base}" /I:S /G "{account}:{letters};{name};user"' for name in names)
    return "Run: " + (" and ".join(commands) or f'dsacls "{base}" /I:T /G "{account}:GR"')


class Advice(Struct, frozen=True):
    """What an account is told to be given. `account`: its bind DN, or empty where the bind has none.

    `rule`: how the server writes it down; None where that is not known.
    """

    rule: Rule | None = None
    account: str = ""
    base: str = ""

    def grant(self, what: str, names: Sequence[str], right: Right, secrets: Sequence[str] = ()) -> str:
        """A sentence on `what` is to be granted, and the rules for these attributes; of `secrets`, blindly."""
        who = self.account or "the job's account"
        said = f"Grant {who} the right to {what}"
        if self.rule is None or not self.account or '"' in self.account + self.base:
            return said
        blind = [name for name in names if name in secrets]
        plain = [name for name in names if name not in secrets]
        rules = [] if blind and not plain else [self.rule(self.account, self.base, plain, right)]
        rules += [self.rule(self.account, self.base, blind, Right.BLIND)] if blind else []
        return ". ".join(filter(None, [said, *rules]))
