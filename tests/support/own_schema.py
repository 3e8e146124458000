"""Directories with a schema of their own, which no ready mapping fits, for servers of three kinds.

Each has four units of users, `WORLDS`, below `ou=people`. `acmeStaff` is an auxiliary class with the staff code;
`acmeSip` one with places for a SIP identity and the seat, which users of one unit alone have yet; `acmePerson` a
structural class.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

COUNT: Final = 12
_ARC: Final = "1.3.6.1.4.1.32473.77"
_TEXT: Final = "EQUALITY caseIgnoreMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15"
ATTRIBUTES: Final = {
    "acmeStaffCode": f"{_TEXT} SINGLE-VALUE",
    "acmeLogin": f"{_TEXT} SINGLE-VALUE",
    "acmeSipUser": f"{_TEXT} SINGLE-VALUE",
    "acmeSipUri": _TEXT,
    "acmeSipSecret": "EQUALITY octetStringMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 SINGLE-VALUE",
    "acmeSeat": f"{_TEXT} SINGLE-VALUE",
}
_AUXILIARY: Final = {
    "acmeStaff": ("acmeStaffCode",),
    "acmeSip": ("acmeSipUser", "acmeSipUri", "acmeSipSecret", "acmeSeat"),
}


class World(Struct, frozen=True):
    """Users of one unit. `account` and `value` make what an agent and its user have of a number.

    `held`: the attribute that holds it. `template`: the match rule to be found.
    """

    account: str
    held: str
    value: str
    template: str
    classes: tuple[str, ...] = ()


WORLDS: Final = {
    "attributes": World("agent{:02}", "acmeStaffCode", "agent{:02}", "{accountCode}", ("acmeStaff", "acmeSip")),
    "class": World("c{:02}", "acmeLogin", "c{:02}", "{accountCode}"),
    "zeros": World("{}", "acmeStaffCode", "{:06}", "{accountCode|pad:6}", ("acmeStaff",)),
    "domain": World(
        "D{:02}@cec.example.net", "mail", "d{:02}@corp.example", "{accountCode|before:'@'}@corp.example", ("acmeStaff",)
    ),
}


def _types() -> list[str]:
    return [f"( {_ARC}.1.{number} NAME '{name}' {rest} )" for number, (name, rest) in enumerate(ATTRIBUTES.items(), 1)]


def _classes() -> list[str]:
    return [
        f"( {_ARC}.2.9 NAME 'acmePerson' SUP top STRUCTURAL MUST acmeLogin MAY description )",
        *(
            f"( {_ARC}.2.{number} NAME '{name}' SUP top AUXILIARY MAY ( {' $ '.join(may)} ) )"
            for number, (name, may) in enumerate(_AUXILIARY.items(), 1)
        ),
    ]


def openldap(*, single: bool = False) -> str:
    """Lines of slapd.conf. `single`: a user has one SIP URI."""
    lines = [*(f"attributetype {each}" for each in _types()), *(f"objectclass {each}" for each in _classes())]
    uri = f"'acmeSipUri' {_TEXT}"
    return "\n".join(lines).replace(uri, f"{uri} SINGLE-VALUE" if single else uri)


def ds389() -> str:
    """A change of cn=schema, as LDIF."""
    types = "".join(f"attributeTypes: {each}\n" for each in _types())
    classes = "".join(f"objectClasses: {each}\n" for each in _classes())
    return f"dn: cn=schema\nchangetype: modify\nadd: attributeTypes\n{types}-\nadd: objectClasses\n{classes}"


def active_directory(suffix: str) -> str:
    """The same as entries of the schema container. `acmeStaff` is allowed of all users; `acmePerson` is not there."""
    where, arc = f"CN=Schema,CN=Configuration,{suffix}", "1.2.840.113556.1.8000.2554.77"
    now = "dn:\nchangetype: modify\nadd: schemaUpdateNow\nschemaUpdateNow: 1\n"
    records = []
    for number, (name, rest) in enumerate(ATTRIBUTES.items(), 1):
        syntax = "2.5.5.10\noMSyntax: 4" if "octetString" in rest else "2.5.5.12\noMSyntax: 64"
        records.append(
            f"dn: CN={name},{where}\nchangetype: add\nobjectClass: attributeSchema\nlDAPDisplayName: {name}\n"
            f"attributeID: {arc}.1.{number}\nattributeSyntax: {syntax}\n"
            f"isSingleValued: {str('SINGLE-VALUE' in rest).upper()}\n"
        )
    records.append(now)
    for number, (name, may) in enumerate({**_AUXILIARY, "acmeStaff": ("acmeStaffCode", "acmeLogin")}.items(), 1):
        allowed = "".join(f"mayContain: {each}\n" for each in may)
        records.append(
            f"dn: CN={name},{where}\nchangetype: add\nobjectClass: classSchema\nlDAPDisplayName: {name}\n"
            f"governsID: {arc}.2.{number}\nobjectClassCategory: 3\nsubClassOf: top\n{allowed}"
        )
    tie = f"dn: CN=User,{where}\nchangetype: modify\nadd: auxiliaryClass\nauxiliaryClass: acmeStaff\n"
    return "\n".join([*records, now, tie, now])


def entries(people: str, *, microsoft: bool = False) -> Iterator[str]:
    """The units and their users, as LDIF records; nothing else of a user is like its account."""
    for unit, world in WORLDS.items():
        yield f"dn: ou={unit},{people}\nobjectClass: organizationalUnit\nou: {unit}\n"
        for number in range(1, COUNT + 1):
            held = f"{world.held}: {world.value.format(number)}\n"
            name = f"{unit}-x{number}"
            if microsoft:
                head = f"dn: CN={name},OU={unit},{people}\nobjectClass: user\nsAMAccountName: {name}\n"
                yield head + "".join(f"objectClass: {each}\n" for each in world.classes if each == "acmeSip") + held
            elif world.held == "acmeLogin":
                yield f"dn: {held.strip().replace(': ', '=')},ou={unit},{people}\nobjectClass: acmePerson\n{held}"
            else:
                classes = "".join(f"objectClass: {each}\n" for each in ("inetOrgPerson", *world.classes))
                yield f"dn: uid={name},ou={unit},{people}\n{classes}uid: {name}\ncn: Person\nsn: Person\n{held}"


def share(people: str, having: int, count: int) -> Iterator[str]:
    """A unit of so many users with staff codes, `having` of whom have the class for a SIP identity."""
    yield f"dn: ou=share{having},{people}\nobjectClass: organizationalUnit\nou: share{having}\n"
    for number in range(1, count + 1):
        name = f"share{having}-x{number}"
        classes = ["inetOrgPerson", "acmeStaff", *["acmeSip"] * (number <= having)]
        head = f"dn: uid={name},ou=share{having},{people}\n" + "".join(f"objectClass: {each}\n" for each in classes)
        yield f"{head}uid: {name}\ncn: Person\nsn: Person\nacmeStaffCode: agent{number:02}\n"
