"""`evkit.http.host_names`: names beyond ASCII go where browsers go."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.host_names import ascii_name


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("Example.org", "Example.org"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("BÜCHER.Example", "xn--bcher-kva.example"),
        ("*.bücher.example", "*.xn--bcher-kva.example"),
        ("a_b.bücher.example.", "a_b.xn--bcher-kva.example."),
        # Of UTS 46's own table of deviations (§6, "Table 1"): what other programs make two names of.
        ("faß.de", "xn--fa-hia.de"),
        ("βόλος.com", "xn--nxasmm1c.com"),
        ("ශ්‍රී.com", "xn--10cl1a0b660p.com"),
        ("نامه‌ای.com", "xn--mgba3gch31f060k.com"),
        ("日本語。jp", "xn--wgv71a119e.jp"),
        ("\uff45\uff58\uff41\uff4d\uff50\uff4c\uff45.org", "example.org"),
        ("i❤.ws", "xn--i-7iq.ws"),  # symbols, which browsers go to
        ("☕.example", "xn--53h.example"),
        ("r3---sn.bücher.example", "r3---sn.xn--bcher-kva.example"),
        ("b\u0075\u0308cher.example", "xn--bcher-kva.example"),  # composed
        ("bü\u00adcher.example", "xn--bcher-kva.example"),  # a soft hyphen is nothing
        ("xn--bcher-kva.bücher.example", "xn--bcher-kva.xn--bcher-kva.example"),
    ],
)
def test_what_a_name_means(name: str, host: str) -> None:
    assert ascii_name(name) == host


@pytest.mark.parametrize(
    "name",
    [
        "a\u200db.example",  # a joiner where nothing is joined
        "a\u200c.example",
        "\u0301bc.example",  # an accent without its letter
        "\u05d0a.example",  # two directions in one label
        "1\u05d0.example",
        "\udcff.example",
        "é\ud800.example",
        "\ue000.example",  # for private use
        "\ufdd0.example",
        "xn--é.example",
        "é" * 300,
        "é" * 62,  # more than a label has room for
    ],
)
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match=r"^expected the name of a host") as caught:
        ascii_name(name)
    assert type(caught.value) is ValueError  # none of the package's own
    assert caught.value.__cause__ is None


@given(st.text(st.characters(), max_size=300))
def test_anything_is_a_name_in_ascii_or_a_value_error(text: str) -> None:
    try:
        host = ascii_name(text)
    except ValueError:
        return
    assert host.isascii()
    assert ascii_name(host) == host


def test_ascii_loads_no_tables() -> None:
    program = (
        "import sys\nfrom evkit.http.host_names import ascii_name\n"
        "ascii_name('example.org')\nassert 'idna' not in sys.modules\n"
        "ascii_name('b\\xfccher.example')\nassert 'idna' in sys.modules\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
