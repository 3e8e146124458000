"""Which right an account lacks, and how each kind of server writes it down."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Final, Protocol

from msgspec import Struct


class Right(Enum):
    """What is to be done with attributes. `BLIND`: written and compared, and never read, as secrets are."""

    READ = "search and read"
    WRITE = "write"
    BLIND = "write and compare"


class Rule(Protocol):
    """Writes down a right: of an account, by its bind DN; of users below a base, or of one entry `alone`."""

    def __call__(
        self,
        account: str,
        base: str,
        names: Sequence[str],
        right: Right,
        *,
        alone: bool = False,
    ) -> str: ...


class Needed(Struct, frozen=True):
    """A rule that an account needs, of users below `base`, or of this entry alone."""

    base: str
    rule: str


class Language(Struct, frozen=True):
    """A kind of server's access rules. `said`: what stands before a rule in a sentence that asks for it."""

    rule: Rule
    said: str

    def sentence(
        self, account: str, base: str, names: Sequence[str], right: Right
    ) -> str:
        return self.said.format(base=base) + self.rule(account, base, names, right)


_OPENLDAP: Final = {Right.READ: "read", Right.WRITE: "write", Right.BLIND: "=wc"}
_DS389: Final = {
    Right.READ: "read, search, compare",
    Right.WRITE: "write",
    Right.BLIND: "write, compare",
}


def openldap(
    account: str, base: str, names: Sequence[str], right: Right, *, alone: bool = False
) -> str:
    """An access rule (slapd.access(5)). The first that says something of an attribute decides, unless it breaks."""
    attributes = (
        ["entry", *names] if right is Right.READ else names
    )  # nothing is found without a right to the entry
    what = (
        f'to dn.{"base" if alone else "subtree"}="{base}" attrs={",".join(attributes)}'
    )
    return f'{what} by dn.exact="{account}" {_OPENLDAP[right]} by * break'


def ds389(
    account: str,
    base: str,  # noqa: ARG001  # one signature for all kinds; an ACI is kept in the entry that it is for
    names: Sequence[str],
    right: Right,
    *,
    alone: bool = False,  # noqa: ARG001  # as above
) -> str:
    """An access control instruction of 389-DS."""
    target = " || ".join(names) or "*"
    allow = f'allow ({_DS389[right]}) userdn="ldap:///{account}";'
    return f'(targetattr="{target}")(version 3.0; acl "cec-connector"; {allow})'


def active_directory(
    account: str, base: str, names: Sequence[str], right: Right, *, alone: bool = False
) -> str:
    """Commands of Windows (dsacls): read property or write property, for users below the base."""
    letters = "RP" if right is Right.READ else "WP"
    whom, kind = ("", "") if alone else ("/I:S ", ";user")
    commands = (
        f'dsacls "{base}" {whom}/G "{account}:{letters};{name}{kind}"' for name in names
    )
    return " & ".join(commands) or f'dsacls "{base}" /I:T /G "{account}:GR"'


OPENLDAP: Final = Language(openldap, "In olcAccess, first: ")
DS389: Final = Language(ds389, "At {base}, add aci: ")
ACTIVE_DIRECTORY: Final = Language(active_directory, "Run: ")


class Advice(Struct, frozen=True):
    """What an account is told to be given. `account`: its bind DN, or empty where the bind has none.

    `language`: how the server writes it down; None where that is not known.
    """

    language: Language | None = None
    account: str = ""
    bases: Sequence[str] = ("",)

    def grant(
        self, what: str, names: Sequence[str], right: Right, secrets: Sequence[str] = ()
    ) -> str:
        """A sentence on `what` is to be granted, and the rules for these attributes; of `secrets`, blindly."""
        who = self.account or "the job's account"
        said = f"Grant {who} the right to {what}"
        if (
            self.language is None
            or not self.account
            or '"' in "".join([self.account, *self.bases])
        ):
            return said
        blind = [name for name in names if name in secrets]
        plain = [name for name in names if name not in secrets]
        each = [(plain, right)] if plain or not blind else []
        each += [(blind, Right.BLIND)] if blind else []
        sentence = self.language.sentence
        rules = [
            sentence(self.account, base, some, right)
            for base in self.bases
            for some, right in each
        ]
        return ". ".join(filter(None, [said, *rules]))

    def needed(
        self,
        reads: Sequence[str],
        writes: Sequence[str],
        secrets: Sequence[str],
        top: str,
    ) -> Iterator[Needed]:
        """Everything that an account needs; nothing if not known. In this order no rule takes from another.

        `reads`: attributes that are read, also those of `writes`; `secrets` are only written and compared. `top`: the
        entry above all bases that identifies the directory; the first two of `reads`, its
        id and class, tell that.
        """
        if (
            self.language is None
            or not self.account
            or '"' in "".join([self.account, top, *self.bases])
        ):
            return
        rule = self.language.rule
        for base in self.bases:
            for names, right in (
                (secrets, Right.BLIND),
                (writes, Right.WRITE),
                (reads, Right.READ),
            ):
                if names:
                    yield Needed(base, rule(self.account, base, names, right))
        if top and top not in self.bases:
            yield Needed(
                top, rule(self.account, top, reads[:2], Right.READ, alone=True)
            )
