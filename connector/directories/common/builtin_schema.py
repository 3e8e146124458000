"""The schema of directories that publish none (a file, the memory): what this program knows of common attributes.

After RFC 4512, 4519, 4524, 4530, 2798, 2307 and 3112 for people and groups, H.350.1 and
H.350.4 (RFC 3944) for SIP identities, this project's `deploy/schema` for CEC agents, the
marks of disabled users, and Active Directory's stock attributes ([MS-ADA1] to [MS-ADA3]) as
far as mappings and filters name them. Where Active Directory and the RFCs differ over one
attribute (`employeeType` and `description` have one value there), the RFCs are followed.
"""

from __future__ import annotations

from functools import cache
from typing import Final

from connector.directories.common.schema import Schema

_SYNTAX: Final = "SYNTAX 1.3.6.1.4.1.1466.115.121.1."
_TEXT: Final = f"EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch {_SYNTAX}15"
_EXACT: Final = f"EQUALITY caseExactMatch {_SYNTAX}15"
_IA5: Final = f"EQUALITY caseIgnoreIA5Match {_SYNTAX}26"
_IA5_PIECES: Final = f"SUBSTR caseIgnoreIA5SubstringsMatch {_IA5}"
_IA5_EXACT: Final = f"EQUALITY caseExactIA5Match {_SYNTAX}26"
_PHONE: Final = (
    f"EQUALITY telephoneNumberMatch SUBSTR telephoneNumberSubstringsMatch {_SYNTAX}50"
)
_NAME: Final = f"EQUALITY distinguishedNameMatch {_SYNTAX}12"
_OCTETS: Final = f"EQUALITY octetStringMatch {_SYNTAX}40"
_INTEGER: Final = f"EQUALITY integerMatch ORDERING integerOrderingMatch {_SYNTAX}27"
_TIME: Final = (
    f"EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch {_SYNTAX}24"
)
_ORDERED: Final = f"ORDERING caseIgnoreOrderingMatch {_TEXT}"
"""What Active Directory orders too, and this project's own."""
_UUID: Final = "EQUALITY uuidMatch ORDERING UUIDOrderingMatch SYNTAX 1.3.6.1.1.16.1"
_ONE: Final = "SINGLE-VALUE"
_SYSTEM: Final = "NO-USER-MODIFICATION USAGE directoryOperation"

