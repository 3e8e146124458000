"""Whether enough people have signed: each signature is good, and each is another person's."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec import Struct

from connector.approval.keys import PublicKey
from connector.approval.signers import Signer
from connector.approval.sshsig import signed_by
from connector.approval.wire import SignatureError
from connector.model import APPROVAL_NAMESPACE, Approval
from connector.reconcile.checks.limits import Limits


class Approvers(Struct, frozen=True):
    """Who may approve the plans of a job, and how many have to. `revoked`: keys, by their `blob`.

    `free`: how many users an apply may change without that.
    """

    signers: tuple[Signer, ...]
    needed: int
    revoked: frozenset[bytes] = frozenset()
    free: Limits = Limits()

    @property
    def rule(self) -> str:
        """What has to be approved, for whoever reads a plan."""
        free = f"update {self.free.update}, clear {self.free.clear}, secret {self.free.secret or self.free.update}"
        return f"{self.needed} of {people(self.signers)} people have to sign, unless within {free}"

    def shortage(self, now: datetime) -> str:
        """That some people's keys are good for nothing now; empty where everybody can sign."""
        good = [each for each in self.signers if each.key.blob not in self.revoked]
        able, everybody = (
            people(
                [each for each in good if not each.objection(APPROVAL_NAMESPACE, now)]
            ),
            people(self.signers),
        )
        if able == everybody:
            return ""
        keys = "all other keys are revoked, have expired, are not valid yet, or are for other namespaces"
        too_few = (
            ""
            if able >= self.needed
            else f". {self.needed} have to, so that no plan can be approved"
        )
        return f"{able} of {everybody} people can sign now; {keys}{too_few}"

    def judge(
        self, data: bytes, signatures: Sequence[tuple[str, bytes]], now: datetime
    ) -> tuple[tuple[Approval, ...], list[str]]:
        """Who has approved these octets, and what is wrong with each signature that does not count, by its name."""
        approvals: list[Approval] = []
        faults = []
        for name, signature in signatures:
            try:
                approval = self._approval(
                    signed_by(signature, data, APPROVAL_NAMESPACE), now
                )
            except SignatureError as fault:
                faults.append(f"{name}: the signature {fault}")
                continue
            if any(_same(each, approval) for each in approvals):
                faults.append(
                    f"{name}: the signature is a second one of the same person, who counts once"
                )
            else:
                approvals.append(approval)
        return tuple(approvals), faults

    def _approval(self, key: PublicKey, now: datetime) -> Approval:
        """Raises SignatureError for a key that is not allowed, or is not now."""
        if key.blob in self.revoked:
            raise SignatureError(f"is by a revoked key, {key.fingerprint}")
        lines = [each for each in self.signers if each.key.blob == key.blob]
        if not lines:
            raise SignatureError(
                f"is by a key that is not among the allowed signers, {key.fingerprint}"
            )
        objections = [each.objection(APPROVAL_NAMESPACE, now) for each in lines]
        if all(objections):
            raise SignatureError(
                f"is by the key of line {lines[0].line}, which {objections[0]}"
            )
        good = lines[objections.index("")]
        return Approval(
            good.principal, key.fingerprint, now.isoformat(timespec="seconds")
        )


def _same(one: Approval, other: Approval) -> bool:
    """One person: names that differ in case alone are one."""
    return one.key == other.key or one.who.casefold() == other.who.casefold()


def people(signers: Sequence[Signer]) -> int:
    """How many people a file of allowed signers names."""
    return len({each.principal.casefold() for each in signers})
