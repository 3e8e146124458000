"""A body becomes a tenant: what is tolerated, what makes a record invalid, and what makes the whole body an error."""

from __future__ import annotations

import html
import json
import unicodedata
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from connector.errors import MalformedError
from connector.model import Agent, InvalidRecord, Secret, Tenant
from connector.sources import record_faults
from connector.sources.envelopes import WITHHELD
from connector.sources.file import FileSource
from connector.sources.records import decode_tenant

CANARY = "canary-9f2b7c"
GOOD = {"workNo": 1001, "accountCode": "11", "sipAccount": "1001", "sipPwd": "cti-1234"}


def body(*agents: Any, **members: Any) -> bytes:
    return json.dumps({"agents": agents, **members}, ensure_ascii=False).encode()


def read(*agents: Any, **members: Any) -> Tenant:
    return decode_tenant(body(*agents, **members), "answer")


def one_invalid(record: Any) -> InvalidRecord:
    tenant = read(GOOD, record, GOOD)
    assert len(tenant.agents) == 2
    (invalid,) = tenant.invalid
    assert invalid.record == 2
    return invalid


def refusal(text: bytes) -> str:
    with pytest.raises(MalformedError) as caught:
        decode_tenant(text, "answer")
    assert caught.value.where == "answer"
    assert chain(caught.value) == [caught.value]
    return caught.value.what


def chain(error: BaseException) -> list[BaseException]:
    links: list[BaseException] = []
    link: BaseException | None = error
    while link is not None:
        links.append(link)
        link = link.__cause__ or link.__context__
    return links


# ---------------------------------------------------------------- what is tolerated


def test_the_page_s_own_sample_is_read() -> None:
    tenant = read(GOOD, sipServiceIp="10.100.10.10", sipServicePort=1000)
    assert tenant == Tenant([Agent(1001, "11", "1001", Secret("cti-1234"))], [], "10.100.10.10", "1000", [])


def test_unknown_members_are_ignored_everywhere() -> None:
    tenant = read(GOOD | {"skills": [{"deep": [1, None]}], "mood": None}, region="eu", resultCode="0")
    assert tenant.agents == read(GOOD).agents
    assert tenant.invalid == []


def test_what_is_nested_and_unknown_is_ignored_up_to_512_levels() -> None:
    nested: list[Any] = []
    for _ in range(508):
        nested = [nested]
    tenant = read(GOOD | {"x": nested}, GOOD | {"workNo": "x", "y": nested}, nested)
    assert tenant.agents == read(GOOD).agents
    assert [each.why for each in tenant.invalid] == [
        "workNo is a string that is not a positive whole number",
        "the record is a list, not an object",
    ]


@pytest.mark.parametrize("absent", [None, ""])
@pytest.mark.parametrize(
    ("field", "name"), [("accountCode", "account_code"), ("sipAccount", "sip_account"), ("sipPwd", "sip_pwd")]
)
def test_null_and_empty_texts_count_as_absent(field: str, name: str, absent: str | None) -> None:
    without = {key: value for key, value in GOOD.items() if key != field}
    (agent,) = read(GOOD | {field: absent}).agents
    assert getattr(agent, name) is None
    assert [agent] == read(without).agents


@pytest.mark.parametrize(
    ("number", "meant"),
    [(7, 7), ("1001", 1001), ("007", 7), (10**18, 10**18), (10**40, 10**40), ("9" * 30, int("9" * 30))],
)
def test_a_work_number_is_a_positive_integer_or_digits_without_a_ceiling(number: object, meant: int) -> None:
    assert [agent.work_no for agent in read(GOOD | {"workNo": number}).agents] == [meant]


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("escaped", [True, False])
def test_text_beyond_ascii_is_kept_as_it_came(form: Any, escaped: bool) -> None:
    name = unicodedata.normalize(form, "Zoë.Ångström-東京-😀\u00a0x")
    text = json.dumps({"agents": [GOOD | {"accountCode": name}]}, ensure_ascii=escaped).encode()
    assert [agent.account_code for agent in decode_tenant(text, "answer").agents] == [name]


def test_an_account_or_a_number_of_spaces_alone_is_absent_and_a_password_is_not() -> None:
    blank = {"workNo": 1, "accountCode": "  ", "sipAccount": " ", "sipPwd": "   "}
    assert read(blank).agents == [Agent(1, None, None, Secret("   "))]
    escaped = body(blank | {"accountCode": "?", "sipAccount": "?"}).replace(b'"?"', rb'"\u0020"')
    assert decode_tenant(escaped, "answer").agents == [Agent(1, None, None, Secret("   "))]
    assert read(blank | {"accountCode": " a "}, {"workNo": 0}).agents == [Agent(1, " a ", None, Secret("   "))]