_RFC_ATTRIBUTES: Final = (
    f"( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch {_SYNTAX}38 )",
    f"( 2.5.4.41 NAME 'name' {_TEXT} )",
    f"( 2.5.4.49 NAME 'distinguishedName' {_NAME} )",
    "( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )",
    "( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )",
    f"( 2.5.4.5 NAME 'serialNumber' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch {_SYNTAX}44 )",
    f"( 2.5.4.6 NAME ( 'c' 'countryName' ) SUP name {_SYNTAX}11 {_ONE} )",
    "( 2.5.4.7 NAME ( 'l' 'localityName' ) SUP name )",
    "( 2.5.4.8 NAME ( 'st' 'stateOrProvinceName' ) SUP name )",
    f"( 2.5.4.9 NAME ( 'street' 'streetAddress' ) {_TEXT} )",
    "( 2.5.4.10 NAME ( 'o' 'organizationName' ) SUP name )",
    "( 2.5.4.11 NAME ( 'ou' 'organizationalUnitName' ) SUP name )",
    "( 2.5.4.12 NAME 'title' SUP name )",
    f"( 2.5.4.13 NAME 'description' {_TEXT} )",
    f"( 2.5.4.15 NAME 'businessCategory' {_TEXT} )",
    f"( 2.5.4.16 NAME 'postalAddress' EQUALITY caseIgnoreListMatch SUBSTR caseIgnoreListSubstringsMatch {_SYNTAX}41 )",
    f"( 2.5.4.17 NAME 'postalCode' {_TEXT} )",
    f"( 2.5.4.19 NAME 'physicalDeliveryOfficeName' {_TEXT} )",
    f"( 2.5.4.20 NAME 'telephoneNumber' {_PHONE} )",
    f"( 2.5.4.23 NAME ( 'facsimileTelephoneNumber' 'fax' ) {_SYNTAX}22 )",
    f"( 2.5.4.24 NAME 'x121Address' EQUALITY numericStringMatch SUBSTR numericStringSubstringsMatch {_SYNTAX}36 )",
    "( 2.5.4.31 NAME 'member' SUP distinguishedName )",
    "( 2.5.4.34 NAME 'seeAlso' SUP distinguishedName )",
    f"( 2.5.4.35 NAME 'userPassword' {_OCTETS} )",
    f"( 2.5.4.36 NAME 'userCertificate' {_SYNTAX}8 )",
    "( 2.5.4.42 NAME ( 'givenName' 'gn' ) SUP name )",
    "( 2.5.4.43 NAME 'initials' SUP name )",
    "( 2.5.4.44 NAME 'generationQualifier' SUP name )",
    f"( 2.5.4.45 NAME 'x500UniqueIdentifier' EQUALITY bitStringMatch {_SYNTAX}6 )",
    f"( 2.5.4.50 NAME 'uniqueMember' EQUALITY uniqueMemberMatch {_SYNTAX}34 )",
    f"( 0.9.2342.19200300.100.1.1 NAME ( 'uid' 'userid' ) {_TEXT} )",
    f"( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) {_IA5_PIECES} )",
    f"( 0.9.2342.19200300.100.1.6 NAME 'roomNumber' {_TEXT} )",
    f"( 0.9.2342.19200300.100.1.10 NAME 'manager' {_NAME} )",
    f"( 0.9.2342.19200300.100.1.20 NAME ( 'homePhone' 'homeTelephoneNumber' ) {_PHONE} )",
    f"( 0.9.2342.19200300.100.1.21 NAME 'secretary' {_NAME} )",
    f"( 0.9.2342.19200300.100.1.25 NAME ( 'dc' 'domainComponent' ) {_IA5_PIECES} {_ONE} )",
    f"( 0.9.2342.19200300.100.1.41 NAME ( 'mobile' 'mobileTelephoneNumber' ) {_PHONE} )",
    f"( 0.9.2342.19200300.100.1.42 NAME ( 'pager' 'pagerTelephoneNumber' ) {_PHONE} )",
    f"( 0.9.2342.19200300.100.1.60 NAME 'jpegPhoto' {_SYNTAX}28 )",
    f"( 2.16.840.1.113730.3.1.1 NAME 'carLicense' {_TEXT} )",
    f"( 2.16.840.1.113730.3.1.2 NAME 'departmentNumber' {_TEXT} )",
    f"( 2.16.840.1.113730.3.1.3 NAME 'employeeNumber' {_TEXT} {_ONE} )",
    f"( 2.16.840.1.113730.3.1.4 NAME 'employeeType' {_TEXT} )",
    f"( 2.16.840.1.113730.3.1.39 NAME 'preferredLanguage' {_TEXT} {_ONE} )",
    f"( 2.16.840.1.113730.3.1.241 NAME 'displayName' {_TEXT} {_ONE} )",
    f"( 2.16.840.1.113730.3.1.40 NAME 'userSMIMECertificate' {_SYNTAX}5 )",
    f"( 1.3.6.1.4.1.250.1.57 NAME 'labeledURI' {_EXACT} )",
    f"( 1.3.6.1.1.1.1.0 NAME 'uidNumber' {_INTEGER} {_ONE} )",
    f"( 1.3.6.1.1.1.1.1 NAME 'gidNumber' {_INTEGER} {_ONE} )",
    f"( 1.3.6.1.1.1.1.2 NAME 'gecos' {_IA5_PIECES} {_ONE} )",
    f"( 1.3.6.1.1.1.1.3 NAME 'homeDirectory' {_IA5_EXACT} {_ONE} )",
    f"( 1.3.6.1.1.1.1.4 NAME 'loginShell' {_IA5_EXACT} {_ONE} )",
    f"( 1.3.6.1.1.1.1.12 NAME 'memberUid' SUBSTR caseExactIA5SubstringsMatch {_IA5_EXACT} )",
    f"( 1.3.6.1.4.1.4203.1.3.4 NAME 'authPassword' EQUALITY authPasswordExactMatch {_SYNTAX}40 )",
    f"( 1.3.6.1.1.16.4 NAME 'entryUUID' {_UUID} {_ONE} {_SYSTEM} )",
    f"( 1.3.6.1.1.20 NAME 'entryDN' {_NAME} {_ONE} {_SYSTEM} )",
    f"( 2.5.18.1 NAME 'createTimestamp' {_TIME} {_ONE} {_SYSTEM} )",
    f"( 2.5.18.2 NAME 'modifyTimestamp' {_TIME} {_ONE} {_SYSTEM} )",
    f"( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' {_TEXT} {_ONE} USAGE directoryOperation )",
    f"( 1.3.6.1.4.1.42.2.27.8.1.17 NAME 'pwdAccountLockedTime' {_TIME} {_ONE} USAGE directoryOperation )",
    f"( 2.5.18.3 NAME 'creatorsName' {_NAME} {_ONE} {_SYSTEM} )",
    f"( 2.5.18.4 NAME 'modifiersName' {_NAME} {_ONE} {_SYSTEM} )",
    f"( 2.5.21.9 NAME 'structuralObjectClass' EQUALITY objectIdentifierMatch {_SYNTAX}38 {_ONE} {_SYSTEM} )",
    f"( entryCSN-oid NAME 'entryCSN' ORDERING CSNOrderingMatch {_IA5_EXACT} {_ONE} {_SYSTEM} )",
    f"( nsUniqueId-oid NAME 'nsUniqueId' {_TEXT} {_ONE} {_SYSTEM} )",
)

