"""Names of attributes in a mapping: their syntax, and those that are never written, each with its reason.

Names are the directory's own: LDAP attribute descriptions (RFC 4512 §2.5) and SCIM
attribute paths (RFC 7644 §3.10).
"""

from __future__ import annotations

import re
from typing import Final

_LDAP: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(;[A-Za-z0-9-]+)*")
_SCIM: Final = re.compile(
    r"((?i:urn):[A-Za-z0-9][A-Za-z0-9-]*:([A-Za-z0-9._-]+:)+)?"  # the schema, where it is not the core one
    r"[A-Za-z$][A-Za-z0-9_$-]*"
    r"""(\[[A-Za-z0-9 ."'@:_()-]+\])?"""  # which of several values
    r"(\.[A-Za-z$][A-Za-z0-9_$-]*)?"
)
_PARTS: Final = re.compile(r"((?:urn:[^\[]*:)?[^;.\[]*)(?:\[(.*)\])?(?:\.([^;]*))?")
_CORE: Final = re.compile(
    r"\Aurn:ietf:params:scim:schemas:core:2\.0:user:", re.IGNORECASE
)

_NAMING: Final = "it is part of the DN, and this program renames no entries"
_PASSWORD: Final = "it holds the user's credentials for the directory itself"  # noqa: S105  # a reason, not a password
_STATUS: Final = "it controls whether the account may be used"
_LOGON: Final = "it controls what a user's logon runs, mounts or may use"
_RIGHTS: Final = "it grants rights, and this program grants none"
_SERVER: Final = "the directory maintains it"

_REFUSED: Final = {
    "objectclass": "list classes to add under object_classes",
    "schemas": _SERVER,
} | {
    name.lower(): why
    for why, names in {
        _NAMING: "cn commonName uid userid ou organizationalUnitName o organizationName c countryName dc"
        " domainComponent distinguishedName entryDN sAMAccountName userPrincipalName userName id",
        _PASSWORD: "userPassword unicodePwd authPassword dBCSPwd ntPwdHistory lmPwdHistory supplementalCredentials"
        " userPKCS12 userCertificate altSecurityIdentities krbPrincipalKey krbPrincipalName krbExtraData ipaNTHash"
        " sambaNTPassword sambaLMPassword sambaPasswordHistory pwdHistory msDS-KeyCredentialLink sshPublicKey"
        " ipaSshPubKey passwordHistory password x509Certificates",
        _STATUS: "userAccountControl accountExpires pwdLastSet lockoutTime pwdAccountLockedTime nsAccountLock"
        " shadowExpire shadowLastChange sambaAcctFlags pwdReset passwordExpirationTime accountUnlockTime"
        " logonHours userWorkstations userParameters isCriticalSystemObject adminCount inetUserStatus"
        " ipaUserAuthType passwordAllowChangeTime passwordGraceUserTime passwordRetryCount host authorizedService"
        " active",
        _LOGON: "scriptPath profilePath homeDirectory homeDrive loginShell userSharedFolder userSharedFolderOther"
        " msTSInitialProgram msTSWorkDirectory msTSHomeDirectory msTSHomeDrive msTSProfilePath msTSAllowLogon"
        " msTSRemoteControl msNPAllowDialin msNPCallingStationID msNPSavedCallingStationID msRADIUSCallbackNumber"
        " msRADIUSFramedIPAddress msRADIUSFramedRoute msRADIUSServiceType msRASSavedCallbackNumber"
        " msDS-SupportedEncryptionTypes msDS-AssignedAuthNPolicy msDS-AssignedAuthNPolicySilo sambaLogonScript"
        " sambaProfilePath sambaHomePath sambaHomeDrive sambaUserWorkstations krbPwdPolicyReference"
        " krbTicketPolicyReference pwdPolicySubentry",
        _RIGHTS: "member memberOf uniqueMember memberUid memberURL roleOccupant nsRole nsRoleDN gidNumber"
        " primaryGroupID groups members roles entitlements nTSecurityDescriptor sIDHistory servicePrincipalName"
        " msDS-AllowedToDelegateTo msDS-AllowedToActOnBehalfOfOtherIdentity uidNumber sambaSID sambaPrimaryGroupSID"
        " mS-DS-ConsistencyGuid mS-DS-CreatorSID authzTo authzFrom saslAuthzTo saslAuthzFrom isMemberOf"
        " ipaNTSecurityIdentifier aci openLDAPaci nsIdleTimeout nsLookThroughLimit nsSizeLimit nsTimeLimit",
        _SERVER: "entryUUID entryCSN entryID nsUniqueId objectGUID objectSid createTimestamp creatorsName"
        " modifyTimestamp modifiersName structuralObjectClass subschemaSubentry hasSubordinates numSubordinates"
        " governingStructureRule whenCreated whenChanged uSNCreated uSNChanged objectCategory sAMAccountType"
        " fSMORoleOwner contextCSN meta",
    }.items()
    for name in names.split()
}
_REFUSED_BY_PREFIX: Final = {
    "krb": "Kerberos uses it to decide on log-ons",
    "sudo": "sudo uses it to grant rights",
    "samba": "Samba uses it to decide on log-ons",
    "pwd": "the directory's password policy maintains it",
    "shadow": "Unix uses it to decide whether the account may be used",
    "olc": "it configures the server itself",
}
_OF_EVERY_SCHEMA: Final = frozenset({_RIGHTS, _LOGON})
"""Reasons that hold for an attribute of this name in any schema of SCIM, too."""


def fault_of_name(name: str) -> str | None:
    """Why this is no name of an attribute; None where it is one."""
    if len(name) <= 256 and (_LDAP.fullmatch(name) or _SCIM.fullmatch(name)):
        return None
    if re.fullmatch(r"[0-9]+(\.[0-9]+)+(;.*)?", name):
        return "write the attribute's name, not its number"
    return "is no attribute name"


def why_not_written(name: str) -> str | None:
    """Say why a mapping may not write this attribute; None where it may.

    Options and sub-attributes change nothing.
    """
    schema, _, bare = parts_of(name)[0].rpartition(":")
    why = _REFUSED.get(bare)
    if why and (not schema or why in _OF_EVERY_SCHEMA):
        return why
    for prefix, reason in _REFUSED_BY_PREFIX.items():
        if bare.startswith(prefix):
            return reason
    return None


def why_not_matched(name: str) -> str | None:
    """Say why agents may not be matched by this attribute; None where they may."""
    why = _REFUSED.get(parts_of(name)[0])
    return why if why == _PASSWORD else None


def without_core(name: str) -> str:
    """Write a name in small letters, one of SCIM's core schema without the name of that schema."""
    return _CORE.sub("", name).lower()


def shows_secret(name: str, secret: str) -> bool:
    """Tell whether an attribute may hold values, or parts, of one that a mapping calls secret."""
    return parts_of(name)[0] == parts_of(secret)[0]


def parts_of(name: str) -> tuple[str, str, str]:
    """Split a name, in small letters and without options.

    Returns the attribute itself, which of its values, and the sub-attribute. One of another
    SCIM schema than the core keeps that schema.
    """
    attribute, values, part = _PARTS.findall(without_core(name))[0]
    return attribute, values, part
