"""What a change does to the values of one attribute, in the eyes of a reviewer."""

from enum import StrEnum


class Form(StrEnum):
    """The form of an attribute's change, the riskiest first.

    `TAKEN_OVER`: another user still holds the value, and this plan frees it. `OTHER_AGENT`: this job wrote the user for
    another agent last. `FOREIGN`: it replaces a value that this job did not write.
    `EMPTIED`: values go, and none comes. `BESIDE`: it joins values that are not this job's.
    `SECRET`: it sets a secret; nobody sees the old one.
    `OURS`: it replaces what this job wrote. `FIRST`: there was no value.
    """

    TAKEN_OVER = "taken over from another user"
    OTHER_AGENT = "other agent than last time"
    FOREIGN = "replaces a value we did not write"
    EMPTIED = "emptied"
    BESIDE = "adds to others' values"
    SECRET = "secret set"  # noqa: S105  # a word of the report, not a password
    OURS = "replaces ours"
    FIRST = "first value"
