"""The LDAP decoder against any octets: it gives messages, waits for more, or raises MalformedError; nothing else.

And what is made of users, which remembers attributes that it has seen, gives what is made of them without a memory.

    make fuzz                          coverage-guided, with atheris, for a while (FUZZ_SECONDS)
    python -m tests.fuzz.ldap_codec --seeds tests/fuzz/seeds    writes the seeds anew from the encoder

`tests/unit/test_codec_fuzz.py` is the short form: every seed, and mutations of it that are the same in every run.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar, cast

from connector.directories.common.entries import decode_text
from connector.directories.ldap import ber, dialect, requests, responses
from connector.directories.ldap.ber import Frame, MessageFramer
from connector.directories.ldap.inspection import Inspection
from connector.directories.ldap.users import UserDecoder
from connector.directories.ldap.wire import Wire
from connector.errors import MalformedError
from connector.model import ID, UNIDENTIFIED, Held, Secret, User, View
from tests.support.ldap_answers import decode

T = TypeVar("T")

SEEDS = Path(__file__).parent / "seeds"
VIEW = View(
    ("uid", "cn", "mail", "jpegPhoto", "SIPIdentityPassword"), frozenset({"SIPIdentityPassword"}), ("cecAgent",)
)


def one(octets: bytes) -> None:
    """Whole and in halves: messages must not depend on how the stream was cut, nor on those before."""
    whole = messages([octets])
    half = len(octets) // 2
    known = (SEEDS / "users").read_bytes()
    after = messages([known, octets])
    assert (after and after[2:]) == whole
    if whole is not None:
        assert messages([octets[:half], octets[half:]]) == whole
    for control in (responses.decode_page, responses.decode_post_read):
        with contextlib.suppress(MalformedError):
            control(octets)
    with contextlib.suppress(MalformedError):
        same_users(
            [
                *MessageFramer().feed_octets(known),
                *MessageFramer().feed_octets(octets),
                *MessageFramer().feed_octets(octets),
            ]
        )


def same_users(frames: list[Frame]) -> None:
    """Users one after the other, each of which must not depend on those before."""
    users = reader()
    for frame in frames:
        if frame.tag == responses.ENTRY:
            assert outcome(users.decode_user, frame) == outcome(generally, frame)


def reader() -> UserDecoder:
    """What makes users, for a server that shows no schema."""
    inspection = Inspection(cast("Wire", None), "dc=example,dc=org")
    inspection.root_dse = {"vendorname": ["Example"]}
    inspection.native_dialect = dialect.recognise_server(inspection.root_dse)
    return UserDecoder(VIEW, inspection)


def outcome(make: Callable[[T], User], what: T) -> object:
    """A user, or the kind of its error."""
    try:
        return make(what)
    except MalformedError as fault:
        return type(fault)


def generally(frame: Frame) -> User:
    """The user in a message, by the general decoder."""
    return plainly(responses.decode_entry(frame))


def plainly(entry: responses.ResultEntry) -> User:
    """The user in an entry, attribute by attribute, with its names in no other spelling than upper or lower case."""
    shown: dict[str, Callable[[bytes], Held]] = {
        "uid": decode_text,
        "cn": decode_text,
        "mail": decode_text,
        "jpegPhoto": bytes,
        "SIPIdentityPassword": lambda value: Secret(decode_text(value)),
        "objectClass": decode_text,
        ID: lambda value: value.decode("ascii"),
    }
    names = {name.lower(): name for name in shown} | {"entryuuid": ID}
    values: dict[str, tuple[Held, ...]] = {}
    if len({description.lower() for description, _ in entry.attributes}) != len(entry.attributes):
        raise MalformedError("an attribute twice")
    try:
        for description, octets in entry.attributes:
            name = names.get(description.decode("utf-8", "replace").lower())
            if name is not None and octets:
                values[name] = tuple(map(shown[name], octets))
        dn = entry.name.decode()
    except UnicodeDecodeError:
        raise MalformedError("no text") from None
    return User(str(values.pop(ID, [UNIDENTIFIED + dn])[0]), dn, values)


def messages(pieces: list[bytes]) -> list[object] | None:
    """What the octets say, a malformed message as its error's type; None where no message can be told from the next."""
    framer = MessageFramer()
    try:
        return [_decoded(frame) for piece in pieces for frame in framer.feed_octets(piece)]
    except MalformedError:
        return None


