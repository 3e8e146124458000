"""Two users who swap their names, as LDIF."""

from __future__ import annotations


def swap(first: str, second: str, base: str) -> str:
    """Both names, by way of a third."""
    kind = first.partition("=")[0]
    moves = ((first, f"{kind}=between"), (second, first), (f"{kind}=between", second))
    return "\n".join(f"dn: {old},{base}\nchangetype: modrdn\nnewrdn: {new}\ndeleteoldrdn: 1\n" for old, new in moves)
