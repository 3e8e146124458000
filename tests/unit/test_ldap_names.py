"""One attribute under two names in one view: each shows all of it, in the first entry and in those that follow."""

from __future__ import annotations

from typing import cast

import pytest

from connector.directories.ldap import ber, dialect, requests
from connector.directories.ldap.ber import MessageFramer
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.model import Held, Secret, View

UUID = b"5eed0000-0000-4000-8000-000000000001"


def shown(users: UserDecoder, **held: list[bytes]) -> dict[str, tuple[Held, ...]]:
    """What is shown of an entry that holds this."""
    attributes = [
        ber.encode_sequence(
            (
                ber.encode_tlv(4, name.encode()),
                ber.encode_tlv(ber.SET, b"".join(ber.encode_tlv(4, value) for value in values)),
            )
        )
        for name, values in {**held, "entryUUID": [UUID]}.items()
    ]
    entry = ber.encode_sequence((ber.encode_tlv(4, b"uid=a,dc=example"), ber.encode_sequence(attributes)), 0x64)
    (frame,) = MessageFramer().feed_octets(requests.encode_message(7, entry))
    return dict(users.decode_user(frame).values)


@pytest.mark.parametrize("names", [("uid", "userid", "mail"), ("mail", "userid", "uid"), ("UID", "userid", "uid")])
@pytest.mark.parametrize("secret", [False, True])
def test_each_name_shows_all_values_whatever_came_before(names: tuple[str, ...], secret: bool) -> None:
    inspection = Inspection(cast("Wire", None), "dc=example")
    inspection.root_dse = {"vendorname": ["Example"]}
    inspection.native_dialect = dialect.recognise_server(inspection.root_dse)
    users = UserDecoder(View(names, frozenset({"userid"} if secret else ())), inspection)
    for some in (["a"], ["a"], ["b"], ["a", "b"], ["a", "b"], ["b"]):
        octets = [value.encode() for value in some]
        expected: dict[str, tuple[Held, ...]] = {
            name: tuple(Secret(value) if secret and name == "userid" else value for value in some)
            for name in names
            if name != "mail"
        }
        for spelt in ("uid", "userid"):
            assert shown(users, **{spelt: octets}) == expected
            assert shown(users, **{spelt: octets, "mail": [b"m"]}) == (
                {**expected, "mail": ("m",)} if "mail" in names else expected
            )