_SIP_ATTRIBUTES: Final = (
    f"( 0.0.8.350.1.1.1.1.1 NAME 'commURI' {_EXACT} )",
    f"( 0.0.8.350.1.1.2.1.1 NAME 'commUniqueId' {_IA5_PIECES} )",
    f"( 0.0.8.350.1.1.2.1.2 NAME 'commOwner' {_EXACT} )",
    f"( 0.0.8.350.1.1.2.1.3 NAME 'commPrivate' {_SYNTAX}26 )",
    f"( 0.0.8.350.1.1.6.1.1 NAME 'SIPIdentitySIPURI' SUBSTR caseExactSubstringsMatch {_EXACT} )",
    f"( 0.0.8.350.1.1.6.1.2 NAME 'SIPIdentityRegistrarAddress' {_IA5} )",
    f"( 0.0.8.350.1.1.6.1.3 NAME 'SIPIdentityProxyAddress' {_IA5} )",
    f"( 0.0.8.350.1.1.6.1.4 NAME 'SIPIdentityAddress' {_IA5} )",
    f"( 0.0.8.350.1.1.6.1.5 NAME 'SIPIdentityPassword' {_OCTETS} )",
    f"( 0.0.8.350.1.1.6.1.6 NAME 'SIPIdentityUserName' {_TEXT} )",
    f"( 0.0.8.350.1.1.6.1.7 NAME 'SIPIdentityServiceLevel' {_IA5} )",
)

_CEC: Final = "2.25.306097007297846553469420626465364982418"
_CEC_ATTRIBUTES: Final = (
    f"( {_CEC}.1.1 NAME 'cecAccountCode' {_ORDERED}{{128}} {_ONE} )",
    f"( {_CEC}.1.2 NAME 'cecWorkNo' {_INTEGER} {_ONE} )",
    f"( {_CEC}.1.3 NAME 'cecSipServicePort' {_INTEGER} {_ONE} )",
)

_AD: Final = "1.2.840.113556.1"
_AD_ATTRIBUTES: Final = (
    f"( {_AD}.4.2 NAME 'objectGUID' {_OCTETS} {_ONE} NO-USER-MODIFICATION )",
    f"( {_AD}.4.146 NAME 'objectSid' {_OCTETS} {_ONE} NO-USER-MODIFICATION )",
    f"( {_AD}.2.2 NAME 'whenCreated' {_TIME} {_ONE} NO-USER-MODIFICATION )",
    f"( {_AD}.2.3 NAME 'whenChanged' {_TIME} {_ONE} NO-USER-MODIFICATION )",
    f"( {_AD}.4.8 NAME 'userAccountControl' {_INTEGER} {_ONE} )",
    f"( {_AD}.4.221 NAME 'sAMAccountName' {_ORDERED}{{256}} {_ONE} )",
    f"( {_AD}.4.656 NAME 'userPrincipalName' {_ORDERED}{{1024}} {_ONE} )",
    f"( {_AD}.4.782 NAME 'objectCategory' {_NAME} {_ONE} )",
    f"( {_AD}.2.102 NAME 'memberOf' {_NAME} NO-USER-MODIFICATION )",
    f"( {_AD}.2.141 NAME 'department' {_ORDERED}{{64}} {_ONE} )",
    f"( {_AD}.2.146 NAME 'company' {_ORDERED}{{64}} {_ONE} )",
    f"( {_AD}.4.261 NAME 'division' {_ORDERED}{{256}} {_ONE} )",
    f"( {_AD}.2.210 NAME 'proxyAddresses' {_ORDERED} )",
    f"( {_AD}.4.35 NAME 'employeeID' {_ORDERED}{{16}} {_ONE} )",
    f"( {_AD}.2.18 NAME 'otherTelephone' {_ORDERED}{{64}} )",
    f"( {_AD}.4.721 NAME 'ipPhone' {_ORDERED}{{64}} {_ONE} )",
    f"( {_AD}.4.722 NAME 'otherIpPhone' {_ORDERED} )",
    *(
        f"( extensionAttribute{n}-oid NAME 'extensionAttribute{n}' {_ORDERED}{{1024}} {_ONE} )"
        for n in range(1, 16)
    ),
    *(
        f"( msDS-cloudExtensionAttribute{n}-oid NAME 'msDS-cloudExtensionAttribute{n}' {_ORDERED} {_ONE} )"
        for n in range(1, 21)
    ),
)