def test_quotes_and_backslashes_of_a_password_come_through() -> None:
    password = "a\"b\\n\\\\u0000/'{}"
    assert read(GOOD | {"sipPwd": password}).agents[0].sip_pwd == Secret(password)


def test_a_byte_order_mark_is_no_fault() -> None:
    assert decode_tenant(b"\xef\xbb\xbf" + body(GOOD), "answer").agents == read(GOOD).agents


def test_a_text_of_1024_characters_is_read_and_one_more_is_too_much() -> None:
    assert read(GOOD | {"accountCode": "é" * 1024}).agents[0].account_code == "é" * 1024
    assert "1025 characters" in one_invalid(GOOD | {"accountCode": "é" * 1025}).why


def test_an_empty_list_of_agents_is_a_tenant_of_size_0() -> None:
    assert read().size == 0


@pytest.mark.parametrize(
    ("port", "kept"), [(5060, "5060"), ("5060", "5060"), ("05060", "5060"), (1, "1"), (65535, "65535")]
)
def test_a_port_is_kept_as_decimal_text(port: object, kept: str) -> None:
    tenant = read(GOOD, sipServicePort=port)
    assert (tenant.sip_service_port, tenant.notes) == (kept, [])


@pytest.mark.parametrize("port", [0, -1, 65536, "0", "70000", "abc", "", None, True, 5060.0, [5060], "٥٠٦٠", "5060\n"])
def test_a_faulty_port_is_absent_and_noted_unless_it_is_simply_not_there(port: object) -> None:
    tenant = read(GOOD, sipServicePort=port)
    assert tenant.sip_service_port is None
    assert len(tenant.notes) == (0 if port in ("", None) else 1)
    assert len(tenant.agents) == 1


@pytest.mark.parametrize("ip", ["x" * 51, 10, {"v4": "10.0.0.1"}, "10.0.0.1 ", "a\u0000b", None, ""])
def test_a_faulty_address_is_absent_and_noted_unless_it_is_simply_not_there(ip: object) -> None:
    tenant = read(GOOD, sipServiceIp=ip)
    assert tenant.sip_service_ip is None
    assert len(tenant.notes) == (0 if ip in ("", None) else 1)


def test_an_address_of_50_characters_is_kept() -> None:
    assert read(GOOD, sipServiceIp="x" * 50).sip_service_ip == "x" * 50


def test_a_number_too_large_to_be_read_spoils_no_more_than_its_own_field() -> None:
    text = b'{"sipServicePort":1e999,"agents":[{"workNo":1e999},{"workNo":2}]}'
    tenant = decode_tenant(text, "answer")
    assert [agent.work_no for agent in tenant.agents] == [2]
    assert [invalid.record for invalid in tenant.invalid] == [1]
    assert tenant.sip_service_port is None
    assert len(tenant.notes) == 1


# ---------------------------------------------------------------- one record's faults


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"accountCode": "a"}, "workNo is missing"),
        ({"workNo": None}, "workNo is null, not a whole number"),
        ({"workNo": True}, "workNo is a boolean, not a whole number"),
        ({"workNo": 1001.0}, "workNo is a number with a fraction or an exponent, not a whole number"),
        ({"workNo": 0}, "workNo is not positive"),
        ({"workNo": -5}, "workNo is not positive"),
        ({"workNo": "0"}, "workNo is a string that is not a positive whole number"),
        ({"workNo": "12a"}, "workNo is a string that is not a positive whole number"),
        ({"workNo": " 12"}, "workNo is a string that is not a positive whole number"),
        ({"workNo": "12\n"}, "workNo is a string that is not a positive whole number"),
        ({"workNo": "١٢"}, "workNo is a string that is not a positive whole number"),
        ({"workNo": "9" * 1025}, "workNo is a string that is not a positive whole number"),
        ({"workNo": []}, "workNo is a list, not a whole number"),
        ({"workNo": 1, "accountCode": 5}, "accountCode is a number, not a string"),
        ({"workNo": 1, "sipAccount": {"a": 1}}, "sipAccount is an object, not a string"),
        ({"workNo": 1, "accountCode": "a\u0000b"}, "accountCode holds the control character U+0000 at character 2"),
        ({"workNo": 1, "accountCode": "ab\n"}, "accountCode holds the control character U+000A at character 3"),
        ({"workNo": 1, "sipAccount": "\u007f"}, "sipAccount holds the control character U+007F at character 1"),
        ({"workNo": 1, "accountCode": "a\u0085"}, "accountCode holds the control character U+0085 at character 2"),
        ({"workNo": 1, "accountCode": "a\u2028"}, "accountCode holds the separator U+2028 at character 2"),
        ({"workNo": 0, "accountCode": 5}, "workNo is not positive; accountCode is a number, not a string"),
        ("1001", "the record is a string, not an object"),
        (None, "the record is null, not an object"),
        ([1001, "a"], "the record is a list, not an object"),
    ],
)
@pytest.mark.parametrize("escaped", [True, False])
def test_a_record_that_does_not_fit_is_invalid_with_its_reason(record: Any, why: str, escaped: bool) -> None:
    tenant = decode_tenant(json.dumps({"agents": [GOOD, record, GOOD]}, ensure_ascii=escaped).encode(), "answer")
    assert tenant.agents == read(GOOD, GOOD).agents
    assert [(invalid.record, invalid.why) for invalid in tenant.invalid] == [(2, why)]