def _decoded(frame: Frame) -> object:
    try:
        return decode(frame)
    except MalformedError:
        return MalformedError


def seeds() -> dict[str, bytes]:
    """A message of every kind that a server sends, as a server would encode it."""

    def message(tag: int, *parts: bytes, controls: bytes = b"") -> bytes:
        return ber.encode_sequence((ber.encode_integer(7), ber.encode_sequence(parts, tag), controls))

    def user(*attributes: tuple[str, list[bytes]]) -> bytes:
        listed = (
            ber.encode_sequence(
                (
                    ber.encode_tlv(4, name.encode()),
                    ber.encode_sequence((ber.encode_tlv(4, value) for value in values), ber.SET),
                )
            )
            for name, values in attributes
        )
        return message(0x64, ber.encode_tlv(4, b"uid=a,dc=example,dc=org"), ber.encode_sequence(listed))

    uuid = ("entryUUID", [b"5eed0000-0000-4000-8000-000000000001"])
    uid, mail, secret = ("uid", [b"agent001"]), ("mail", [b"a@example.org"]), ("SIPIdentityPassword", [b"made-up"])
    classes = ("objectClass", [b"inetOrgPerson", b"cecAgent"])
    result = (ber.encode_integer(0, 10), ber.encode_tlv(4, b""), ber.encode_tlv(4, b""))
    values = ber.encode_sequence((ber.encode_tlv(4, b"one"), ber.encode_tlv(4, b"x" * 200)), ber.SET)
    attributes = ber.encode_sequence((ber.encode_sequence((ber.encode_tlv(4, b"cn"), values)),))
    cookie = ber.encode_sequence((ber.encode_integer(1000), ber.encode_tlv(4, b"cookie")))
    control = ber.encode_tlv(
        0xA0, ber.encode_sequence((ber.encode_tlv(4, b"1.2.840.113556.1.4.319"), ber.encode_tlv(4, cookie)))
    )
    return {
        "entry": message(0x64, ber.encode_tlv(4, b"uid=a,dc=example,dc=org"), attributes),
        "entry-empty": message(0x64, ber.encode_tlv(4, b"dc=example"), ber.encode_sequence(())),
        "reference": message(0x73, ber.encode_tlv(4, b"ldap://other.example.org/")),
        "done": message(0x65, *result),
        "done-paged": message(0x65, *result, controls=control),
        "done-referral": message(
            0x65, ber.encode_integer(10, 10), *result[1:], ber.encode_tlv(0xA3, ber.encode_tlv(4, b"ldap://x/"))
        ),
        "modified": message(0x67, ber.encode_integer(122, 10), *result[1:]),
        "compared": message(0x6F, ber.encode_integer(6, 10), *result[1:]),
        "notice": ber.encode_sequence(
            (
                ber.encode_integer(0),
                ber.encode_sequence((*result, ber.encode_tlv(0x8A, b"1.3.6.1.4.1.1466.20036")), 0x78),
            )
        ),
        "user": user(classes, uid, mail, secret, uuid),
        "users": user(classes, uid, mail, secret, uuid)
        + user(uuid, ("mail", [b"a@example.org", b"b@example.org"]), uid),
        "users-odd": user(
            uuid, ("MAIL", [b""]), ("jpegPhoto", [b"\xff" * 130]), ("uid", []), ("uid", [b"\xff"]), classes
        ),
        "post-read": ber.encode_sequence((ber.encode_tlv(4, b"uid=a,dc=example,dc=org"), attributes), 0x64),
        "two": message(0x65, *result) * 2,
        "request": requests.encode_message(3, ber.encode_sequence((ber.encode_tlv(4, b"x"),), 0x6E)),
    }


def main() -> None:
    """Run the campaign, or write the seeds."""
    if sys.argv[1:2] == ["--seeds"]:
        for name, octets in seeds().items():
            (Path(sys.argv[2]) / name).write_bytes(octets)
        return
    import atheris  # noqa: PLC0415  # only the campaign needs it

    atheris.instrument_all()
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
