"""What a directory's schema says of an attribute, in words."""

from __future__ import annotations

from connector.model import AttributeInfo


def describe_attribute(info: AttributeInfo) -> str:
    """`text of at most 64 characters, one value, compared as caseIgnore`."""
    if not info.definition.known:
        return "not in the directory's schema"
    said = [
        f"{info.syntax}{_describe_bounds(info)}",
        "one value" if info.single else "several values",
    ]
    said.append(f"compared as {info.equality}")
    said += ["kept unique by the directory"] if info.unique else []
    said += ["obsolete"] if info.definition.obsolete else []
    said += ["kept by the directory itself"] if not info.writable else []
    return ", ".join(said)


def _describe_bounds(info: AttributeInfo) -> str:
    """The length of a value, or the range of a number."""
    bounds = info.bounds
    shortest, longest = bounds.min_length, bounds.max_length
    unit = "octets" if info.octets else "characters"
    if shortest and longest is not None:
        return f" of {shortest} to {longest} {unit}"
    if longest is not None:
        return f" of at most {longest} {unit}"
    if shortest:
        return f" of at least {shortest} {unit}"
    least = "" if bounds.least is None else f" from {bounds.least}"
    most = "" if bounds.most is None else f" to {bounds.most}"
    return f"{least}{most}"