@pytest.mark.parametrize("half", [r"\ud800", r"\udc00", r"\ud800A", r"\ud83d😀", r"\ude00\ud83d"])
def test_half_a_surrogate_pair_makes_its_record_invalid_and_no_other(half: str) -> None:
    text = b'{"agents":[%b,{"workNo":2,"accountCode":"%b"},%b]}' % (
        json.dumps(GOOD | {"accountCode": "😀\\ud800"}).encode(),
        half.encode(),
        json.dumps(GOOD).encode(),
    )
    tenant = decode_tenant(text, "answer")
    assert [agent.account_code for agent in tenant.agents] == ["😀\\ud800", "11"]
    (invalid,) = tenant.invalid
    assert "accountCode holds half a surrogate pair" in invalid.why


def test_an_invalid_record_says_who_it_is_as_far_as_that_can_be_read() -> None:
    assert one_invalid({"workNo": "x", "accountCode": "joe"}).account_code == "joe"
    assert one_invalid({"workNo": "1001", "accountCode": 5}).work_no == 1001
    bad = one_invalid({"workNo": 7, "accountCode": "a\u0007"})
    assert (bad.work_no, bad.account_code) == (7, None)


@pytest.mark.parametrize(
    "password", [{"p": CANARY}, [CANARY], CANARY + "\u0007", CANARY + "\u0085", CANARY * 200, "\ud800" + CANARY]
)
def test_an_unreadable_password_is_named_and_never_shown(password: object) -> None:
    text = json.dumps({"agents": [{"workNo": 1, "sipPwd": password}]}).encode()
    tenant = decode_tenant(text, "answer")
    assert "sipPwd" in tenant.invalid[0].why
    assert CANARY not in repr(tenant)


def test_a_password_that_is_read_shows_in_no_repr() -> None:
    assert CANARY not in repr(read(GOOD | {"sipPwd": CANARY}))


def test_ten_thousand_bad_records_are_ten_thousand_lines_and_no_exception() -> None:
    bad = [{"workNo": -number} if number % 2 else number for number in range(10_000)]
    tenant = read(GOOD, *bad, GOOD)
    assert len(tenant.agents) == 2
    assert [invalid.record for invalid in tenant.invalid] == list(range(2, 10_002))


def test_one_bad_record_among_thousands_keeps_its_number_and_the_others_their_order() -> None:
    good = [GOOD | {"workNo": number} for number in range(1, 5001)]
    tenant = read(*good[:2500], {"workNo": None}, *good[2500:])
    assert [agent.work_no for agent in tenant.agents] == list(range(1, 5001))
    assert [invalid.record for invalid in tenant.invalid] == [2501]


texts = st.one_of(
    st.text(max_size=8),
    st.text('ab"\\/\u0000\n\u007f\u0085é\u2028\ufffe\ufffd😀', max_size=6),
    st.sampled_from(["a" * 1024, "a" * 1025]),
)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 10**20), st.floats(allow_nan=False, allow_infinity=False), texts
)
anything = st.one_of(scalars, st.lists(scalars, max_size=2), st.dictionaries(texts, scalars, max_size=2))
fields = st.fixed_dictionaries(
    {"workNo": st.one_of(st.integers(1, 10**6), st.from_regex(r"[0-9]{1,4}", fullmatch=True), anything)},
    optional={name: st.one_of(texts, anything) for name in ("accountCode", "sipAccount", "sipPwd", "extra")},
)


