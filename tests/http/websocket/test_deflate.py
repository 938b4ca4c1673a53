"""permessage-deflate: what is agreed upon, by tables, and what goes in comes out, within limits."""

import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.http.websocket.deflate import Agreed, Deflate, Deflater, MessageInflater
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.extensions import Extension, parse_extensions

PLAIN = Deflate(server_max_window_bits=15, client_max_window_bits=15)
NARROW = Deflate(server_max_window_bits=10, client_max_window_bits=11)
FRESH = Deflate(
    server_max_window_bits=15,
    client_max_window_bits=15,
    server_no_context_takeover=True,
    client_no_context_takeover=True,
)
NAME = "permessage-deflate"
SERVER_BITS, CLIENT_BITS = "server_max_window_bits", "client_max_window_bits"
SERVER_FRESH, CLIENT_FRESH = "server_no_context_takeover", "client_no_context_takeover"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, value) for name in (SERVER_BITS, CLIENT_BITS) for value in ("12", 12.0, True, None)),
        *((name, value) for name in (SERVER_FRESH, CLIENT_FRESH) for value in (1, "x", None)),
        *((name, value) for name in ("level", "mem_level", "min_size") for value in ("1", 1.5, None)),
    ],
)
def test_values_of_another_type(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"expected {name} as"):
        Deflate(**{name: value})


# --- the server answers


@pytest.mark.parametrize(
    ("settings", "offer", "answer", "agreed"),
    [
        (PLAIN, NAME, NAME, Agreed(15, 15)),
        (PLAIN, f"{NAME}; {CLIENT_BITS}", NAME, Agreed(15, 15)),
        (PLAIN, f"{NAME}; {CLIENT_BITS}=10", f"{NAME}; {CLIENT_BITS}=10", Agreed(15, 10)),
        (PLAIN, f"{NAME}; {SERVER_BITS}=9", f"{NAME}; {SERVER_BITS}=9", Agreed(9, 15)),
        (PLAIN, f"{NAME}; {SERVER_BITS}=8", f"{NAME}; {SERVER_BITS}=8", Agreed(8, 15)),
        (PLAIN, f"{NAME}; {SERVER_FRESH}", f"{NAME}; {SERVER_FRESH}", Agreed(server_fresh=True)),
        (PLAIN, f"{NAME}; {CLIENT_FRESH}", f"{NAME}; {CLIENT_FRESH}", Agreed(client_fresh=True)),
        (NARROW, NAME, f"{NAME}; {SERVER_BITS}=10", Agreed(10, 15)),
        (NARROW, f"{NAME}; {CLIENT_BITS}", f"{NAME}; {SERVER_BITS}=10; {CLIENT_BITS}=11", Agreed(10, 11)),
        (NARROW, f"{NAME}; {CLIENT_BITS}=9", f"{NAME}; {SERVER_BITS}=10; {CLIENT_BITS}=9", Agreed(10, 9)),
        (NARROW, f"{NAME}; {SERVER_BITS}=12", f"{NAME}; {SERVER_BITS}=10", Agreed(10, 15)),
        (FRESH, NAME, f"{NAME}; {SERVER_FRESH}; {CLIENT_FRESH}", Agreed(15, 15, True, True)),
        # The first offer that can be met.
        (PLAIN, f"foo, {NAME}; bar, {NAME}; {SERVER_BITS}=7, {NAME}; {SERVER_FRESH}, {NAME}",
         f"{NAME}; {SERVER_FRESH}", Agreed(server_fresh=True)),
    ],
)  # fmt: skip
def test_offers_that_are_met(settings: Deflate, offer: str, answer: str, agreed: Agreed) -> None:
    assert settings.agree(parse_extensions(offer)) == (parse_extensions(answer)[0], agreed)


@pytest.mark.parametrize(
    "offer",
    [
        "",
        "deflate-frame",
        f"{NAME}; foo",
        f"{NAME}; {SERVER_BITS}",
        f"{NAME}; {SERVER_FRESH}=1",
        f"{NAME}; {CLIENT_FRESH}=true",
        f"{NAME}; {SERVER_FRESH}; {SERVER_FRESH}",
        f"{NAME}; {CLIENT_BITS}; {CLIENT_BITS}=10",
        *(
            f"{NAME}; {bits}={value}"
            for bits in (SERVER_BITS, CLIENT_BITS)
            for value in ("7", "16", "08", "+9", "x")
        ),
    ],
)
def test_offers_that_are_not_met(offer: str) -> None:
    assert PLAIN.agree(parse_extensions(offer)) is None


