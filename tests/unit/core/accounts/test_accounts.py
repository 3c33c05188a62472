"""Which addresses, names and passwords are accepted, and what a role may do."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from data_fetch.core.accounts.accounts import (
    LONGEST_PASSWORD_BYTES,
    AccountRules,
    Role,
    account_rules,
    check_password,
    email_form,
    name_form,
    password_form,
)
from data_fetch.core.errors import AccountInvalid

HERE = account_rules(on_loopback=True, needs_authentication=False, password_min_length=None)
ELSEWHERE = account_rules(on_loopback=False, needs_authentication=True, password_min_length=None)
BEHIND_A_PROXY = account_rules(
    on_loopback=True, needs_authentication=True, password_min_length=None
)
LONG = account_rules(on_loopback=True, needs_authentication=False, password_min_length=20)


@pytest.mark.parametrize(
    ("typed", "email"),
    [
        pytest.param("user@example.com", "user@example.com", id="plain"),
        pytest.param("  User@Example.COM\n", "user@example.com", id="blanks and capitals"),
        pytest.param("a+b.c@mail.desk.example", "a+b.c@mail.desk.example", id="plus and dots"),
        pytest.param("me@localhost", "me@localhost", id="a host without a dot"),
    ],
)
def test_an_address_has_one_form(typed: str, email: str) -> None:
    assert email_form(typed) == email


@pytest.mark.parametrize(
    "typed",
    [
        pytest.param("", id="nothing"),
        pytest.param("user", id="no at"),
        pytest.param("a@b@c", id="two ats"),
        pytest.param("a b@c.d", id="a blank inside"),
        pytest.param("a@-b.c", id="a hyphen at the edge of a label"),
        pytest.param("a\x00@b.c", id="a null byte"),
        pytest.param("a@b.c\r\nBcc: d@e.f", id="a second line"),
        pytest.param("\u212aay@b.c", id="a Kelvin sign, whose lower case is a k"),
        pytest.param("\u0430@b.c", id="a Cyrillic look-alike"),
        pytest.param(f"a@{'b' * 64}.c", id="a label too long"),
        pytest.param(f"{'a' * 64}@{'b.' * 100}c", id="255 characters"),
        pytest.param("\ud800@b.c", id="half a surrogate pair"),
    ],
)
def test_what_is_no_address(typed: str) -> None:
    with pytest.raises(AccountInvalid):
        email_form(typed)


@given(st.text(max_size=80))
def test_the_form_of_an_address_is_its_own_form(typed: str) -> None:
    try:
        email = email_form(typed)
    except AccountInvalid:
        return
    assert email_form(email) == email
    assert email.isascii()


@pytest.mark.parametrize(
    ("rules", "password", "accepted"),
    [
        pytest.param(HERE, "x" * 7, False, id="7 characters on this machine"),
        pytest.param(HERE, "x" * 8, True, id="8 on this machine"),
        pytest.param(ELSEWHERE, "x" * 11, False, id="11 elsewhere"),
        pytest.param(ELSEWHERE, "x" * 12, True, id="12 elsewhere"),
        pytest.param(HERE, "पासवर्डxx", True, id="characters count, not bytes"),
        pytest.param(HERE, "x" * LONGEST_PASSWORD_BYTES, True, id="the longest"),
        pytest.param(HERE, "é" * (LONGEST_PASSWORD_BYTES // 2 + 1), False, id="too many bytes"),
        pytest.param(LONG, "x" * 19, False, id="a setting"),
    ],
)
def test_how_long_a_password_must_be(rules: AccountRules, password: str, accepted: bool) -> None:
    if accepted:
        check_password(password, rules)
        return
    with pytest.raises(AccountInvalid) as refused:
        check_password(password, rules)
    assert password not in str(refused.value)


def test_a_password_is_the_same_however_its_letters_are_composed() -> None:
    assert password_form("caf\u00e9") == password_form("cafe\u0301")


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        pytest.param("  Asha \t Rao ", "Asha Rao", id="blanks"),
        pytest.param("आशा राव", "आशा राव", id="any script"),
        pytest.param("", None, id="nothing"),
        pytest.param("   ", None, id="only blanks"),
        pytest.param("x" * 121, None, id="too long"),
        pytest.param("a\x00b", None, id="a null byte"),
        pytest.param("a\x1b[31m", None, id="a terminal's control characters"),
    ],
)
def test_names(typed: str, name: str | None) -> None:
    if name is not None:
        assert name_form(typed) == name
        return
    with pytest.raises(AccountInvalid):
        name_form(typed)


def test_a_server_that_others_reach_has_stricter_rules() -> None:
    assert BEHIND_A_PROXY.registered_role is Role.PUBLIC
    assert (HERE.registered_role, HERE.access_life) == (Role.USER, timedelta(days=1))
    assert (ELSEWHERE.registered_role, ELSEWHERE.access_life) == (
        Role.PUBLIC,
        timedelta(minutes=60),
    )
