"""The short form of the fuzz campaign: every seed, and ten thousand mutations that are the same in every run."""

from __future__ import annotations

import random

import pytest

from connector.directories.ldap.responses import Response, ResultEntry
from tests.fuzz import ldap_codec

SEEDS = sorted(ldap_codec.SEEDS.iterdir())


def test_the_seeds_are_what_the_encoder_writes() -> None:
    assert {path.name: path.read_bytes() for path in SEEDS if not path.name.startswith("found-")} == ldap_codec.seeds()


def test_the_seeds_reach_the_decoder() -> None:
    """A campaign whose seeds are all refused would only ever try the framing."""
    kinds = [type(each) for path in SEEDS for each in ldap_codec.messages([path.read_bytes()]) or ()]
    assert kinds.count(Response) >= 6
    assert kinds.count(ResultEntry) >= 2


@pytest.mark.parametrize("seed", SEEDS, ids=lambda path: path.name)
def test_mutations_give_messages_or_one_clear_error(seed: object) -> None:
    octets = ldap_codec.SEEDS.joinpath(str(getattr(seed, "name", ""))).read_bytes()
    chance = random.Random(octets)
    ldap_codec.one(octets)
    for _ in range(1000):
        changed = bytearray(octets)
        for _ in range(chance.randint(1, 4)):
            place = chance.randrange(len(changed))
            what = chance.randrange(4)
            if what == 0:
                changed[place] = chance.randrange(256)
            elif what == 1:
                changed[place] ^= 1 << chance.randrange(8)
            elif what == 2:
                del changed[place : place + chance.randint(1, 4)]
                changed = changed or bytearray(b"0")
            else:
                changed[place:place] = chance.randbytes(chance.randint(1, 4))
        ldap_codec.one(bytes(changed))