@given(st.lists(st.one_of(fields, anything), max_size=6), st.booleans())
def test_all_records_read_at_once_are_what_each_is_on_its_own(records: list[Any], escaped: bool) -> None:
    encoded = [json.dumps(record, ensure_ascii=escaped) for record in records]
    tenant = decode_tenant(f'{{"agents":[{",".join(encoded)}]}}'.encode(), "answer")
    alone = [record_faults.examine_record(msgspec.Raw(text.encode()), number) for number, text in enumerate(encoded, 1)]
    assert tenant.agents == [judged for judged in alone if isinstance(judged, Agent)]
    assert tenant.invalid == [judged for judged in alone if isinstance(judged, InvalidRecord)]


# ---------------------------------------------------------------- members that are there twice


def spelt(name: str, escaped: int) -> str:
    """The name in quotes, with some of its letters escaped (RFC 8259 §7)."""
    letters = (f"\\u{ord(c):04x}" if escaped >> place & 1 else c for place, c in enumerate(name))
    return f'"{"".join(letters)}"'


names = st.builds(spelt, st.sampled_from([*record_faults.FIELDS, "extra", ":"]), st.sampled_from([0, 0, 0, 1, 5, 255]))
held = st.sampled_from(["1", "2", '"7"', '"a:b"', '"\\":"', '"workNo"', "null", '""', '{"workNo":1}', '["a:b"]'])
members = st.builds("{}{}:{}".format, names, st.sampled_from(["", "", " ", "\n"]), held)
said = st.builds("{{{}}}".format, st.lists(members, min_size=1, max_size=6).map(",".join))


def twice(record: str) -> set[str]:
    """The members of a record that it says twice."""
    seen = [name for name, _ in json.loads(record, object_pairs_hook=list)]
    return {name for name in record_faults.FIELDS if seen.count(name) > 1}


@given(st.lists(st.one_of(said, st.just(json.dumps(GOOD))), min_size=1, max_size=5))
def test_a_record_that_says_a_member_twice_is_invalid_however_it_is_spelt_and_no_other(records: list[str]) -> None:
    tenant = decode_tenant(f'{{"agents":[{",".join(records)}],"sipServiceIp":"2001:db8::1"}}'.encode(), "answer")
    named = {invalid.record: invalid.why for invalid in tenant.invalid}
    for number, record in enumerate(records, 1):
        for name in record_faults.FIELDS:
            assert (f"{name} occurs twice" in named.get(number, "")) == (name in twice(record))
    alone = [record_faults.examine_record(msgspec.Raw(text.encode()), number) for number, text in enumerate(records, 1)]
    assert tenant.agents == [judged for judged in alone if isinstance(judged, Agent)]
    assert tenant.invalid == [judged for judged in alone if isinstance(judged, InvalidRecord)]


@pytest.mark.parametrize("name", ["agents", "sipServiceIp", "sipServicePort", "resultCode", "retCode"])
@pytest.mark.parametrize("escaped", [0, 1, 255])
@pytest.mark.parametrize("records", [[GOOD], [{"workNo": 1, "x": "a:b"}], [{"workNo": 0}], []])
def test_an_answer_that_says_a_member_twice_is_refused_however_it_is_spelt(
    name: str, escaped: int, records: list[Any]
) -> None:
    held = json.dumps(records) if name == "agents" else "0"
    text = f'{{"agents":{json.dumps(records)},{spelt(name, escaped)}:{held},{spelt(name, 0)} : {held}}}'
    assert refusal(text.encode()) == f"the answer has {name} twice"


def test_one_record_that_says_a_member_twice_among_thousands_is_one_line() -> None:
    good = [json.dumps(GOOD | {"workNo": number}) for number in range(1, 3001)]
    good[2500] = '{"workNo":7,"accountCode":"a","sipAccount":"1","\\u0073ipAccount":"2"}'
    tenant = decode_tenant(f'{{"agents":[{",".join(good)}]}}'.encode(), "answer")
    assert len(tenant.agents) == 2999
    assert [(each.record, each.why) for each in tenant.invalid] == [(2501, "sipAccount occurs twice")]


