"""PNG pictures made small: Chromium writes 24 bits a pixel, and text needs a few colours only (PNG, third edition)."""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS: Final = {2: 3, 6: 4}
"""Octets of a pixel, by colour type."""


def reduced(picture: bytes, colours: int = 32) -> bytes:
    """The picture with its most frequent colours; each pixel has the nearest of them. Transparency is dropped."""
    parts = list(_chunks(picture))
    width, height, _, kind = struct.unpack(">IIBB", dict(parts)[b"IHDR"][:10])
    octets = _CHANNELS[kind]
    packed = b"".join(data for name, data in parts if name == b"IDAT")
    lines = _lines(zlib.decompress(packed), width * octets, octets)
    pixels = [[bytes(line[at : at + 3]) for at in range(0, len(line), octets)] for line in lines]
    counts = Counter(pixel for line in pixels for pixel in line)
    palette = [colour for colour, _ in counts.most_common(colours)]
    nearest = {pixel: min(range(len(palette)), key=lambda place: _distance(palette[place], pixel)) for pixel in counts}
    body = b"".join(b"\0" + bytes(nearest[pixel] for pixel in line) for line in pixels)
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    return _SIGNATURE + b"".join(
        _chunk(name, data)
        for name, data in (
            (b"IHDR", header), (b"PLTE", b"".join(palette)), (b"IDAT", zlib.compress(body, 9)), (b"IEND", b""),
        )
    )  # fmt: skip


def size(picture: bytes) -> tuple[int, int]:
    """Width and height in pixels."""
    width, height = struct.unpack(">II", dict(_chunks(picture))[b"IHDR"][:8])
    return width, height


def frequent(picture: bytes) -> list[bytes]:
    """The colours of a reduced picture, the most frequent first."""
    palette = dict(_chunks(picture))[b"PLTE"]
    return [palette[at : at + 3] for at in range(0, len(palette), 3)]


def _distance(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunks(picture: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = len(_SIGNATURE)
    while at < len(picture):
        length, name = struct.unpack(">I4s", picture[at : at + 8])
        yield name, picture[at + 8 : at + 8 + length]
        at += 12 + length


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _lines(body: bytes, length: int, size: int) -> Iterator[bytearray]:
    """The lines of a picture, of a length and with pixels of a size in octets, without their filters (section 9)."""
    above = bytearray(length)
    for at in range(0, len(body), length + 1):
        line = bytearray(body[at + 1 : at + 1 + length])
        for place in range(length):
            left, corner = (line[place - size], above[place - size]) if place >= size else (0, 0)
            line[place] = (line[place] + _predicted(body[at], left, above[place], corner)) & 255
        yield line
        above = line


def _predicted(kind: int, left: int, above: int, corner: int) -> int:
    match kind:
        case 0:
            return 0
        case 1:
            return left
        case 2:
            return above
        case 3:
            return (left + above) // 2
        case _:
            guess = left + above - corner
            return min((left, above, corner), key=lambda value: abs(guess - value))
