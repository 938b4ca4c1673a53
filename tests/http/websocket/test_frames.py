"""Heads of frames, and what a close frame says."""

from typing import Any

import pytest

from evkit.http.websocket.codes import may_be_sent
from evkit.http.websocket.errors import WebSocketError
from evkit.http.websocket.frames import ShortHeads, close_payload, cut_reason, head, parse_close


@pytest.mark.parametrize(
    ("first", "length", "mask_bit", "expected"),
    [  # the examples of RFC 6455 §5.7, and the edges of the three lengths
        (0x81, 5, 0, "8105"),
        (0x81, 5, 0x80, "8185"),
        (0x82, 256, 0, "827e0100"),
        (0x82, 65536, 0, "827f0000000000010000"),
        (0x82, 0, 0, "8200"),
        (0x82, 125, 0x80, "82fd"),
        (0x82, 126, 0x80, "82fe007e"),
        (0x01, 65535, 0, "017effff"),
        (0x01, 65536, 0x80, "01ff0000000000010000"),
    ],
)
def test_heads(first: int, length: int, mask_bit: int, expected: str) -> None:
    assert head(first, length, mask_bit).hex() == expected
    if not mask_bit:
        heads = ShortHeads(first)
        assert [heads[length], heads[length]] == [bytes.fromhex(expected)] * 2


@pytest.mark.parametrize(
    ("code", "may"),
    [
        *((code, True) for code in (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1014, 3000, 4999)),
        *((code, False) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)),
    ],
)
def test_codes_that_may_be_sent(code: int, may: bool) -> None:
    assert may_be_sent(code) is may
    payload = code.to_bytes(2, "big") + b"why"
    if may:
        assert close_payload(code, "why") == payload
        assert parse_close(payload) == (code, "why")
        assert WebSocketError(code, "why").code == code
        return
    with pytest.raises(ValueError, match="close code that may be sent"):
        close_payload(code, "why")
    with pytest.raises(WebSocketError, match="close code that may be sent") as caught:
        parse_close(payload)
    assert caught.value.code == 1002
    with pytest.raises(ValueError, match="close code that may be sent"):
        WebSocketError(code, "why")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("code", "1000", ""),
        ("code", 1000.0, ""),
        ("code", True, ""),
        ("reason", 1000, 5),
        ("reason", 1000, b"x"),
    ],
)
def test_what_can_not_be_said(name: str, code: Any, reason: Any) -> None:
    with pytest.raises(TypeError, match=f"expected {name} as"):
        close_payload(code, reason)


def test_a_close_frame_may_say_nothing() -> None:
    assert close_payload(None, "") == b""
    assert parse_close(b"") == (1005, "")
    with pytest.raises(ValueError, match="needs a code"):
        close_payload(None, "why")


@pytest.mark.parametrize(
    ("payload", "code"), [(b"\x03", 1002), (b"\x03\xe8\xff", 1007), (b"\x03\xe8\xc3", 1007)]
)
def test_close_frames_that_are_none(payload: bytes, code: int) -> None:
    with pytest.raises(WebSocketError) as caught:
        parse_close(payload)
    assert caught.value.code == code


def test_reasons_are_short() -> None:
    assert len(close_payload(1000, "ü" * 61 + "x")) == 125
    with pytest.raises(ValueError, match="at most 123 bytes, got 124"):
        close_payload(1000, "ü" * 62)


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("", ""),
        ("x" * 123, "x" * 123),
        ("x" * 124, "x" * 123),
        ("x" + "ü" * 62, "x" + "ü" * 61),
        ("ü" * 62, "ü" * 61),
        ("€" * 60, "€" * 41),
        ("\udcff", "?"),
    ],
)
def test_reasons_are_cut_between_characters(text: str, cut: str) -> None:
    assert cut_reason(text) == cut
    close_payload(1002, cut_reason(text))