# ---------------------------------------------------------------- the body as a whole


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"", "not JSON but empty"),
        (b" \n ", "not JSON but empty"),
        (b"<!DOCTYPE html><html><title>Sign in</title>", "an HTML page"),
        (b"\n<HTML>", "an HTML page"),
        (b"<?xml version='1.0'?>", "XML or HTML"),
        (b"\x1f\x8b\x08\x00", "it looks like compressed data"),
        ("{}".encode("utf-16"), "it looks like UTF-16"),
        ("{}".encode("utf-16-le"), "UTF-16"),
        (b'{"agents":[{"workNo":1', "cut off after byte 22"),
        (b'{"agents":[{"workNo":1}', "cut off after byte 23"),
        (b'{"agents":\n[{"workNo":01}]}', "not JSON at byte 23 (line 2): invalid number"),
        (b'{"agents":[{"workNo":1},]}', "trailing comma"),
        (b'{"agents":[]} extra', "trailing characters"),
        (b'{"agents":[{"a":"x\x01y"}]}', "not JSON at byte 18"),
        (b'{"agents":[{"a":"\xff"}]}', "not UTF-8 at byte 17"),
        (b'\xef\xbb\xbf{"agents":[{"a":"\xff"}]}', "not UTF-8 at byte 20"),
        (
            b"[]",
            '{"agents": [{"workNo": 1001, "accountCode": "…"}, …]} (docs/job-file.md): Expected `object`, got `array`',
        ),
        (b'{"agent": []}', 'no `agents` in it. An answer is {"agents": [{"workNo": 1001, '),
        (b'"text"', "Expected `object`, got `str`"),
        (b"null", "Expected `object`, got `null`"),
        (b'{"agents":{"workNo":1}}', "Expected `array | null`, got `object` - at `$.agents`"),
        (b'{"agents":"none"}', "Expected `array | null`, got `str` - at `$.agents`"),
        (b"[" * 100_000, "Expected `object`, got `array`"),
        (b'{"agents":[' + b"[" * 100_000 + b"]" * 100_000 + b"]}", "nested too deeply"),
        (b'{"agents":[' + b"[" * 100_000, "nested too deeply"),
        (b'{"agents":[' + b"[" * 511 + b"]" * 511 + b"]}", "nested too deeply"),
        (b'{"agents":[],"x":' + b"[" * 512 + b"]" * 512 + b"}", "nested too deeply"),
        (b"{}", "no `agents` in it"),
        (b'{"agents":null}', "no `agents` in it"),
    ],
)
def test_a_body_that_is_no_answer_is_an_error_that_says_where_and_what_it_looks_like(text: bytes, why: str) -> None:
    assert why in refusal(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"agents":[{"workNo":1,"sipPwd":"%b","x":nul}]}',
        b'{"agents":[{"workNo":1,"sipPwd":"%b',
        b'{"agents":[{"workNo":1,"sipPwd":"%b\xff"}]}',
        b'{"agents":"%b"}',
        b'"%b"',
        b"<html>%b</html>",
        b"%b",
        b'{"agents":[{"workNo":1,"sipPwd":"%b"}],"agents":1}',
    ],
)
def test_an_error_about_a_body_repeats_nothing_of_it(text: bytes) -> None:
    assert CANARY not in refusal(text % CANARY.encode())


ENVELOPES = [
    ("resultCode", "resultMessage"),
    ("returnCode", "description"),
    ("retCode", "retMsg"),
    ("errorCode", "exceptionInfo"),
]


@pytest.mark.parametrize(("code", "text"), ENVELOPES)
@pytest.mark.parametrize("value", ["0", "0500", 500])
def test_an_envelope_in_place_of_agents_is_an_error_with_its_code_and_text(code: str, text: str, value: object) -> None:
    said = refusal(json.dumps({code: value, text: "tenant is\nlocked\u009b"}).encode())
    assert said == f"an error in place of agents: {code} {value}: tenant is\\nlocked\\x9b"


@pytest.mark.parametrize(("code", "text"), ENVELOPES)
def test_agents_together_with_an_error_are_a_partial_answer_and_so_an_error(code: str, text: str) -> None:
    assert f"{code} 17: page 2 failed" in refusal(body({"workNo": 1001}, **{code: "17", text: "page 2 failed"}))
    assert f"{code} 17: {WITHHELD}" in refusal(body(GOOD, **{code: "17", text: "page 2 failed"}))