# --- the client offers, and checks


@pytest.mark.parametrize(
    ("settings", "offer"),
    [
        (PLAIN, f"{NAME}; {CLIENT_BITS}"),
        (NARROW, f"{NAME}; {SERVER_BITS}=10; {CLIENT_BITS}=11"),
        (FRESH, f"{NAME}; {SERVER_FRESH}; {CLIENT_FRESH}; {CLIENT_BITS}"),
    ],
)
def test_what_is_offered(settings: Deflate, offer: str) -> None:
    assert str(settings.offer()) == offer


@pytest.mark.parametrize(
    ("settings", "answer", "agreed"),
    [
        (PLAIN, NAME, Agreed(15, 15)),
        (PLAIN, f"{NAME}; {SERVER_BITS}=10; {CLIENT_BITS}=8", Agreed(10, 8)),
        (PLAIN, f"{NAME}; {SERVER_FRESH}; {CLIENT_FRESH}", Agreed(15, 15, True, True)),
        (NARROW, f"{NAME}; {SERVER_BITS}=10", Agreed(10, 11)),
        (NARROW, f"{NAME}; {SERVER_BITS}=9; {CLIENT_BITS}=9", Agreed(9, 9)),
        (FRESH, f"{NAME}; {SERVER_FRESH}", Agreed(15, 15, True, True)),
    ],
)
def test_answers_that_are_right(settings: Deflate, answer: str, agreed: Agreed) -> None:
    assert settings.check_answer(parse_extensions(answer)[0]) == agreed


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        (PLAIN, f"{NAME}; foo"),
        (PLAIN, f"{NAME}; {CLIENT_BITS}"),
        (PLAIN, f"{NAME}; {SERVER_BITS}=16"),
        (PLAIN, "x-webkit-deflate-frame"),
        (NARROW, NAME),
        (NARROW, f"{NAME}; {SERVER_BITS}=11"),
        (NARROW, f"{NAME}; {SERVER_BITS}=10; {CLIENT_BITS}=12"),
        (FRESH, NAME),
        (FRESH, f"{NAME}; {CLIENT_FRESH}"),
    ],
)
def test_answers_to_something_else(settings: Deflate, answer: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        settings.check_answer(parse_extensions(answer)[0])


@pytest.mark.parametrize("settings", [PLAIN, NARROW, FRESH, Deflate()])
@pytest.mark.parametrize("other", [PLAIN, NARROW, FRESH, Deflate()])
def test_two_ends_of_ours_agree_upon_the_same(settings: Deflate, other: Deflate) -> None:
    agreed = settings.agree([other.offer()])
    assert agreed is not None
    answer, of_server = agreed
    of_client = other.check_answer(answer)
    assert of_client.server_bits == of_server.server_bits
    assert of_client.client_bits <= of_server.client_bits
    assert of_client.server_fresh == of_server.server_fresh
    assert of_client.client_fresh or not of_server.client_fresh


@pytest.mark.parametrize(
    "wrong",
    [
        {"server_max_window_bits": 8},
        {"server_max_window_bits": 16},
        {"client_max_window_bits": 8},
        {"level": 10},
        {"level": -2},
        {"mem_level": 0},
        {"mem_level": 10},
        {"min_size": -1},
    ],
)
def test_settings_that_are_out_of_range(wrong: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Deflate(**wrong)


# --- both directions


def deflated(deflater: Deflater, *pieces: bytes) -> bytes:
    return b"".join([deflater.deflate(piece) for piece in pieces]) + deflater.finish()


def inflated(inflater: MessageInflater, data: bytes, most: int = 1 << 20, step: int = 1 << 20) -> bytes:
    found = b""
    for at in range(0, len(data), step):
        found += inflater.inflate(data[at : at + step], most - len(found))
    return found + inflater.finish(most - len(found))


@given(
    st.lists(st.binary(max_size=300) | st.integers(0, 5000).map(lambda size: b"ab" * size), max_size=6),
    st.integers(9, 15),
    st.booleans(),
    st.integers(1, 100),
)
def test_what_goes_in_comes_out(messages: list[bytes], bits: int, fresh: bool, step: int) -> None:
    deflater = Deflater(bits, fresh=fresh, settings=Deflate())
    inflater = MessageInflater(bits, fresh=fresh)
    for message in messages:
        assert inflated(inflater, deflated(deflater, message[:7], message[7:]), step=step) == message


def test_nothing_is_one_byte() -> None:
    deflater = Deflater(15, fresh=False, settings=Deflate())
    assert [deflated(deflater, b""), deflated(deflater, b"")] == [b"\0", b"\0"]  # RFC 7692 §7.2.3.6
    assert deflated(deflater, b"x") != b"\0"
    assert deflated(deflater, b"") == b"\0"
    assert inflated(MessageInflater(15, fresh=False), b"\0") == b""


@pytest.mark.parametrize(
    "data",
    [  # RFC 7692 §7.2.3.1 to .5
        "f248cdc9c90700",
        "000500faff48656c6c6f00",
        "f348cdc9c9070000",
        "f24805000000ffffcac9c90700",
    ],
)
@pytest.mark.parametrize("step", [1, 3, 100])
def test_the_examples_of_the_rfc(data: str, step: int) -> None:
    inflater = MessageInflater(15, fresh=False)
    for _ in range(3):
        assert inflated(inflater, bytes.fromhex(data), step=step) == b"Hello"


def test_the_context_of_the_rfc() -> None:
    inflater = MessageInflater(15, fresh=False)
    assert inflated(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    assert inflated(inflater, bytes.fromhex("f200110000")) == b"Hello"  # RFC 7692 §7.2.3.2
    with pytest.raises(WebSocketError, match="compressed") as caught:
        inflated(MessageInflater(15, fresh=False), bytes.fromhex("f200110000"))
    assert caught.value.code == 1007
    inflater = MessageInflater(15, fresh=True)
    assert inflated(inflater, bytes.fromhex("f248cdc9c90700")) == b"Hello"
    with pytest.raises(WebSocketError):
        inflated(inflater, bytes.fromhex("f200110000"))


def test_context_makes_the_second_smaller_unless_each_is_by_itself() -> None:
    text = bytes(range(200))
    kept, fresh = (Deflater(15, fresh=fresh, settings=Deflate()) for fresh in (False, True))
    first = deflated(kept, text)
    assert len(deflated(kept, text)) < len(first) / 4
    assert [deflated(fresh, text), deflated(fresh, text)] == [first, first]


@pytest.mark.parametrize("most", [1, 100, 65536, 1 << 20])
def test_a_bomb_is_stopped_at_the_limit(most: int) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packer.compress(bytes(100 << 20)) + packer.flush(zlib.Z_SYNC_FLUSH)
    with pytest.raises(WebSocketError, match=f"at most {most} bytes") as caught:
        MessageInflater(15, fresh=False).inflate(bomb, most)
    assert caught.value.code == 1009


def test_exactly_the_limit_is_no_bomb() -> None:
    deflater = Deflater(15, fresh=False, settings=Deflate())
    data = deflated(deflater, bytes(1000))
    assert inflated(MessageInflater(15, fresh=False), data, most=1000) == bytes(1000)
    with pytest.raises(WebSocketError, match="at most 999 bytes"):
        inflated(MessageInflater(15, fresh=False), data, most=999)


def test_many_streams_in_one_message() -> None:
    """Each last block would cost a new decompressor, for two bytes."""
    inflater = MessageInflater(15, fresh=False)
    for _ in range(3):
        assert inflated(inflater, b"\x03\x00" * 10 + b"\0") == b""
    with pytest.raises(WebSocketError, match="too many"):
        inflater.inflate(b"\x03\x00" * 500_000, 1000)


@given(st.binary(max_size=200))
def test_anything_ends_in_bytes_or_in_the_error(data: bytes) -> None:
    inflater = MessageInflater(15, fresh=False)
    code = 0
    try:
        assert len(inflated(inflater, data, most=500)) <= 500
    except WebSocketError as error:
        code = error.code
    assert code in (0, 1007, 1009)


def test_a_window_that_zlib_has_not_is_never_used() -> None:
    settings = Deflate(min_size=0)
    assert not Deflater(8, fresh=False, settings=settings).takes(1000)
    assert Deflater(9, fresh=False, settings=settings).takes(0)
    assert [Deflater(9, fresh=False, settings=Deflate(min_size=5)).takes(size) for size in (4, 5)] == [
        False,
        True,
    ]


def test_an_extension_tells_itself() -> None:
    assert str(Extension("a", (("b", None), ("c", "d")))) == "a; b; c=d"
