"""Mapping files: what they become, what they may not say, and the ready ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from connector.errors import FileError
from connector.model import Agent, Secret, Tenant
from connector.model.mapping import AttributeRule, Grace, Mapping, Stale
from connector.model.templates import TRANSFORMS
from connector.settings import mapping_file as mappings
from connector.settings.attribute_names import fault_of_name, why_not_matched, why_not_written

MATCH = 'match:\n  - {agent: "{accountCode}", directory: uid}\n'
ATTRIBUTES = 'attributes:\n  employeeNumber: "{workNo}"\n'


def loaded(folder: Path, text: str) -> Mapping:
    (folder / "own.yaml").write_text(text)
    return mappings.load_mapping("own.yaml", folder / "job.yaml")


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        loaded(folder, text)
    return str(caught.value).replace(f"{folder}/own.yaml:", "").splitlines()


def test_the_mapping_of_the_design_is_read(tmp_path: Path) -> None:
    mapping = loaded(
        tmp_path,
        """\
match:
  - {agent: "{accountCode}", directory: uid}
  - {agent: "{accountCode|lower}@example.org", directory: mail}
attributes:
  cecAccountCode: "{accountCode}"
  employeeNumber: {value: "{workNo}", unique: true}
  SIPIdentityUserName: {value: "{sipAccount}", owns: "*"}
  SIPIdentitySIPURI: {value: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}", owns: "sip:*"}
  SIPIdentityPassword: {value: "{sipPwd}", owns: "*", secret: true, when_absent: keep}
when_absent: clear
object_classes: [cecAgent, SIPIdentity]
stale: clear
""",
    )
    tenant = Tenant([], sip_service_ip="192.0.2.10", sip_service_port="5060")
    agent = Agent(1001, "Ada_11", "1001", Secret("cti-1234"))
    assert [(rule.agent.bind(tenant)(agent), rule.directory) for rule in mapping.match] == [
        ("Ada_11", "uid"),
        ("ada_11@example.org", "mail"),
    ]
    assert {rule.name: rule.value.bind(tenant)(agent) for rule in mapping.attributes} == {
        "cecAccountCode": "Ada_11",
        "employeeNumber": "1001",
        "SIPIdentityUserName": "1001",
        "SIPIdentitySIPURI": "sip:1001@192.0.2.10:5060",
        "SIPIdentityPassword": Secret("cti-1234"),
    }
    template = mapping.attributes[4].value
    assert mapping.attributes[4] == AttributeRule("SIPIdentityPassword", template, "*", secret=True, line=9)
    assert [rule.when_absent for rule in mapping.attributes] == ["clear"] * 4 + ["keep"]
    assert [rule.unique for rule in mapping.attributes] == [False, True, False, False, False]
    assert (mapping.object_classes, mapping.stale) == (("cecAgent", "SIPIdentity"), "clear")
    assert mapping.where == f"{tmp_path}/own.yaml"


@pytest.mark.parametrize("said", ["true", "no", "5", "[b]", "Seat", "'false'"])
def test_a_group_has_a_plain_name(tmp_path: Path, said: str) -> None:
    text = MATCH + f'attributes:\n  a: {{value: "{{workNo}}", together: {said}}}\n'
    why = "must be false, or the name of a group (small letters, digits, - and _), such as sip"
    assert faults(tmp_path, text) == [f"4: attributes.a.together: {why}"]


def test_attributes_of_a_sip_field_are_a_group_and_others_are_named(tmp_path: Path) -> None:
    mapping = loaded(
        tmp_path,
        MATCH
        + """\
attributes:
  number: {value: "{sipAccount}"}
  seat: {value: "{workNo}", together: desk}
  address: "sip:{sipAccount}@{sipServiceIp}:{sipServicePort}"
  room: {value: "{accountCode}", together: desk}
  secret: {value: "{sipPwd}", secret: true, together: false}
  port: "{sipServicePort|default:5060}"
  badge: {value: "{workNo}", together: sip}
  alone: "{workNo}"
  other: {value: "{sipAccount}", together: desk}
