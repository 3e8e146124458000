"""A job's directory that is an LDIF file."""

from typing import Annotated, ClassVar, Literal

from msgspec import field

from connector.settings.directory_fields import BasesOrAll, Shown
from connector.settings.fields import RegularFile, Text
from connector.settings.markers import Field
from connector.settings.shape import Strict


class LdifDirectory(Strict, frozen=True, kw_only=True):
    """An LDIF file (RFC 2849) as a directory; it is rewritten whole and atomically."""

    read: ClassVar[Literal["auto"]] = "auto"
    settle_time: ClassVar[float] = 0

    type: Annotated[Literal["ldif"], Field(description="An LDIF file (RFC 2849).")]
    path: Annotated[RegularFile, Field(description="Path of the LDIF file.")]
    base: Annotated[BasesOrAll, Field(description="Base DN of the users, or a list; empty: all entries.")] = field(
        default_factory=lambda: [""]
    )
    filter: Annotated[Text, Field(description="Filter of the users (RFC 4515).")] = "(objectClass=*)"
    show: Annotated[Shown, Field(json_schema_extra={"default": ["displayName", "cn"]})] = field(
        default_factory=lambda: ["displayName", "cn"]
    )
