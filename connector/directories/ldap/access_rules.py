"""Access rules as each kind of server writes them, and what an account is told to be given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from enum import Enum

from msgspec import Struct


class AccessRight(Enum):
    """What is to be done with attributes. `BLIND`: written and compared, and never read, as secrets are."""

    READ = "search and read"
    WRITE = "write"
    BLIND = "write and compare"


class Grant(Struct, frozen=True):
    """A right of an account, to be written down."""

    account: str
    """Its bind DN."""
    base: str
    """Of users below this entry."""
    names: Sequence[str]
    """Attributes."""
    right: AccessRight
    alone: bool = False
    """Of that one entry, and not of users below."""


class NeededRule(Struct, frozen=True):
    """A rule that an account needs."""

    base: str
    """Of users below this entry, or of it alone."""
    rule: str


class RuleLanguage(Struct, frozen=True):
    """A kind of server's access rules."""

    rule: Callable[[Grant], str]
    said: str
    """What stands before a rule in a sentence that asks for it."""


_OPENLDAP_LEVELS = {
    AccessRight.READ: "read",
    AccessRight.WRITE: "write",
    AccessRight.BLIND: "=wc",
}
_DS389_LEVELS = {
    AccessRight.READ: "read, search, compare",
    AccessRight.WRITE: "write",
    AccessRight.BLIND: "write, compare",
}


def write_openldap_rule(grant: Grant) -> str:
    """An access rule (slapd.access(5)). The first that says something of an attribute decides, unless it breaks."""
    names = [*grant.names]
    if grant.right is AccessRight.READ:
        names.insert(0, "entry")  # nothing is found without a right to the entry
    style = "base" if grant.alone else "subtree"
    what = f'to dn.{style}="{grant.base}" attrs={",".join(names)}'
    level = _OPENLDAP_LEVELS[grant.right]
    return f'{what} by dn.exact="{grant.account}" {level} by * break'


def write_389ds_rule(grant: Grant) -> str:
    """An access control instruction of 389-DS, kept in the base; it speaks of that entry and all below it."""
    target = " || ".join(grant.names) or "*"
    allow = f'allow ({_DS389_LEVELS[grant.right]}) userdn="ldap:///{grant.account}";'
    return f'(targetattr="{target}")(version 3.0; acl "cec-connector"; {allow})'


def write_windows_commands(grant: Grant) -> str:
    """Commands of Windows (dsacls): read property or write property, for users below the base."""
    if not grant.names:
        return f'dsacls "{grant.base}" /I:T /G "{grant.account}:GR"'
    letters = "RP" if grant.right is AccessRight.READ else "WP"
    whom, kind = ("", "") if grant.alone else ("/I:S ", ";user")
    return " & ".join(
        f'dsacls "{grant.base}" {whom}/G "{grant.account}:{letters};{name}{kind}"'
        for name in grant.names
    )


OPENLDAP_RULES = RuleLanguage(write_openldap_rule, "In olcAccess, first: ")
DS389_RULES = RuleLanguage(write_389ds_rule, "At {base}, add aci: ")
WINDOWS_COMMANDS = RuleLanguage(write_windows_commands, "Run: ")


class RightsAdvice(Struct, frozen=True):
    """What an account is told to be given."""

    language: RuleLanguage | None = None
    """How the server writes it down; None where that is not known."""
    account: str = ""
    """Its bind DN, or empty where the bind has none."""
    bases: Sequence[str] = ("",)
    """The entries below which users are."""

    def _write_rules(
        self, wanted: Sequence[tuple[Sequence[str], AccessRight]], top: str = ""
    ) -> Iterator[NeededRule]:
        """Rules for these attributes below each base; nothing where they cannot be written.

        `top`: an entry above, of which the first two of the last attributes are to be read.
        """
        # no rule quotes a quotation mark
        is_quotable = '"' not in "".join([self.account, *self.bases, top])
        if self.language is None or not self.account or not is_quotable:
            return
        grants = [
            Grant(self.account, base, names, right)
            for base in self.bases
            for names, right in wanted
        ]
        if top and top not in self.bases:
            names = wanted[-1][0][:2]
            grants.append(Grant(self.account, top, names, AccessRight.READ, alone=True))
        for grant in grants:
            yield NeededRule(grant.base, self.language.rule(grant))

    def advise_grant(
        self,
        what: str,
        names: Sequence[str],
        right: AccessRight,
        secrets: Sequence[str] = (),
    ) -> str:
        """A sentence on `what` is to be granted, and the rules for these attributes; of `secrets`, blindly."""
        who = self.account or "the job's account"
        sentences = [f"Grant {who} the right to {what}"]
        blind = [name for name in names if name in secrets]
        plain = [name for name in names if name not in secrets]
        wanted = [(plain, right)] if plain or not blind else []
        if blind:
            wanted.append((blind, AccessRight.BLIND))
        said = self.language.said if self.language else ""
        needed = self._write_rules(wanted)
        sentences += [said.format(base=each.base) + each.rule for each in needed]
        return ". ".join(sentences)

    def needed_rules(
        self,
        reads: Sequence[str],
        writes: Sequence[str],
        secrets: Sequence[str],
        top: str,
    ) -> Iterator[NeededRule]:
        """Everything that an account needs; nothing if not known. In this order no rule takes from another.

        `reads`: attributes that are read, also those of `writes`; `secrets` are only
        written and compared. `top`: the entry above all bases that identifies the
        directory; the first two of `reads`, its id and class, tell that.
        """
        wanted = [
            (secrets, AccessRight.BLIND),
            (writes, AccessRight.WRITE),
            (reads, AccessRight.READ),
        ]
        return self._write_rules([each for each in wanted if each[0]], top)
