"""The schema of directories that publish none (a file, the memory): what this program knows of common attributes.

After RFC 4512, 4519, 4524, 4530, 2798, 2307 and 3112 for people and groups, H.350.1 and
H.350.4 (RFC 3944) for SIP identities, this project's `deploy/schema` for CEC agents, the
marks of disabled users, and Active Directory's stock attributes ([MS-ADA1] to [MS-ADA3]) as
far as mappings and filters name them. Where Active Directory and the RFCs differ over one
attribute (`employeeType` and `description` have one value there), the RFCs are followed.
"""

from __future__ import annotations

from functools import cache
from string import Template

from connector.directories.common.schema import Schema

_SYNTAX = "SYNTAX 1.3.6.1.4.1.1466.115.121.1."
_TEXT = f"EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch {_SYNTAX}15"
_IA5 = f"EQUALITY caseIgnoreIA5Match {_SYNTAX}26"
_WORDS = {
    "SYNTAX": _SYNTAX,
    "TEXT": _TEXT,
    "EXACT": f"EQUALITY caseExactMatch {_SYNTAX}15",
    "IA5": _IA5,
    "IA5_PIECES": f"SUBSTR caseIgnoreIA5SubstringsMatch {_IA5}",
    "IA5_EXACT": f"EQUALITY caseExactIA5Match {_SYNTAX}26",
    "PHONE": f"EQUALITY telephoneNumberMatch SUBSTR telephoneNumberSubstringsMatch {_SYNTAX}50",
    "DN": f"EQUALITY distinguishedNameMatch {_SYNTAX}12",
    "OCTETS": f"EQUALITY octetStringMatch {_SYNTAX}40",
    "INTEGER": f"EQUALITY integerMatch ORDERING integerOrderingMatch {_SYNTAX}27",
    "TIME": f"EQUALITY generalizedTimeMatch ORDERING generalizedTimeOrderingMatch {_SYNTAX}24",
    "ORDERED": f"ORDERING caseIgnoreOrderingMatch {_TEXT}",  # by Active Directory, and of our own
    "UUID": "EQUALITY uuidMatch ORDERING UUIDOrderingMatch SYNTAX 1.3.6.1.1.16.1",
    "ONE": "SINGLE-VALUE",
    "SYSTEM": "NO-USER-MODIFICATION USAGE directoryOperation",
    "CEC": "2.25.306097007297846553469420626465364982418",
    "AD": "1.2.840.113556.1",
}
"""What `$` and a word stand for in the definitions below."""

