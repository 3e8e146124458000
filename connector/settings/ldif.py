"""A job's directory that is an LDIF file."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from connector.settings.fields import BasesOrAll, RegularFile, Shown, Text
from connector.settings.shape import Strict


class LdifDirectory(Strict):
    """An LDIF file (RFC 2849) as a directory; it is rewritten whole and atomically."""

    read: ClassVar[Literal["auto"]] = "auto"
    settle_time: ClassVar[float] = 0

    type: Annotated[Literal["ldif"], Field(description="An LDIF file (RFC 2849).")]
    path: Annotated[RegularFile, Field(description="Path of the LDIF file.")]
    base: BasesOrAll = Field(
        description="Base DN of the users, or a list; empty: all entries.", default_factory=lambda: [""]
    )
    filter: Annotated[Text, Field(description="Filter of the users (RFC 4515).")] = "(objectClass=*)"
    show: Shown = ["displayName", "cn"]  # noqa: RUF012  # pydantic copies it for each model
