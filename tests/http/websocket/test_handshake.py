"""The opening handshake: what a server answers to each request, and what a client makes of each reply."""

import base64

import pytest

from evkit.http.headers import Headers
from evkit.http.websocket.deflate import Agreed, Deflate
from evkit.http.websocket.errors import HandshakeError
from evkit.http.websocket.handshake import (
    Acceptance,
    Agreement,
    ClientHandshake,
    Refusal,
    accept_value,
    judge,
)
from websocket_aids import KEY, accept_for

Pairs = list[tuple[str, str]]

GOOD: Pairs = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", KEY),
    ("Sec-WebSocket-Version", "13"),
]
DEFLATE = Deflate(server_max_window_bits=15, client_max_window_bits=15)


def but(*fields: tuple[str, str], good: Pairs = GOOD) -> Headers:
    """Return the good fields with some replaced, and others added."""
    names = {name.lower() for name, _ in fields}
    return Headers(
        [pair for pair in good if pair[0].lower() not in names] + [f for f in fields if f[1] != "-"]
    )


def test_the_example_of_the_rfc() -> None:
    assert accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert judge("GET", 1, but()) == Acceptance(
        [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")], Agreement()
    )


@pytest.mark.parametrize(
    "fields",
    [
        [("Upgrade", "WebSocket")],
        [("Upgrade", "h2c, websocket")],
        [("Connection", "keep-alive, Upgrade")],
        [("Connection", "keep-alive"), ("Connection", "upgrade")],
        [("Sec-WebSocket-Extensions", "foo; bar=1, permessage-deflate")],
        [("Sec-WebSocket-Protocol", "chat, superchat")],
        [("Sec-WebSocket-Key", base64.b64encode(bytes(16)).decode())],
    ],
)
def test_requests_that_are_accepted(fields: Pairs) -> None:
    verdict = judge("GET", 1, but(*fields))
    assert isinstance(verdict, Acceptance)
    assert verdict.agreement == Agreement()


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ([("Upgrade", "-")], 426),
        ([("Upgrade", "h2c")], 426),
        ([("Upgrade", "websockets")], 426),
        ([("Connection", "-")], 426),
        ([("Connection", "close")], 426),
        ([("Sec-WebSocket-Version", "-")], 426),
        ([("Sec-WebSocket-Version", "8")], 426),
        ([("Sec-WebSocket-Version", "13, 8")], 426),
        ([("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Version", "13")], 426),
        ([("Sec-WebSocket-Key", "-")], 400),
        ([("Sec-WebSocket-Key", "")], 400),
        ([("Sec-WebSocket-Key", KEY), ("Sec-WebSocket-Key", KEY)], 400),
        ([("Sec-WebSocket-Key", KEY[:-4])], 400),
        ([("Sec-WebSocket-Key", KEY + "\n")], 400),
        ([("Sec-WebSocket-Key", base64.b64encode(bytes(15)).decode())], 400),
        ([("Sec-WebSocket-Key", base64.b64encode(bytes(17)).decode())], 400),
        ([("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZB==")], 400),
        ([("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZ===")], 400),
        ([("Sec-WebSocket-Extensions", "a b")], 400),
        ([("Sec-WebSocket-Protocol", "")], 400),
        ([("Sec-WebSocket-Protocol", "a,")], 400),
        ([("Sec-WebSocket-Protocol", "a b")], 400),
        ([("Sec-WebSocket-Protocol", "a, a")], 400),
        ([("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "a")], 400),
        ([("Sec-WebSocket-Protocol", ", ".join(map(str, range(65))))], 400),
    ],
)
def test_requests_that_are_refused(fields: Pairs, status: int) -> None:
    verdict = judge("GET", 1, but(*fields))
    assert isinstance(verdict, Refusal)
    assert verdict.status == status
    if status == 426:  # RFC 6455 §4.4, RFC 9110 §15.5.22
        assert {
            ("Sec-WebSocket-Version", "13"),
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
        } == set(verdict.fields)


@pytest.mark.parametrize(("method", "minor", "status"), [("POST", 1, 405), ("HEAD", 1, 405), ("GET", 0, 400)])
def test_other_methods_and_versions(method: str, minor: int, status: int) -> None:
    verdict = judge(method, minor, but())
    assert isinstance(verdict, Refusal)
    assert verdict.status == status
    assert (("Allow", "GET") in verdict.fields) == (status == 405)


@pytest.mark.parametrize(
    ("offered", "spoken", "chosen"),
    [
        ([], ["a"], None),
        (["a, b"], [], None),
        (["a, b"], ["c"], None),
        (["a, b"], ["b", "a"], "b"),
        (["a", "b"], ["b"], "b"),
        (["A"], ["a"], None),
    ],
)
def test_subprotocols(offered: list[str], spoken: list[str], chosen: str | None) -> None:
    headers = but(*(("Sec-WebSocket-Protocol", names) for names in offered))
    verdict = judge("GET", 1, headers, subprotocols=spoken)
    assert isinstance(verdict, Acceptance)
    assert verdict.agreement == Agreement(chosen)
    assert [value for name, value in verdict.fields if name == "Sec-WebSocket-Protocol"] == (
        [] if chosen is None else [chosen]
    )


def test_compression_is_agreed_upon_where_both_want_it() -> None:
    headers = but(("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"))
    verdict = judge("GET", 1, headers, deflate=DEFLATE)
    assert isinstance(verdict, Acceptance)
    assert verdict.agreement == Agreement(None, Agreed())
    assert ("Sec-WebSocket-Extensions", "permessage-deflate") in verdict.fields
    assert judge("GET", 1, headers) == judge("GET", 1, but())
    assert judge("GET", 1, but(), deflate=DEFLATE) == judge("GET", 1, but())


# --- the client


def reply(handshake: ClientHandshake, *fields: tuple[str, str]) -> Headers:
    good = [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Accept", accept_for(handshake.key)),
    ]
    return but(*fields, good=good)


def test_what_a_client_asks_is_what_a_server_accepts() -> None:
    handshake = ClientHandshake(["chat", "superchat"], deflate=DEFLATE)
    verdict = judge("GET", 1, Headers(handshake.fields), subprotocols=["superchat"], deflate=DEFLATE)
    assert isinstance(verdict, Acceptance)
    fields = [*verdict.fields, ("Connection", "upgrade")]
    assert handshake.check(101, Headers(fields)) == Agreement("superchat", Agreed()) == verdict.agreement


def test_each_key_is_another_and_random() -> None:
    keys = {ClientHandshake().key for _ in range(50)}
    assert len(keys) == 50
    assert {len(base64.b64decode(key)) for key in keys} == {16}


def test_a_plain_client_offers_nothing() -> None:
    handshake = ClientHandshake()
    assert [name for name, _ in handshake.fields] == [
        "Upgrade",
        "Connection",
        "Sec-WebSocket-Key",
        "Sec-WebSocket-Version",
    ]
    assert handshake.check(101, reply(handshake)) == Agreement()
    assert handshake.check(101, reply(handshake, ("Upgrade", "WebSocket"))) == Agreement()


@pytest.mark.parametrize(
    "fields",
    [
        [("Upgrade", "-")],
        [("Upgrade", "h2c")],
        [("Connection", "-")],
        [("Connection", "keep-alive")],
        [("Sec-WebSocket-Accept", "-")],
        [("Sec-WebSocket-Accept", accept_for(KEY))],
        [("Sec-WebSocket-Protocol", "chat")],
        [("Sec-WebSocket-Extensions", "permessage-deflate")],
        [("Sec-WebSocket-Extensions", "foo")],
        [("Sec-WebSocket-Extensions", "a b")],
    ],
)
def test_replies_that_a_plain_client_refuses(fields: Pairs) -> None:
    handshake = ClientHandshake()
    with pytest.raises(HandshakeError) as caught:
        handshake.check(101, reply(handshake, *fields))
    assert caught.value.status == 101


def test_the_proof_stands_there_once() -> None:
    handshake = ClientHandshake()
    proof = ("Sec-WebSocket-Accept", accept_for(handshake.key))
    with pytest.raises(HandshakeError, match="one proof"):
        handshake.check(101, reply(handshake, proof, proof))


@pytest.mark.parametrize(
    "fields",
    [
        [("Sec-WebSocket-Protocol", "c")],
        [("Sec-WebSocket-Protocol", "a, b")],
        [("Sec-WebSocket-Protocol", "a"), ("Sec-WebSocket-Protocol", "b")],
        [("Sec-WebSocket-Protocol", "A")],
        [("Sec-WebSocket-Extensions", "permessage-deflate, permessage-deflate")],
        [("Sec-WebSocket-Extensions", "permessage-deflate; server_max_window_bits=16")],
        [("Sec-WebSocket-Extensions", "permessage-deflate, foo")],
        [("Sec-WebSocket-Extensions", "foo")],
    ],
)
def test_replies_to_something_else_than_was_offered(fields: Pairs) -> None:
    handshake = ClientHandshake(["a", "b"], deflate=DEFLATE)
    assert handshake.check(101, reply(handshake, ("Sec-WebSocket-Protocol", "b"))).subprotocol == "b"
    with pytest.raises(HandshakeError):
        handshake.check(101, reply(handshake, *fields))


@pytest.mark.parametrize("status", [200, 301, 401, 404, 426, 503])
def test_other_statuses_are_told(status: int) -> None:
    handshake = ClientHandshake()
    with pytest.raises(HandshakeError, match=f"got {status}") as caught:
        handshake.check(status, reply(handshake))
    assert caught.value.status == status


@pytest.mark.parametrize("names", [["a b"], [""], ["a", "a"], ["a,b"], ["ü"], ["a\r\nb"]])
def test_names_that_are_none(names: list[str]) -> None:
    with pytest.raises(ValueError, match="different tokens"):
        ClientHandshake(names)


def test_one_name_is_no_list_of_letters() -> None:
    with pytest.raises(TypeError, match="'chat'"):
        ClientHandshake("chat")
