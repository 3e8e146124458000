"""A body's octets as they were before compression, never more of them than a bound, however small they were sent."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from typing import Final

from connector.net.quoting import shown

PIECE: Final = 1 << 20
"""How much a decompression gives at once: a bomb goes over its bound by no more than that."""


class TooLongError(Exception):
    """More octets than the bound."""


class CutError(Exception):
    """The compressed stream ends before its own end."""


class GarbledError(Exception):
    """Not what Content-Encoding says, or a coding that was not asked for."""


def inflated(chunks: Iterable[bytes], encoding: str, bound: int) -> Iterator[bytes]:
    """The pieces of a body under a Content-Encoding (RFC 9110 §8.4.1): identity, gzip or deflate."""
    coding = encoding.strip().lower()
    if coding in ("gzip", "x-gzip", "deflate"):
        pieces = _unzipped(chunks, bound)
    elif coding in ("", "identity"):
        pieces = iter(chunks)
    else:
        raise GarbledError(f"Content-Encoding {shown(coding)}, which was not requested")
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > bound:
            raise TooLongError
        yield piece


def _unzipped(chunks: Iterable[bytes], bound: int) -> Iterator[bytes]:
    unzip = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, by the first octets
    received = 0
    try:
        for chunk in chunks:
            received += len(chunk)
            if received > bound + PIECE:  # a stream may well go on for ever without giving anything
                raise TooLongError
            rest = chunk
            while rest and not unzip.eof:
                yield unzip.decompress(rest, PIECE)
                rest = unzip.unconsumed_tail
            if rest or unzip.unused_data:
                raise GarbledError("more octets after the compressed body's end")
        while piece := unzip.decompress(b"", PIECE):
            yield piece
    except zlib.error:
        raise GarbledError("not the compressed body that Content-Encoding promises") from None
    if received and not unzip.eof:
        raise CutError