_ATTRIBUTES = """
( 2.5.4.0 NAME 'objectClass' EQUALITY objectIdentifierMatch ${SYNTAX}38 )
( 2.5.4.41 NAME 'name' $TEXT )
( 2.5.4.49 NAME 'distinguishedName' $DN )
( 2.5.4.3 NAME ( 'cn' 'commonName' ) SUP name )
( 2.5.4.4 NAME ( 'sn' 'surname' ) SUP name )
( 2.5.4.5 NAME 'serialNumber' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch ${SYNTAX}44 )
( 2.5.4.6 NAME ( 'c' 'countryName' ) SUP name ${SYNTAX}11 $ONE )
( 2.5.4.7 NAME ( 'l' 'localityName' ) SUP name )
( 2.5.4.8 NAME ( 'st' 'stateOrProvinceName' ) SUP name )
( 2.5.4.9 NAME ( 'street' 'streetAddress' ) $TEXT )
( 2.5.4.10 NAME ( 'o' 'organizationName' ) SUP name )
( 2.5.4.11 NAME ( 'ou' 'organizationalUnitName' ) SUP name )
( 2.5.4.12 NAME 'title' SUP name )
( 2.5.4.13 NAME 'description' $TEXT )
( 2.5.4.15 NAME 'businessCategory' $TEXT )
( 2.5.4.16 NAME 'postalAddress' EQUALITY caseIgnoreListMatch SUBSTR caseIgnoreListSubstringsMatch ${SYNTAX}41 )
( 2.5.4.17 NAME 'postalCode' $TEXT )
( 2.5.4.19 NAME 'physicalDeliveryOfficeName' $TEXT )
( 2.5.4.20 NAME 'telephoneNumber' $PHONE )
( 2.5.4.23 NAME ( 'facsimileTelephoneNumber' 'fax' ) ${SYNTAX}22 )
( 2.5.4.24 NAME 'x121Address' EQUALITY numericStringMatch SUBSTR numericStringSubstringsMatch ${SYNTAX}36 )
( 2.5.4.31 NAME 'member' SUP distinguishedName )
( 2.5.4.34 NAME 'seeAlso' SUP distinguishedName )
( 2.5.4.35 NAME 'userPassword' $OCTETS )
( 2.5.4.36 NAME 'userCertificate' ${SYNTAX}8 )
( 2.5.4.42 NAME ( 'givenName' 'gn' ) SUP name )
( 2.5.4.43 NAME 'initials' SUP name )
( 2.5.4.44 NAME 'generationQualifier' SUP name )
( 2.5.4.45 NAME 'x500UniqueIdentifier' EQUALITY bitStringMatch ${SYNTAX}6 )
( 2.5.4.50 NAME 'uniqueMember' EQUALITY uniqueMemberMatch ${SYNTAX}34 )
( 0.9.2342.19200300.100.1.1 NAME ( 'uid' 'userid' ) $TEXT )
( 0.9.2342.19200300.100.1.3 NAME ( 'mail' 'rfc822Mailbox' ) $IA5_PIECES )
( 0.9.2342.19200300.100.1.6 NAME 'roomNumber' $TEXT )
( 0.9.2342.19200300.100.1.10 NAME 'manager' $DN )
( 0.9.2342.19200300.100.1.20 NAME ( 'homePhone' 'homeTelephoneNumber' ) $PHONE )
( 0.9.2342.19200300.100.1.21 NAME 'secretary' $DN )
( 0.9.2342.19200300.100.1.25 NAME ( 'dc' 'domainComponent' ) $IA5_PIECES $ONE )
( 0.9.2342.19200300.100.1.41 NAME ( 'mobile' 'mobileTelephoneNumber' ) $PHONE )
( 0.9.2342.19200300.100.1.42 NAME ( 'pager' 'pagerTelephoneNumber' ) $PHONE )
( 0.9.2342.19200300.100.1.60 NAME 'jpegPhoto' ${SYNTAX}28 )
( 2.16.840.1.113730.3.1.1 NAME 'carLicense' $TEXT )
( 2.16.840.1.113730.3.1.2 NAME 'departmentNumber' $TEXT )
( 2.16.840.1.113730.3.1.3 NAME 'employeeNumber' $TEXT $ONE )
( 2.16.840.1.113730.3.1.4 NAME 'employeeType' $TEXT )
( 2.16.840.1.113730.3.1.39 NAME 'preferredLanguage' $TEXT $ONE )
( 2.16.840.1.113730.3.1.241 NAME 'displayName' $TEXT $ONE )
( 2.16.840.1.113730.3.1.40 NAME 'userSMIMECertificate' ${SYNTAX}5 )
( 1.3.6.1.4.1.250.1.57 NAME 'labeledURI' $EXACT )
( 1.3.6.1.1.1.1.0 NAME 'uidNumber' $INTEGER $ONE )
( 1.3.6.1.1.1.1.1 NAME 'gidNumber' $INTEGER $ONE )
( 1.3.6.1.1.1.1.2 NAME 'gecos' $IA5_PIECES $ONE )
( 1.3.6.1.1.1.1.3 NAME 'homeDirectory' $IA5_EXACT $ONE )
( 1.3.6.1.1.1.1.4 NAME 'loginShell' $IA5_EXACT $ONE )
( 1.3.6.1.1.1.1.12 NAME 'memberUid' SUBSTR caseExactIA5SubstringsMatch $IA5_EXACT )
( 1.3.6.1.4.1.4203.1.3.4 NAME 'authPassword' EQUALITY authPasswordExactMatch ${SYNTAX}40 )
( 1.3.6.1.1.16.4 NAME 'entryUUID' $UUID $ONE $SYSTEM )
( 1.3.6.1.1.20 NAME 'entryDN' $DN $ONE $SYSTEM )
( 2.5.18.1 NAME 'createTimestamp' $TIME $ONE $SYSTEM )
( 2.5.18.2 NAME 'modifyTimestamp' $TIME $ONE $SYSTEM )
( 2.16.840.1.113730.3.1.610 NAME 'nsAccountLock' $TEXT $ONE USAGE directoryOperation )
( 1.3.6.1.4.1.42.2.27.8.1.17 NAME 'pwdAccountLockedTime' $TIME $ONE USAGE directoryOperation )
( 2.5.18.3 NAME 'creatorsName' $DN $ONE $SYSTEM )
( 2.5.18.4 NAME 'modifiersName' $DN $ONE $SYSTEM )
( 2.5.21.9 NAME 'structuralObjectClass' EQUALITY objectIdentifierMatch ${SYNTAX}38 $ONE $SYSTEM )
( entryCSN-oid NAME 'entryCSN' ORDERING CSNOrderingMatch $IA5_EXACT $ONE $SYSTEM )
( nsUniqueId-oid NAME 'nsUniqueId' $TEXT $ONE $SYSTEM )
( 0.0.8.350.1.1.1.1.1 NAME 'commURI' $EXACT )
( 0.0.8.350.1.1.2.1.1 NAME 'commUniqueId' $IA5_PIECES )
( 0.0.8.350.1.1.2.1.2 NAME 'commOwner' $EXACT )
( 0.0.8.350.1.1.2.1.3 NAME 'commPrivate' ${SYNTAX}26 )
( 0.0.8.350.1.1.6.1.1 NAME 'SIPIdentitySIPURI' SUBSTR caseExactSubstringsMatch $EXACT )
( 0.0.8.350.1.1.6.1.2 NAME 'SIPIdentityRegistrarAddress' $IA5 )
( 0.0.8.350.1.1.6.1.3 NAME 'SIPIdentityProxyAddress' $IA5 )
( 0.0.8.350.1.1.6.1.4 NAME 'SIPIdentityAddress' $IA5 )
( 0.0.8.350.1.1.6.1.5 NAME 'SIPIdentityPassword' $OCTETS )
( 0.0.8.350.1.1.6.1.6 NAME 'SIPIdentityUserName' $TEXT )
( 0.0.8.350.1.1.6.1.7 NAME 'SIPIdentityServiceLevel' $IA5 )
( ${CEC}.1.1 NAME 'cecAccountCode' ${ORDERED}{128} $ONE )
( ${CEC}.1.2 NAME 'cecWorkNo' $INTEGER $ONE )
( ${CEC}.1.3 NAME 'cecSipServicePort' $INTEGER $ONE )
( ${AD}.4.2 NAME 'objectGUID' $OCTETS $ONE NO-USER-MODIFICATION )
( ${AD}.4.146 NAME 'objectSid' $OCTETS $ONE NO-USER-MODIFICATION )
( ${AD}.2.2 NAME 'whenCreated' $TIME $ONE NO-USER-MODIFICATION )
( ${AD}.2.3 NAME 'whenChanged' $TIME $ONE NO-USER-MODIFICATION )
( ${AD}.4.8 NAME 'userAccountControl' $INTEGER $ONE )
( ${AD}.4.221 NAME 'sAMAccountName' ${ORDERED}{256} $ONE )
( ${AD}.4.656 NAME 'userPrincipalName' ${ORDERED}{1024} $ONE )
( ${AD}.4.782 NAME 'objectCategory' $DN $ONE )
( ${AD}.2.102 NAME 'memberOf' $DN NO-USER-MODIFICATION )
( ${AD}.2.141 NAME 'department' ${ORDERED}{64} $ONE )
( ${AD}.2.146 NAME 'company' ${ORDERED}{64} $ONE )
( ${AD}.4.261 NAME 'division' ${ORDERED}{256} $ONE )
( ${AD}.2.210 NAME 'proxyAddresses' $ORDERED )
( ${AD}.4.35 NAME 'employeeID' ${ORDERED}{16} $ONE )
( ${AD}.2.18 NAME 'otherTelephone' ${ORDERED}{64} )
( ${AD}.4.721 NAME 'ipPhone' ${ORDERED}{64} $ONE )
( ${AD}.4.722 NAME 'otherIpPhone' $ORDERED )
"""
_NUMBERED = {
    **{f"extensionAttribute{number}": "${ORDERED}{1024}" for number in range(1, 16)},
    **{f"msDS-cloudExtensionAttribute{number}": "$ORDERED" for number in range(1, 21)},
}
"""Attributes of Active Directory with a number behind their names; they have one value."""
_CLASSES = """
( 2.5.6.0 NAME 'top' ABSTRACT MUST objectClass )
( 1.3.6.1.4.1.1466.101.120.111 NAME 'extensibleObject' SUP top AUXILIARY )
( 2.5.6.6 NAME 'person' SUP top STRUCTURAL MUST ( sn $$ cn ) MAY ( userPassword $$ telephoneNumber $$ seeAlso $$
  description ) )
( 2.5.6.7 NAME 'organizationalPerson' SUP person STRUCTURAL MAY ( title $$ facsimileTelephoneNumber $$ street $$
  postalCode $$ postalAddress $$ physicalDeliveryOfficeName $$ ou $$ st $$ l $$ x121Address ) )
( 2.16.840.1.113730.3.2.2 NAME 'inetOrgPerson' SUP organizationalPerson STRUCTURAL MAY ( businessCategory $$
  carLicense $$ departmentNumber $$ displayName $$ employeeNumber $$ employeeType $$ givenName $$ homePhone $$
  initials $$ jpegPhoto $$ labeledURI $$ mail $$ manager $$ mobile $$ o $$ pager $$ roomNumber $$ secretary $$ uid
  $$ userCertificate $$ userSMIMECertificate $$ x500UniqueIdentifier $$ preferredLanguage ) )
( 0.9.2342.19200300.100.4.5 NAME 'account' SUP top STRUCTURAL MUST uid MAY ( description $$ l $$ o $$ ou ) )
( 0.9.2342.19200300.100.4.19 NAME 'simpleSecurityObject' SUP top AUXILIARY MUST userPassword )
( 1.3.6.1.1.1.2.0 NAME 'posixAccount' SUP top AUXILIARY MUST ( cn $$ uid $$ uidNumber $$ gidNumber $$ homeDirectory
  ) MAY ( userPassword $$ loginShell $$ gecos $$ description ) )
( 2.5.6.4 NAME 'organization' SUP top STRUCTURAL MUST o MAY ( description $$ telephoneNumber $$ l $$ st ) )
( 2.5.6.5 NAME 'organizationalUnit' SUP top STRUCTURAL MUST ou MAY ( description $$ telephoneNumber $$ l $$ st ) )
( 1.3.6.1.4.1.1466.344 NAME 'dcObject' SUP top AUXILIARY MUST dc )
( 2.5.6.9 NAME 'groupOfNames' SUP top STRUCTURAL MUST ( member $$ cn ) MAY ( description $$ ou $$ o ) )
( 2.5.6.17 NAME 'groupOfUniqueNames' SUP top STRUCTURAL MUST ( uniqueMember $$ cn ) MAY ( description $$ ou $$ o ) )
( 0.0.8.350.1.1.1.2.1 NAME 'commURIObject' SUP top AUXILIARY MAY commURI )
( 0.0.8.350.1.1.2.2.1 NAME 'commObject' SUP top STRUCTURAL MUST commUniqueId MAY ( commOwner $$ commPrivate ) )
( 0.0.8.350.1.1.6.2.1 NAME 'SIPIdentity' SUP top AUXILIARY MAY ( SIPIdentitySIPURI $$ SIPIdentityRegistrarAddress $$
  SIPIdentityProxyAddress $$ SIPIdentityAddress $$ SIPIdentityPassword $$ SIPIdentityUserName $$
  SIPIdentityServiceLevel $$ userSMIMECertificate ) )
( ${CEC}.2.1 NAME 'cecAgent' SUP top AUXILIARY MAY ( cecAccountCode $$ cecWorkNo $$ cecSipServicePort ) )
( ${AD}.5.9 NAME 'user' SUP organizationalPerson STRUCTURAL MAY ( businessCategory $$ company $$ department $$
  departmentNumber $$ displayName $$ distinguishedName $$ division $$ employeeID $$ employeeNumber $$ employeeType
  $$ givenName $$ homePhone $$ initials $$ ipPhone $$ mail $$ manager $$ memberOf $$ mobile $$ o $$ objectCategory
  $$ objectGUID $$ objectSid $$ otherIpPhone $$ otherTelephone $$ pager $$ proxyAddresses $$ sAMAccountName $$ uid
  $$ uidNumber $$ gidNumber $$ userAccountControl $$ userPrincipalName $$ whenChanged $$ whenCreated $$ $NUMBERED )
  )
"""


def _read_definitions(text: str) -> tuple[str, ...]:
    """Definitions that each begin in the first column."""
    words = _WORDS | {"NUMBERED": " $ ".join(_NUMBERED)}
    whole = Template(text).substitute(words).strip().replace("\n  ", " ")
    return tuple(whole.split("\n"))


_NUMBERED_ATTRIBUTES = [
    f"( {name}-oid NAME '{name}' {what} $ONE )" for name, what in _NUMBERED.items()
]
ATTRIBUTES = _read_definitions("\n".join([_ATTRIBUTES.strip(), *_NUMBERED_ATTRIBUTES]))
OBJECT_CLASSES = _read_definitions(_CLASSES)


@cache
def known_schema() -> Schema:
    """The built-in schema; made once."""
    return Schema(ATTRIBUTES, OBJECT_CLASSES)
