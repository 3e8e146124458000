"""SSH signatures of files (OpenSSH's PROTOCOL.sshsig), which `ssh-keygen` verifies.

Checked here is what it does not: that there is one signature and nothing else, by a key
that is accepted, and that a security key was touched (PROTOCOL.u2f).
"""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final

from connector.approval.signers import (
    PublicKey,
    SignatureError,
    Signer,
    make_key,
    split_strings,
)
from connector.errors import VerifierError
from connector.model import APPROVAL_NAMESPACE

MAX_BYTES: Final = 64 << 10
"""Most octets of a signature; that of the longest accepted RSA key has under six thousand."""
_HEAD: Final = len("SSHSIG") + 4
"""Octets before the strings of a signature: its magic, and the version of its format."""
_STRINGS: Final = 5
"""Strings of a signature: key, namespace, a reserved one, hash, and what was made with the key."""
_FLAGS: Final = 5
"""Octets at the end of a security key's signature: flags, and a counter."""
_PRESENT: Final = 1
"""The flag that somebody has touched the security key."""
_ARMOR: Final = re.compile(
    rb"-----BEGIN SSH SIGNATURE-----\r?\n"
    rb"([A-Za-z0-9+/=\r\n]+)"
    rb"\r?\n-----END SSH SIGNATURE-----(\r?\n)?"
)
_SECONDS: Final = 30.0
"""How long `ssh-keygen` may take; it takes a hundredth of a second."""
_REFUSED: Final = "Could not verify signature."
"""The words of `ssh-keygen` for a signature that is not good, whatever is wrong with it."""


def read_signing_key(signature: bytes) -> PublicKey:
    """The key of a signature that approves. Raises SignatureError.

    Whether the signature fits a file is another question, and so is whose key it is.
    """
    found = _ARMOR.fullmatch(signature) if len(signature) <= MAX_BYTES else None
    if found is None:
        what = "is no SSH signature of `ssh-keygen -Y sign`, or is cut short"
        raise SignatureError(what)
    try:
        octets = base64.b64decode(b"".join(found[1].split()), validate=True)
    except binascii.Error:
        raise SignatureError("is no SSH signature: its Base64 is malformed") from None
    strings = split_strings(octets[_HEAD:])
    if len(strings) != _STRINGS:
        raise SignatureError("is no SSH signature")
    blob, namespace, *_, made = strings
    if namespace != APPROVAL_NAMESPACE.encode():
        what = f"is for the namespace {namespace.decode('ascii', 'replace')!r}"
        raise SignatureError(f"{what}. Sign again with -n {APPROVAL_NAMESPACE}")
    key = make_key(blob)
    if key.kind.startswith("sk-"):
        _require_touch(key, made)
    return key


def _require_touch(key: PublicKey, made: bytes) -> None:
    """See that somebody touched the security key.

    The flags are signed, so that `ssh-keygen` verifies them. It does not heed them.
    """
    algorithm, *_ = split_strings(made[:-_FLAGS]) or [b""]
    if algorithm != key.kind.encode():
        what = f"is not made by {key.kind}, which alone is accepted"
        raise SignatureError(f"{what} from its key")
    if not made[-_FLAGS] & _PRESENT:
        raise SignatureError("was made without a touch of the security key")


def verify_signature(
    signature: bytes,
    data: bytes,
    signer: Signer,
    revoked: Iterable[PublicKey],
    now: datetime,
) -> None:
    """Let `ssh-keygen` verify a signature of the data by a signer.

    It holds the signer's line, its namespaces and times, and the revoked keys, too. Raises
    SignatureError, VerifierError.
    """
    revoked_lines = "".join(f"{key.text}\n" for key in revoked)
    files = {
        "-f": f"{signer.text}\n".encode(),
        "-r": revoked_lines.encode(),
        "-s": signature,
    }
    arguments = ["-Y", "verify", "-n", APPROVAL_NAMESPACE, "-I", signer.principal]
    # in this machine's time zone, since older versions do not know `Z`
    arguments += ["-O", f"verify-time={now.astimezone():%Y%m%d%H%M%S}"]
    code, told, why = _run_ssh_keygen(arguments, data, files)
    if code == 0 and signer.key.fingerprint in told:
        return
    if _REFUSED not in told:
        raise VerifierError(f"cannot verify signatures: {why}", where="ssh-keygen")
    if "incorrect signature" in why:
        raise SignatureError(
            "does not fit this file: the file or the signature was changed, "
            "or it was made for another file"
        )
    raise SignatureError(f"is refused by ssh-keygen: {why or 'it does not say why'}")


def find_revoked_keys(
    revocation_list: bytes, keys: Iterable[PublicKey]
) -> frozenset[PublicKey]:
    """Those of these keys that a key revocation list of `ssh-keygen -k` names.

    Raises SignatureError, VerifierError.
    """
    revoked = set()
    for key in keys:
        files = {"-f": revocation_list, "--": key.text.encode()}
        _, told, why = _run_ssh_keygen(["-Q"], b"", files)
        answer = told.rpartition(": ")[2].strip()
        if answer == "REVOKED":
            revoked.add(key)
        elif answer != "ok":
            what = "is no key revocation list that ssh-keygen reads"
            raise SignatureError(f"{what}: {why}")
    return frozenset(revoked)


def find_verifier_fault(key: PublicKey) -> str:
    """Why signatures cannot be verified on this machine; empty where they can."""
    try:
        _, told, why = _run_ssh_keygen(["-l", "-f", "-"], key.text.encode(), {})
    except VerifierError as fault:
        return str(fault)
    if key.fingerprint in told:
        return ""
    return f"ssh-keygen: {why}"


def _run_ssh_keygen(
    arguments: list[str], data: bytes, files: Mapping[str, bytes]
) -> tuple[int, str, str]:
    """Its exit code, what it says, and what is wrong. `files`: what it reads, by option.

    The files are in memory: containers may have no folder that can be written. Raises
    VerifierError.
    """
    program = shutil.which("ssh-keygen")
    if program is None:
        raise VerifierError("it is not installed", where="ssh-keygen")
    environment = {"LC_ALL": "C"}
    if "TZ" in os.environ:
        environment["TZ"] = os.environ["TZ"]
    opened: list[int] = []
    try:
        for option, octets in files.items():
            descriptor = os.memfd_create(option)
            opened.append(descriptor)
            os.write(descriptor, octets)
            arguments += [option, f"/dev/fd/{descriptor}"]
        ended = subprocess.run(  # noqa: S603  # a fixed program, and no shell
            [program, *arguments],
            input=data,
            capture_output=True,
            check=False,
            pass_fds=opened,
            env=environment,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        why = f"it did not end within {_SECONDS:g} seconds"
        raise VerifierError(why, where="ssh-keygen") from None
    except OSError as fault:
        why = f"it cannot be run: {fault.strerror}"
        raise VerifierError(why, where="ssh-keygen") from None
    finally:
        for descriptor in opened:
            os.close(descriptor)
    told = ended.stdout.decode("utf-8", "replace")
    faults = ended.stderr.decode("utf-8", "replace")
    return ended.returncode, told, "; ".join(faults.splitlines())
