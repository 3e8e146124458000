"""The keys of a job that say who approves its plans."""

from typing import Annotated

from pydantic import Field

from connector.reconcile.checks.limits import Limit
from connector.settings.fields import RegularFile, UserLimit
from connector.settings.shape import Strict


class Free(Strict):
    """How many users one apply may change without approval. A limit that is not said is 0."""

    update: Annotated[
        UserLimit, Field(description="Most users with an attribute to set.")
    ] = Limit(0)
    clear: Annotated[
        UserLimit, Field(description="Most users with an attribute to empty.")
    ] = Limit(0)
    secret: Annotated[
        UserLimit, Field(description="Most users with a secret to set.")
    ] = Limit(0)


class Approvers(Strict):
    """Who approves the plans of this job, by SSH signature."""

    allowed: Annotated[
        RegularFile, Field(description="File of allowed signers, in OpenSSH's format.")
    ]
    needed: Annotated[
        int, Field(ge=1, le=100, description="Different people who have to sign.")
    ]
    revoked: Annotated[
        RegularFile | None,
        Field(description="File of revoked public keys, one a line."),
    ] = None
    free: Annotated[Free, Field(description="Changes that need no approval.")] = Free()
