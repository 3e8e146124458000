"""A job's directory that is an LDIF file."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from connector.settings.directory_fields import BasesOrAll, Shown
from connector.settings.fields import RegularFile, Text
from connector.settings.shape import Strict

_NAMES: Final = ["displayName", "cn"]


class LdifDirectory(Strict):
    """An LDIF file (RFC 2849) as a directory; it is rewritten whole and atomically."""

    read: ClassVar[Literal["auto"]] = "auto"
    settle_time: ClassVar[float] = 0

    type: Annotated[Literal["ldif"], Field(description="An LDIF file (RFC 2849).")]
    path: Annotated[RegularFile, Field(description="Path of the LDIF file.")]
    base: BasesOrAll = Field(
        default_factory=lambda: [""],
        description="Base DN of the users, or a list; empty: all entries.",
    )
    filter: Annotated[Text, Field(description="Filter of the users (RFC 4515).")] = (
        "(objectClass=*)"
    )
    show: Shown = Field(
        default_factory=lambda: ["displayName", "cn"],
        json_schema_extra={"default": ["displayName", "cn"]},
    )
