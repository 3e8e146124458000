"""Whether enough people have signed: each signature is good, and is another person's."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from connector.approval.signatures import (
    find_verifier_fault,
    read_signing_key,
    verify_signature,
)
from connector.approval.signers import PublicKey, SignatureError, Signer
from connector.model import APPROVAL_NAMESPACE, Approval
from connector.model.limits import Limits


class Approvers(Struct, frozen=True):
    """Who may approve the plans of a job, and how many have to."""

    signers: Mapping[int, Signer]
    """By the number of the line that allows them."""
    needed: int
    revoked: frozenset[PublicKey] = frozenset()
    free: Limits = Limits()
    """How many users an apply may change without approval."""

    @property
    def approval_rule(self) -> str:
        """What has to be approved, for whoever reads a plan; the number of signatures comes first."""
        signatures = "signature" if self.needed == 1 else "signatures"
        everybody = count_people(self.signers.values())
        rule = f"{self.needed} {signatures} of {everybody} people"
        free = self.free
        limits = {
            "update": free.update,
            "clear": free.clear,
            "secret": free.secret or free.update,
        }
        said = [
            f"{name} {limit}" for name, limit in limits.items() if str(limit) != "0"
        ]
        return f"{rule}, or none within {', '.join(said)}" if said else rule

    def explain_shortage(self, now: datetime) -> str:
        """Why somebody cannot sign now, or nobody's signature can be verified.

        Empty where everybody can sign.
        """
        if fault := find_verifier_fault(next(iter(self.signers.values())).key):
            return fault
        good = [
            signer
            for line, signer in self.signers.items()
            if not self._find_objection(line, now)
        ]
        able, everybody = count_people(good), count_people(self.signers.values())
        if able == everybody:
            return ""
        return (
            f"{able} of {everybody} people can sign now, and {self.needed} have to; "
            "all other keys are revoked, have expired, are not valid yet, or are for other namespaces"
        )

    def judge_signatures(
        self, data: bytes, signatures: Sequence[tuple[str, bytes]], now: datetime
    ) -> tuple[tuple[Approval, ...], list[str]]:
        """Who has approved these octets, and what is wrong with each other signature.

        Signatures come and are told by name. Raises VerifierError.
        """
        approvals: list[Approval] = []
        faults = []
        known: set[str] = set()
        """Names, and fingerprints of keys, of those who have approved."""
        for name, signature in signatures:
            try:
                signer = self._find_signer(signature, now)
                verify_signature(
                    signature,
                    data,
                    signer,
                    self.revoked,
                    now,
                )
            except SignatureError as fault:
                faults.append(f"{name}: the signature {fault}")
                continue
            # names that differ in case alone are one
            name_and_key = {signer.principal.casefold(), signer.key.fingerprint}
            if not known.isdisjoint(name_and_key):
                why = "is a second one of the same person, who counts once"
                faults.append(f"{name}: the signature {why}")
                continue
            known |= name_and_key
            time = now.isoformat(timespec="seconds")
            approvals.append(Approval(signer.principal, signer.key.fingerprint, time))
        return tuple(approvals), faults

    def _find_signer(self, signature: bytes, now: datetime) -> Signer:
        """Whose signature it says to be. Raises SignatureError for a key that may not sign."""
        key = read_signing_key(signature)
        why = f"is by a key that is not among the allowed signers, {key.fingerprint}"
        for line, signer in self.signers.items():
            if signer.key == key:
                why = self._find_objection(line, now)
                if not why:
                    return signer
        raise SignatureError(why)

    def _find_objection(self, line: int, now: datetime) -> str:
        """Why the key of a line may not sign now; empty where it may."""
        signer = self.signers[line]
        if signer.key in self.revoked:
            return f"is by a revoked key, {signer.key.fingerprint}"
        why = signer.explain_objection(APPROVAL_NAMESPACE, now)
        return f"is by the key of line {line}, which {why}" if why else ""


def count_people(signers: Collection[Signer]) -> int:
    """How many people a file of allowed signers names."""
    return len({each.principal.casefold() for each in signers})
