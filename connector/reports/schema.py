"""What a directory's schema says of an attribute, in words."""

from __future__ import annotations

from connector.model import AttributeInfo


def attribute(info: AttributeInfo) -> str:
    """`text of at most 64 characters, one value, compared as caseIgnore`."""
    if not info.definition.known:
        return "not in the directory's schema"
    said = [
        f"{info.syntax}{_bounds(info)}",
        "one value" if info.single else "several values",
    ]
    said.append(f"compared as {info.equality}")
    said += ["kept unique by the directory"] if info.unique else []
    said += ["obsolete"] if info.definition.obsolete else []
    said += ["kept by the directory itself"] if not info.writable else []
    return ", ".join(said)


def _bounds(info: AttributeInfo) -> str:
    """The length of a value, or the range of a number."""
    unit = "octets" if info.octets else "characters"
    if info.bounds.min_length and info.bounds.max_length is not None:
        return f" of {info.bounds.min_length} to {info.bounds.max_length} {unit}"
    if info.bounds.max_length is not None:
        return f" of at most {info.bounds.max_length} {unit}"
    if info.bounds.min_length:
        return f" of at least {info.bounds.min_length} {unit}"
    least = "" if info.bounds.least is None else f" from {info.bounds.least}"
    return least + ("" if info.bounds.most is None else f" to {info.bounds.most}")