_PERSON: Final = "userPassword $ telephoneNumber $ seeAlso $ description"
_CONTACT: Final = (
    "title $ facsimileTelephoneNumber $ street $ postalCode $ postalAddress "
    "$ physicalDeliveryOfficeName $ ou $ st $ l"
)
_NUMBERED: Final = " $ ".join(
    [f"extensionAttribute{n}" for n in range(1, 16)]
    + [f"msDS-cloudExtensionAttribute{n}" for n in range(1, 21)]
)
ATTRIBUTES: Final = (
    *_RFC_ATTRIBUTES,
    *_SIP_ATTRIBUTES,
    *_CEC_ATTRIBUTES,
    *_AD_ATTRIBUTES,
)
OBJECT_CLASSES: Final = (
    "( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )",
    "( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' SUP top AUXILIARY )",
    f"( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $ cn ) MAY ( {_PERSON} ) )",
    f"( 2.5.6.7 NAME 'organizationalPerson' SUP person STRUCTURAL MAY ( {_CONTACT} $ x121Address ) )",
    (
        "( 2.16.840.1.113730.3.2.2 NAME 'inetOrgPerson' SUP organizationalPerson STRUCTURAL MAY ( businessCategory $"
        " carLicense $ departmentNumber $ displayName $ employeeNumber $ employeeType $ givenName $ homePhone"
        " $ initials $ jpegPhoto $ labeledURI $ mail $ manager $ mobile $ o $ pager $ roomNumber $ secretary $ uid"
        " $ userCertificate $ userSMIMECertificate $ x500UniqueIdentifier $ preferredLanguage ) )"
    ),
    "( 0.9.2342.19200300.100.4.5 NAME 'account' SUP top STRUCTURAL MUST uid MAY ( description $ l $ o $ ou ) )",
    "( 0.9.2342.19200300.100.4.19 NAME 'simpleSecurityObject' SUP top AUXILIARY MUST userPassword )",
    (
        "( 1.3.6.1.1.1.2.0 NAME 'posixAccount' SUP top AUXILIARY MUST ( cn $ uid $ uidNumber $ gidNumber $"
        " homeDirectory ) MAY ( userPassword $ loginShell $ gecos $ description ) )"
    ),
    "( 2.5.6.4 NAME 'organization' SUP top STRUCTURAL MUST o MAY ( description $ telephoneNumber $ l $ st ) )",
    "( 2.5.6.5 NAME 'organizationalUnit' SUP top STRUCTURAL MUST ou MAY ( description $ telephoneNumber $ l $ st ) )",
    "( 1.3.6.1.4.1.1466.344 NAME 'dcObject' SUP top AUXILIARY MUST dc )",
    "( 2.5.6.9 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( member $ cn ) MAY ( description $ ou $ o ) )",
    "( 2.5.6.17 NAME 'groupOfUniqueNames' SUP top STRUCTURAL MUST ( uniqueMember $ cn ) MAY ( description $ ou $ o ) )",
    "( 0.0.8.350.1.1.1.2.1 NAME 'commURIObject' SUP top AUXILIARY MAY commURI )",
    "( 0.0.8.350.1.1.2.2.1 NAME 'commObject' SUP top STRUCTURAL MUST commUniqueId MAY ( commOwner $ commPrivate ) )",
    (
        "( 0.0.8.350.1.1.6.2.1 NAME 'SIPIdentity' SUP top AUXILIARY MAY ( SIPIdentitySIPURI $"
        " SIPIdentityRegistrarAddress $ SIPIdentityProxyAddress $ SIPIdentityAddress $ SIPIdentityPassword "
        " $ SIPIdentityUserName $ SIPIdentityServiceLevel $ userSMIMECertificate ) )"
    ),
    f"( {_CEC}.2.1 NAME 'cecAgent' SUP top AUXILIARY MAY ( cecAccountCode $ cecWorkNo $ cecSipServicePort ) )",
    (
        f"( {_AD}.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL MAY ( businessCategory $ company $ department $"
        " departmentNumber $ displayName $ distinguishedName $ division $ employeeID $ employeeNumber $ employeeType $"
        " givenName $ homePhone $ initials $ ipPhone $ mail $ manager $ memberOf $ mobile $ o $ objectCategory $"
        " objectGUID $ objectSid $ otherIpPhone $ otherTelephone $ pager $ proxyAddresses $ sAMAccountName $ uid $"
        f" uidNumber $ gidNumber $ userAccountControl $ userPrincipalName $ whenChanged $ whenCreated $ {_NUMBERED} ) )"
    ),
)


@cache
def known_schema() -> Schema:
    """The built-in schema; made once."""
    return Schema(ATTRIBUTES, OBJECT_CLASSES)
