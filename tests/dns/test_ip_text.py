"""`evkit.dns.ip_text`: what is an address and what is none, against Python's own reading."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.ip_text import usual_form


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::1", "::1"),
        ("2001:DB8:0:0::A", "2001:db8::a"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"),
        ("FE80::1%Eth0", "fe80::1%Eth0"),
        ("fe80::1%eth0.5", "fe80::1%eth0.5"),
    ],
)
def test_the_usual_form(address: str, expected: str) -> None:
    assert usual_form(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        *("", "%", "localhost", "192.0.2", "192.0.2.256", "192.0.2.01", "0x7f.0.0.1", "192.0.2.1.", "1"),
        *("192.0.2.1%eth0", "%eth0", "::1%", "::1%a%b", "::1%a b", "::1%a:b", "::1%é", "::1%a\n"),
        *(
            "[::1]",
            "::1 ",
            " ::1",
            "::1\0",
            "192.0.2.1\n",
            "::/0",
            ":",
            ":::",
            "1::2::3",
            "::٣",
            "\ud800",
            "::\ud800",
        ),
    ],
)
def test_what_is_none(address: str) -> None:
    assert usual_form(address) is None


@given(st.ip_addresses())
def test_every_address_is_one(address: object) -> None:
    form = usual_form(str(address))
    assert form is not None
    assert ip_address(form) == address
    assert usual_form(form) == form


@given(st.text(st.characters()) | st.text("0123456789abcdef:.%"))
def test_any_text_is_one_or_none(text: str) -> None:
    form = usual_form(text)
    if form is not None:
        assert ip_address(form) == ip_address(text)
