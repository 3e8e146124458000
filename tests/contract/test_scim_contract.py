"""The contract's suite speaks in DNs and object classes; that of SCIM has to say no less, sentence by sentence."""

from __future__ import annotations

import re
from pathlib import Path

IN_OTHER_WORDS = (
    (
        "a_hostile_name_is_found_by_name_by_id_and_by_its_attribute",
        "a_hostile_value_finds_its_holder_by_value_by_name_and_by_id",
    ),
    ("a_hostile_value_finds_its_holder_and_nobody_else", "a_hostile_value_finds_its_holder_by_value_by_name_and_by_id"),
    ("a_key_that_cannot_be_finds_nobody_and_hides_nobody", "keys_that_nobody_can_hold_hide_nobody"),
    ("a_name_is_found_however_it_is_spelt", "whoever_holds_a_value_is_found_whatever_the_server_makes_of_its_filters"),
    (
        "find_goes_by_the_equality_rule_of_the_attribute",
        "whoever_holds_a_value_is_found_whatever_the_server_makes_of_its_filters",
    ),
    (
        "a_secret_whose_old_value_could_not_be_seen_is_set",
        "values_are_set_where_there_were_none_and_nothing_else_changes",
    ),
    (
        "a_user_that_is_gone_or_another_by_now_is_a_conflict",
        "whoever_is_gone_and_came_back_as_another_is_neither_read_nor_written",
    ),
    ("a_user_that_left_the_filter_is_a_conflict", "a_user_that_is_gone_or_left_the_filter_is_a_conflict"),
    ("a_value_is_cleared", "all_that_was_set_can_be_cleared_again"),
    ("a_value_is_replaced", "a_value_is_replaced_and_another_is_cleared"),
    (
        "a_value_is_set_where_there_was_none_and_nothing_else_changes",
        "values_are_set_where_there_were_none_and_nothing_else_changes",
    ),
    (
        "a_value_that_came_to_ours_is_a_conflict_or_stays_beside_what_was_planned",
        "values_that_came_to_ours_are_a_conflict",
    ),
    (
        "nothing_outside_base_and_filter_exists_whichever_way_it_is_asked_for",
        "nobody_outside_of_the_filter_exists_whichever_way_he_is_asked_for",
    ),
    (
        "octets_arrive_as_they_are_and_no_outcome_shows_a_secret",
        "values_are_set_where_there_were_none_and_nothing_else_changes",
    ),
    ("old_values_are_compared_by_the_attributes_rule", "a_value_is_replaced_and_another_is_cleared"),
    (
        "only_values_that_are_ours_are_taken_out_or_added",
        "single_values_of_several_are_written_and_their_neighbours_stay",
    ),
    ("read_brings_users_as_they_are_now", "read_brings_users_as_they_are_now_and_leaves_out_who_is_gone"),
    (
        "read_leaves_out_who_is_gone_and_who_has_become_another_entry",
        "whoever_is_gone_and_came_back_as_another_is_neither_read_nor_written",
    ),
    ("secrets_arrive_wrapped", "secrets_that_are_shown_arrive_wrapped"),
    (
        "what_others_change_elsewhere_in_the_entry_is_no_conflict",
        "what_others_change_elsewhere_in_the_user_is_no_conflict",
    ),
)
OF_LDAP_ALONE = {
    "a_name_as_a_value_is_found_however_it_is_spelt": "no attribute of SCIM holds DNs",
    "an_object_class_comes_with_the_attribute_that_needs_it": "SCIM has no object classes",
    "find_tells_case_apart_where_the_rule_does": "whom a server finds beside is left out by whoever asked",
    "octet_strings_are_bytes_whatever_they_hold": "JSON has no octets",
    "outer_spaces_of_what_is_asked_for_do_not_matter": "in SCIM they do (RFC 7643 \u00a72.3.1)",
}


def sentences(file: str) -> set[str]:
    return set(re.findall(r"^def test_(\w+)", (Path(__file__).parent / file).read_text(), re.MULTILINE))


def test_every_sentence_of_the_contract_is_held_on_scim_servers_or_is_of_ldap_alone() -> None:
    here = sentences("test_scim_directory.py")
    all_ = sentences("test_reading.py") | sentences("test_writing.py")
    assert all_ == (all_ & here) | {name for name, _ in IN_OTHER_WORDS} | OF_LDAP_ALONE.keys()
    assert {name for _, name in IN_OTHER_WORDS} <= here