""",
    )
    assert mapping.groups == (("number", "address", "port", "badge"), ("seat", "room", "other"))


@pytest.mark.parametrize(
    ("name", "group"),
    [
        ("openldap-h350", 5), ("389ds", 5), ("active-directory", 2), ("inetorgperson", 0), ("ldif", 4),
        ("scim-extension", 4), ("scim-enterprise", 2),
    ],
)  # fmt: skip
def test_ready_mappings_have_one_group_at_most(tmp_path: Path, name: str, group: int) -> None:
    groups = mappings.load_mapping(name, tmp_path / "job.yaml").groups
    assert [len(each) for each in groups] == ([group] if group else [])


def test_what_is_not_said_is_the_careful_thing(tmp_path: Path) -> None:
    mapping = loaded(tmp_path, MATCH + ATTRIBUTES)
    assert (mapping.stale, mapping.object_classes) == ("report", ())
    (rule,) = mapping.attributes
    assert (rule.owns, rule.unique, rule.secret, rule.when_absent) == (None, False, False, "keep")


@pytest.mark.parametrize(
    ("text", "unclaimed", "disabled"),
    [
        ("clear", "clear", "report"),
        ("{unclaimed: clear, disabled: clear}", "clear", "clear"),
        ("{disabled: clear}", "report", "clear"),
        ("{unclaimed: clear}", "clear", "report"),
        ("{clear_after: 3 runs, disabled: clear}", Grace(3, "runs"), "clear"),
        ("{clear_after: 1 day}", Grace(1, "days"), "report"),
    ],
)
def test_stale_says_what_becomes_of_disabled_users(tmp_path: Path, text: str, unclaimed: Stale, disabled: str) -> None:
    mapping = loaded(tmp_path, MATCH + ATTRIBUTES + f"stale: {text}\n")
    assert (mapping.stale, mapping.disabled, mapping.view().disabled) == (unclaimed, disabled, disabled == "clear")


BRACES = "put a text with braces in quotes"
PROVES = "it holds the user's credentials for the directory itself"
QUOTES = 'put the template in quotes: "{…}"'
TEXT = 'must be a template in quotes, such as "{accountCode}"'
FIELDS = (
    "there are workNo, accountCode, sipAccount, sipPwd, email, phone, userName, agentType, sipServiceIp, sipServicePort"
)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # shape
        (MATCH, ["1: attributes: is missing"]),
        ("match: []\nattributes: {}\n", ["1: match: must not be empty", "2: attributes: must not be empty"]),
        (MATCH + ATTRIBUTES + "adopt: true\n",
         ["5: adopt: unknown key; there are match, attributes, when_absent, object_classes, stale"]),
        (MATCH + ATTRIBUTES + "stale: {clear_after: 3 weeks}\n",
         ["5: stale.clear_after: must be a number of runs or of days, such as 3 runs or 7 days"]),
        (MATCH + ATTRIBUTES + "stale: {clear_after: 0 runs}\n",
         ["5: stale.clear_after: must be a number of runs or of days, such as 3 runs or 7 days"]),
        (MATCH + ATTRIBUTES + "stale: {clear_after: }\n",
         ["5: stale.clear_after: must be a number of runs or of days, such as 3 runs or 7 days"]),
        (MATCH + ATTRIBUTES + "stale: {}\n",
         ["5: stale: must be one of report, clear, {clear_after: 3 runs}, {unclaimed: clear, disabled: clear}"]),
        (MATCH + ATTRIBUTES + "stale: {after: 3 runs}\n",
         ["5: stale.after: unknown key; did you mean clear_after?"]),
        (MATCH + ATTRIBUTES + "stale: {disabled: keep}\n", ["5: stale.disabled: 'keep' is none of report, clear"]),
        (MATCH + ATTRIBUTES + "stale: {unclaimed: clear, clear_after: 3 runs}\n",
         ["5: stale: give either clear_after or unclaimed, not both"]),
        (MATCH + ATTRIBUTES + "stale: keep\n",
         ["5: stale: 'keep' is none of report, clear, {clear_after: 3 runs}, {unclaimed: clear, disabled: clear}"]),
        (MATCH + ATTRIBUTES + "when_absent: no\n", ["5: when_absent: 'no' is none of keep, clear"]),
        (MATCH + ATTRIBUTES + "object_classes: cecAgent\n", ["5: object_classes: must be a list"]),
        (MATCH + ATTRIBUTES + "object_classes: [a b]\n", ["5: object_classes[1]: this is no object class's name"]),
        (MATCH + 'attributes:\n  a: {value: "{workNo}", uniqe: true}\n',
         ["4: attributes.a.uniqe: unknown key; did you mean unique?"]),
        (MATCH + 'attributes:\n  a: {value: "{workNo}", sealed: true}\n',
         [("4: attributes.a.sealed: unknown key; there are value, owns, unique, secret, when_absent, adopt, take_over, "
          "together")]),
        (MATCH + "attributes:\n  a: {unique: true}\n", ["4: attributes.a.value: is missing"]),
        ("match:\n  uid: x\n" + ATTRIBUTES, ["1: match: must be a list"]),
        ("match:\n  - uid\n" + ATTRIBUTES, ["2: match[1]: must be keys and values"]),
        ("match:\n  - directory:uid\n" + ATTRIBUTES,
         ["2: match[1]: must be keys and values; a space is missing after the colon; write `key: value`"]),
        # groups
        (MATCH + 'attributes:\n  a: {value: "{workNo}", together: seat}\n  b: {value: "{workNo}", together: sip}\n',
         ["4: attributes.a.together: no other attribute is of the group seat",
          "5: attributes.b.together: no other attribute is of the group sip"]),
        # templates
        (MATCH + "attributes:\n  a: {workNo}\n", [f"4: attributes.a: {QUOTES}"]),
        (MATCH + "attributes:\n  a: {workNo|pad:6}\n", [f"4: attributes.a: {QUOTES}"]),
        (MATCH + "attributes:\n  a:\n    value: {workNo}\n", [f"5: attributes.a.value: {QUOTES}"]),
        ("match:\n  - agent: {accountCode}\n    directory: uid\n" + ATTRIBUTES, [f"2: match[1].agent: {QUOTES}"]),
        (MATCH + "attributes:\n  a: {workNo}@x\n",
         ["4:14: text follows a closing brace; " + BRACES]),
        (MATCH + "attributes:\n  a: 5\n", [f"4: attributes.a: {TEXT}"]),
        (MATCH + "attributes:\n  a:\n", [f"4: attributes.a: {TEXT}"]),
        (MATCH + 'attributes:\n  a: ""\n', ["4: attributes.a: an empty template"]),
        (MATCH + 'attributes:\n  a: "{workno}"\n',
         [f"4: attributes.a: no field 'workno' (did you mean workNo?); {FIELDS}"]),
        (MATCH + 'attributes:\n  a: "{workNo"\n', ["4: attributes.a: an unclosed brace at character 1"]),
        (MATCH + 'attributes:\n  a: {value: "{workNo|pad}"}\n',
         ["4: attributes.a.value: pad takes 1 argument(s), not 0"]),
        (MATCH + 'attributes:\n  a: "{workNo|eval}"\n',
         [f"4: attributes.a: no transform 'eval'; there are {', '.join(TRANSFORMS)}"]),
        # match rules
        ('match:\n  - {agent: "{sipPwd}", directory: uid}\n' + ATTRIBUTES,
         ["2: match[1].agent: agents cannot be matched by a secret"]),
        ('match:\n  - {agent: "{sipServiceIp}", directory: uid}\n' + ATTRIBUTES,
         ["2: match[1].agent: has no field of the agent, so it is the same for all agents. Add a field"]),
        ('match:\n  - {agent: "{workNo}", directory: "@id"}\n' + ATTRIBUTES,
         ["2: match[1].directory: is no attribute name"]),
        ('match:\n  - {agent: "{workNo}", directory: userPassword}\n' + ATTRIBUTES,
         ["2: match[1].directory: agents cannot be matched by userPassword: " + PROVES]),
        ('match:\n  - {agent: "{workNo}", directory: p}\nattributes:\n  p: {value: "{sipPwd}", secret: true}\n',
         ["2: match[1].directory: p holds secrets"]),
        # secrets
        (MATCH + 'attributes:\n  a: "x{sipPwd}"\n',
         ["4: attributes.a.value: writes a secret: set secret: true"]),
        (MATCH + 'attributes:\n  a:\n    secret: false\n    value: "{sipPwd}"\n',
         ["6: attributes.a.value: writes a secret: set secret: true"]),
        # names
        (MATCH + ATTRIBUTES + '  employeeNumber: "x"\n',
         ["5:3: the key 'employeeNumber' is there twice, first on line 4"]),
        (MATCH + ATTRIBUTES + '  EmployeeNumber: "x"\n',
         ["5: EmployeeNumber: line 4 spells it employeeNumber. Keep one spelling"]),
        ('match:\n  - {agent: "{workNo}", directory: employeenumber}\n' + ATTRIBUTES,
         ["2: employeenumber: line 4 spells it employeeNumber. Keep one spelling"]),
        ('match:\n  - {agent: "{workNo}", directory: UID}\n  - {agent: "{accountCode}", directory: uid}\n' + ATTRIBUTES,
         ["3: uid: line 2 spells it UID. Keep one spelling"]),
        (MATCH + 'attributes:\n  "a b": "x"\n', ["4: attributes.a b: is no attribute name"]),
        (MATCH + 'attributes:\n  2.5.4.35: "x"\n',
         ["4: attributes.2.5.4.35: write the attribute's name, not its number"]),
        (MATCH + 'attributes:\n  objectclass: "x"\n',
         ["4: attributes.objectclass: is not written: list classes to add under object_classes"]),
        # owns
        (MATCH + 'attributes:\n  a: {value: "tel:{workNo}", owns: "sip:*"}\n',
         ["4: attributes.a.owns: 'sip:*' does not cover what value writes. Widen `owns`"]),
        (MATCH + 'attributes:\n  a: {value: "{workNo} desk", owns: "* phone"}\n',
         ["4: attributes.a.owns: '* phone' does not cover what value writes. Widen `owns`"]),
        (MATCH + 'attributes:\n  a: {value: "{workNo}", owns: ""}\n', ["4: attributes.a.owns: must not be empty"]),
    ],
)  # fmt: skip
def test_a_mistake_is_said_on_its_line(tmp_path: Path, text: str, expected: list[str]) -> None:
    assert faults(tmp_path, text) == expected


@pytest.mark.parametrize(
    ("value", "owns"),
    [
        ("sip:{sipAccount}", "sip:*"),
        ("SIP:{sipAccount}", "sip:*"),
        ("{sipAccount}@{sipServiceIp}", "sip:*"),
        ("sip:{sipAccount} desk", "sip:* desk"),
        ("s{sipAccount}", "sip:*"),
        ("{workNo}", "*"),
        ("fixed", "fixed"),
    ],
)
def test_a_pattern_that_may_cover_the_values_is_taken(tmp_path: Path, value: str, owns: str) -> None:
    mapping = loaded(tmp_path, MATCH + f'attributes:\n  a: {{value: "{value}", owns: "{owns}"}}\n')
    assert mapping.attributes[0].owns == owns


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    said = faults(
        tmp_path,
        'match:\n  - {agent: "{x}", directory: userPassword}\nattributes:\n  cn: "{y}"\n  A: "{sipPwd}"\n  a: "z"\n'
        "stale: never\n",
    )
    assert [line.split(": ")[:2] for line in said] == [
        ["2", "match[1].agent"],
        ["2", "match[1].directory"],
        ["4", "attributes.cn"],
        ["4", "attributes.cn"],
        ["5", "attributes.A.value"],
        ["7", "stale"],
    ]


@pytest.mark.parametrize(
    "name",
    [
        "cn", "CN", "commonName", "uid", "userid", "ou", "o", "c", "dc", "cn;lang-de", "distinguishedName", "userName",
        "id", "urn:ietf:params:scim:schemas:core:2.0:User:userName", "URN:ietf:params:scim:schemas:core:2.0:user:ID",
        "objectClass", "schemas", "userPassword", "userpassword;x-a", "unicodePwd", "authPassword", "krbPrincipalKey",
        "sambaNTPassword", "sambaLMPassword", "password", "urn:ietf:params:scim:schemas:core:2.0:User:password",
        "userAccountControl", "active", "member", "memberOf", "uniqueMember", "memberUid", "roleOccupant", "groups",
        "groups.value", 'groups[value eq "x"].display', "roles", "entitlements", "entryUUID", "objectGUID",
        "createTimestamp", "meta.created", "pwdLastSet", "sAMAccountName", "servicePrincipalName", "sIDHistory",
        "scriptPath", "msNPAllowDialin", "msDS-SupportedEncryptionTypes", "loginShell", "uidNumber", "sambaSID",
        "ACI", "OpenLDAPaci", "sudoUser", "sudoRunAsUser;x-a", "SUDOHOST", "pwdPolicySubentry", "pwdReset",
        "krbPrincipalAuthInd", "krbTicketFlags;x", "sshPublicKey", "memberuid;x-foo", "nsRoleDN", "nsAccountLock",
        "uidNumber;x-foo", "loginshell", "homeDirectory", "gidNumber", "sambaNewAttribute", "shadowMax", "olcRootPW",
        "nsSizeLimit", "urn:example:params:scim:schemas:posix:2.0:User:uidNumber",
        "urn:example:params:scim:schemas:x:1.0:User:sudoUser",
        'urn:example:params:scim:schemas:x:1.0:User:memberOf[value eq "x"].value',
        "nTSecurityDescriptor", "msDS-AllowedToDelegateTo", "userParameters", "sAMAccountType",
        "authzTo", "AUTHZFROM", "saslAuthzTo;x-a", "saslAuthzFrom", "isMemberOf", "ipaNTSecurityIdentifier",
        "ipaSshPubKey", "passwordHistory", "passwordRetryCount", "inetUserStatus", "ipaUserAuthType", "host",
        "authorizedService",
    ],
)  # fmt: skip
def test_an_attribute_that_is_not_ours_to_write_is_refused_with_a_reason(name: str) -> None:
    assert fault_of_name(name) is None
    why = why_not_written(name)
    assert why is not None
    assert len(why) > 20


@pytest.mark.parametrize(
    "name",
    [
        "employeeNumber", "cecWorkNo", "SIPIdentitySIPURI", "telephoneNumber;x-cec", "msDS-cloudExtensionAttribute1",
        "ipPhone", "l", "st", "sn", "description", "mail", "title", "externalId", "name.familyName",
        'emails[type eq "work"].value', 'phoneNumbers[type eq "work" and primary eq true].value', "x_custom",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber",
        "urn:example:params:scim:schemas:cec:1.0:User:workNo", "urn:example:params:scim:schemas:cec:1.0:User:password",
    ],
)  # fmt: skip
def test_an_attribute_that_may_be_written_is_taken(tmp_path: Path, name: str) -> None:
    assert why_not_written(name) is None
    mapping = loaded(tmp_path, MATCH + f"attributes:\n  '{name}': \"{{workNo}}\"\n")
    assert [rule.name for rule in mapping.attributes] == [name]


@pytest.mark.parametrize("name", ["", " ", "a b", "1a", "a;", "a;;b", "a=b", "a)(b", "a*", "a.b.c", "a[", "a[]", "-a",
                                  "urn:x", "a[x\ny]", "ü", "a" * 300, "a[b[c]]", "a\\2a"])  # fmt: skip
def test_what_is_no_attributes_name_is_refused(name: str) -> None:
    assert fault_of_name(name) is not None


def test_agents_may_be_matched_by_names_but_not_by_passwords() -> None:
    assert [why_not_matched(name) for name in ("uid", "cn", "userName", "id", "memberOf", "mail")] == [None] * 6
    assert all(why_not_matched(name) for name in ("userPassword", "unicodepwd", "password", "sshPublicKey;x"))


@pytest.mark.parametrize(
    "name", ["openldap-h350", "389ds", "active-directory", "inetorgperson", "ldif", "scim-extension", "scim-enterprise"]
)
def test_a_ready_mapping_is_found_by_its_name_and_never_matches_by_seat(tmp_path: Path, name: str) -> None:
    mapping = mappings.load_mapping(name, tmp_path / "job.yaml")
    assert Path(mapping.where).name == f"{name}.yaml"
    assert mapping.match
    assert all(rule.agent.fields == {"accountCode"} for rule in mapping.match)
    assert (mapping.stale, {rule.when_absent for rule in mapping.attributes}) == ("report", {"keep"})


URI, PORT = "sip:1001@192.0.2.10", "5060"
EXTENSION = "urn:ietf:params:scim:schemas:extension:cec:2.0:User"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, {"SIPIdentityUserName": ["1001"], "SIPIdentityRegistrarAddress": ["192.0.2.10"],
                  "SIPIdentitySIPURI": [URI], "cecSipServicePort": [PORT]})
          for name in ("openldap-h350", "389ds", "ldif")),
        ("active-directory", {"ipPhone": ["1001"], "otherIpPhone": [URI, f"{URI}:{PORT}"]}),
        ("inetorgperson", {"labeledURI": [f"{URI} CEC softphone", f"{URI}:{PORT} CEC softphone"]}),
        ("scim-enterprise", {
            'phoneNumbers[type eq "other" and display eq "CEC softphone"].value': ["1001"],
            'ims[type eq "sip"].value': [URI, f"{URI}:{PORT}"],
        }),
        ("scim-extension", {
            f"{EXTENSION}:sipAccount": ["1001"], f"{EXTENSION}:sipServiceIp": ["192.0.2.10"],
            f"{EXTENSION}:sipServicePort": [PORT],
        }),
    ],
)  # fmt: skip
def test_ready_mappings_write_an_address_of_record_and_the_port_somewhere(
    tmp_path: Path, name: str, expected: dict[str, list[str]]
) -> None:
    """RFC 3944 §5: a URI without a port is what registrars look up. One user at a time has the account."""
    mapping = mappings.load_mapping(name, tmp_path / "job.yaml")
    agent, tenant = Agent(7, "ada", "1001"), Tenant([], sip_service_ip="192.0.2.10", sip_service_port=PORT)
    sip = [rule for rule in mapping.attributes if rule.group == "sip" and not rule.secret]
    assert {rule.name: [each.bind(tenant)(agent) for each in rule.templates] for rule in sip} == expected
    (account,) = [rule for rule in sip if rule.unique]
    assert account.name == next(iter(expected))
    sixth = Tenant([], sip_service_ip="2001:db8::1")
    addresses = [each.bind(sixth)(agent) for rule in sip for each in rule.templates if each.text.startswith("sip:")]
    assert {value for value in addresses if value} <= {
        f"sip:1001@[2001:db8::1]{label}" for label in ("", " CEC softphone")
    }


def test_only_the_mapping_that_says_so_writes_passwords(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    names = ("openldap-h350", "389ds", "active-directory", "inetorgperson", "ldif")
    secret = {name: mappings.load_mapping(name, job).view().secrets for name in names}
    hidden = {"SIPIdentityPassword"}
    assert secret == {
        "openldap-h350": hidden,
        "389ds": hidden,
        "active-directory": set(),
        "inetorgperson": set(),
        "ldif": set(),
    }


def test_a_mapping_that_is_not_there_is_said(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    with pytest.raises(FileError) as ready:
        mappings.load_mapping("inetperson", job)
    assert str(ready.value) == (
        f"{job}: no ready mapping is called 'inetperson' (did you mean inetorgperson?); there are 389ds, "
        "active-directory, inetorgperson, ldif, "
        "openldap-h350, scim-enterprise, scim-extension (a path ends in .yaml)"
    )
    with pytest.raises(FileError) as named:
        mappings.load_mapping("maps/own.yml", job)
    assert str(named.value) == f"{job}: there is no file {tmp_path}/maps/own.yml"
    with pytest.raises(FileError, match=r"job\.yaml: .*File name too long"):
        mappings.load_mapping("x" * 300 + ".yaml", job)


def test_a_ready_mapping_is_found_inside_an_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "connector" / "mappings"
    inside.mkdir(parents=True)
    (inside / "only.yaml").write_text(MATCH + ATTRIBUTES)
    monkeypatch.setattr(mappings, "READY", (inside, tmp_path / "mappings"))
    assert mappings.load_mapping("only", tmp_path / "job.yaml").where == str(inside / "only.yaml")
    with pytest.raises(FileError, match="there are only"):
        mappings.load_mapping("ldif", tmp_path / "job.yaml")


def read_or_refused(path: Path) -> Mapping | FileError:
    try:
        return mappings.load_mapping(path.name, path.parent / "job.yaml")
    except FileError as fault:
        return fault


WORDS = st.sampled_from(
    ["{workNo}", "{sipPwd}", "x", "uid", "cn", "", "*", "keep", "clear", "{", "a[b].c", "{workNo|x}"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["agent", "directory", "value", "owns", "secret", "unique", "mail", "Mail"])
            | st.text(max_size=5),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(["match", "attributes", "when_absent", "stale", "object_classes"]), VALUES, max_size=5
    )
)
def test_any_mapping_is_read_or_refused_with_its_lines(
    tmp_path_factory: pytest.TempPathFactory, data: dict[str, Any]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any-mapping.yaml"
    path.write_text(json.dumps(data, indent=1))
    mapping = read_or_refused(path)
    if isinstance(mapping, FileError):
        assert all(line.startswith(f"{path}:") for line in str(mapping).splitlines())
        str(mapping).encode()
    else:
        assert all(rule.secret or not rule.value.secret for rule in mapping.attributes)


@given(st.text(max_size=300))
def test_any_text_as_a_mapping_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any-text-mapping.yaml"
    path.write_bytes((MATCH + ATTRIBUTES + "  description: " + text).encode("utf-8", "replace"))
    mapping = read_or_refused(path)
    assert isinstance(mapping, Mapping) or mapping.where.startswith(f"{path}:")