@pytest.mark.parametrize(("code", "text"), ENVELOPES)
@pytest.mark.parametrize("success", ["0", 0, None])
def test_agents_in_an_envelope_of_success_are_fine(code: str, text: str, success: object) -> None:
    assert read(GOOD, **{code: success, text: "success"}).size == 1


@pytest.mark.parametrize("code", [False, True, "", "00", 0.5, [], {"a": 1}])
def test_a_code_that_is_not_plainly_success_is_an_error(code: object) -> None:
    assert "together with an error" in refusal(body(GOOD, resultCode=code))


def test_an_envelope_s_text_is_bounded_and_without_our_secrets() -> None:
    text = json.dumps({"resultCode": "1", "resultMessage": f"token {CANARY} is bad " + "x" * 5000}).encode()
    with pytest.raises(MalformedError) as caught:
        decode_tenant(text, "answer", hide=["canary", CANARY])
    assert "token <secret> is bad xxx" in caught.value.what
    assert len(caught.value.what) < 300


@pytest.mark.parametrize("password", [CANARY, f"{CANARY}<&>", f'a"{CANARY}\\', f"\u00e9{CANARY}", 908172])
def test_an_envelope_s_text_repeats_no_password_of_the_same_answer(password: str | int) -> None:
    """Whole or not, in the spelling of the record or as text for a page."""
    told = [str(password), json.dumps(password), str(password).upper(), html.escape(str(password))]
    for said in told:
        text = body(GOOD | {"sipPwd": password}, {"workNo": 0, "x": 1}, resultCode="7", resultMessage=f"{said} weak")
        shown = [refusal(text), refusal(text.replace(b'"agents"', b'"data"'))]
        assert [each for each in shown if CANARY in each.lower() or "908172" in each or WITHHELD not in each] == []


@pytest.mark.parametrize(
    "member",
    [
        rb'"sip\u0050wd": "CANARY"', rb'"sipPwd": ["x", "CANARY"]', rb'"passwords": {"old": {"is": ["CANARY"]}}',
        rb'"sipPwd": "CANARY", "sipPwd": 1', rb'"sip\u0050\u0077d": "CANARY", "sip\u0050wd": 1',
        rb'"PASSWORD": {"1": "CANARY"}', b'"x": ' + b"9" * 5000 + rb', "sip\u0050wd": "CANARY"',
    ],
)  # fmt: skip
def test_nor_one_whose_member_is_spelt_with_escapes_or_holds_more_than_a_text(member: bytes) -> None:
    agents = b'"agents": [{"workNo": 1001, "accountCode": "a", %b}]' % member.replace(b"CANARY", CANARY.encode())
    for name in (b'"agents"', b'"data"'):
        text = b'{"resultCode": "7", "resultMessage": "%b weak", %b}' % (CANARY.encode(), agents)
        assert f"resultCode 7: {WITHHELD}" in refusal(text.replace(b'"agents"', name))


def test_a_password_of_one_digit_stays_in_the_code_of_the_result() -> None:
    assert "resultCode 17: " in refusal(body(GOOD | {"sipPwd": "1"}, resultCode="17", resultMessage="bad value"))


@pytest.mark.timeout(20)
def test_a_long_string_of_what_passwords_are_called_is_searched_in_one_pass() -> None:
    assert "boom" in refusal(body({"workNo": 1}, resultCode="7", resultMessage="boom", note="pwd" * 200_000))


def test_a_small_file_is_read_in_small_whatever_the_bound(tmp_path: Path) -> None:
    path = tmp_path / "agents.json"
    path.write_text('{"agents": [{"workNo": 1}]}')
    assert FileSource(path, 1 << 60).read().size == 1


@pytest.mark.parametrize("more", [[], [{"workNo": "x"}], [GOOD | {"workNo": 7, "sipAccount": "\u0001"}]])
def test_passwords_that_nothing_is_made_of_are_held_to_their_shape_and_forgotten(more: list[Any]) -> None:
    records = [GOOD, GOOD | {"sipPwd": 7}, GOOD | {"sipPwd": None}, *more]
    with_them = decode_tenant(body(*records), "answer")
    without = decode_tenant(body(*records), "answer", passwords=False)
    assert any(agent.sip_pwd for agent in with_them.agents)
    assert without.agents == [replace(agent, sip_pwd=None) for agent in with_them.agents]
    assert without.invalid == with_them.invalid != []
    assert decode_tenant(body(GOOD), "answer", passwords=False).agents[0].sip_pwd is None
