"""Reads the data types of SSH (RFC 4251 §5), each only in its one right form."""

from __future__ import annotations


class SignatureError(Exception):
    """A key or a signature is malformed, not accepted, or does not fit. Its text is the reason."""


class Octets:
    """What is left to read of an SSH structure. All methods raise SignatureError."""

    def __init__(self, data: bytes) -> None:
        self._left = data

    def take(self, count: int) -> bytes:
        if count > len(self._left):
            raise SignatureError("is cut short")
        taken, self._left = self._left[:count], self._left[count:]
        return taken

    def uint32(self) -> int:
        return int.from_bytes(self.take(4))

    def string(self) -> bytes:
        return self.take(self.uint32())

    def name(self) -> str:
        """A string that is a name: of an algorithm, a namespace, an application."""
        octets = self.string()
        if (
            not octets.isascii()
            or not (name := octets.decode("ascii")).isprintable()
            or len(name) > 255
        ):
            raise SignatureError("has a name that is not printable ASCII")
        return name

    def natural(self) -> int:
        """A multiple precision integer that is not negative, without a needless octet before it."""
        octets = self.string()
        if octets[:1] >= b"\x80" or (octets[:1] == b"\x00" and octets[1:2] < b"\x80"):
            raise SignatureError("has a number in a wrong form")
        return int.from_bytes(octets)

    def end(self) -> None:
        if self._left:
            raise SignatureError("has octets after its end")


def string(octets: bytes) -> bytes:
    """Octets as SSH writes a string."""
    return len(octets).to_bytes(4) + octets
