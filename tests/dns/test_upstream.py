"""One name server as it is asked: how a question is worded for it."""

from dataclasses import replace
from typing import Any, cast

import dns.edns
import dns.flags
import dns.message
import pytest

from evkit.dns.chance import Chance
from evkit.dns.cookies import Cookies
from evkit.dns.nameserver import EDNS, EDNS_OPTIONS, FEATURE_MEMORY, MIXED_CASE
from evkit.dns.options import ResolverOptions
from evkit.dns.server_address import parse_server
from evkit.dns.tries import Try
from evkit.dns.upstream import COOKIE, PADDING, Upstream
from evkit.testing import FakeBase

OPTIONS = ResolverOptions()
LONG = b"\x28" + b"abcdefghijklmnopqrstuvwxyzabcdefghijklmn" + b"\4test\0"


class Asking:
    """As much of an inquiry as there has to be."""

    def __init__(self, name: bytes = LONG) -> None:
        self.name = name
        self.tail = b"\0\1\0\1"


class Road:
    """A port and a stream that keep what is sent."""

    def __init__(self) -> None:
        self.tries: dict[int, Try] = {}
        self.sent: list[bytes] = []
        self.error: Exception | None = None
        self.state = "open"

    def pick(self) -> "Road":
        return self

    def configure(self, options: ResolverOptions) -> None:
        self.options = options

    def send(self, attempt: Try, message: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.tries[attempt.id] = attempt
        self.sent.append(message)

    def retire(self) -> None:
        self.state = "retired"

    def close(self) -> None:
        self.state = "closed"


class Asked:
    """A name server, and what it is asked."""

    def __init__(self, base: Any, server: str = "192.0.2.53", options: ResolverOptions = OPTIONS) -> None:
        self.cookies = Cookies(bytes(16))
        chance = Chance()
        self.upstream = Upstream(
            base, parse_server(server), options, chance, self.cookies, None, cast(Any, None)
        )
        self.datagrams, self.stream = Road(), Road()
        self.upstream.ports = cast(Any, self.datagrams)
        self.upstream.stream = cast(Any, self.stream)
        self.upstream.configure(options)

    def by_datagram(self, now: float = 0.0, name: bytes = LONG) -> tuple[Try, dns.message.Message]:
        attempt = self.upstream.ask_by_datagram(cast(Any, Asking(name)), now)
        return attempt, dns.message.from_wire(self.datagrams.sent[-1])

    def by_stream(self, now: float = 0.0, name: bytes = LONG) -> tuple[Try, dns.message.Message]:
        attempt = self.upstream.ask_by_stream(cast(Any, Asking(name)), now)
        return attempt, dns.message.from_wire(self.stream.sent[-1])


def options_of(message: dns.message.Message) -> dict[int, bytes]:
    return {int(option.otype): option.to_wire() or b"" for option in message.options}


class TestByDatagram:
    def test_the_try_tells_how_it_was_worded(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        attempt, message = asked.by_datagram(17.0)
        assert (attempt.id, attempt.transport, attempt.began) == (message.id, "udp", 17.0)
        assert attempt.upstream is asked.upstream
        assert asked.datagrams.sent[0][12:].startswith(attempt.question)
        assert attempt.question.lower() == LONG + b"\0\1\0\1"
        assert (attempt.plain, attempt.cookie) == (False, options_of(message)[COOKIE])
        assert asked.upstream.known.queries == 1

    def test_it_is_a_query_that_wants_recursion(self, fakes: FakeBase) -> None:
        _, message = Asked(fakes.base).by_datagram()
        assert message.flags == dns.flags.RD
        assert (message.edns, message.payload, message.ednsflags) == (0, 1232, 0)
        assert [len(data) for data in options_of(message).values()] == [8]

    def test_in_random_case(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        assert len({asked.by_datagram()[0].question for _ in range(8)}) > 1

    def test_in_lower_case_on_request_and_where_it_does_not_come_back(self, fakes: FakeBase) -> None:
        plain = Asked(fakes.base, options=replace(OPTIONS, randomize_case=False))
        assert plain.by_datagram()[0].question == LONG + b"\0\1\0\1"
        asked = Asked(fakes.base)
        asked.upstream.known.give_up(MIXED_CASE, 0.0)
        assert {asked.by_datagram()[0].question for _ in range(8)} == {LONG + b"\0\1\0\1"}
        assert len({asked.by_datagram(FEATURE_MEMORY)[0].question for _ in range(8)}) > 1

    def test_without_edns_on_request_and_where_it_is_not_understood(self, fakes: FakeBase) -> None:
        plain = Asked(fakes.base, options=replace(OPTIONS, edns_udp_size=512))
        attempt, message = plain.by_datagram()
        assert (attempt.plain, attempt.cookie, message.edns) == (True, b"", -1)
        asked = Asked(fakes.base)
        asked.upstream.known.give_up(EDNS, 0.0)
        attempt, message = asked.by_datagram()
        assert (attempt.plain, attempt.cookie, message.edns) == (True, b"", -1)

    def test_without_cookies_on_request_and_where_options_are_not_understood(self, fakes: FakeBase) -> None:
        plain = Asked(fakes.base, options=replace(OPTIONS, cookies=False))
        asked = Asked(fakes.base)
        asked.upstream.known.give_up(EDNS_OPTIONS, 0.0)
        for each in (plain, asked):
            attempt, message = each.by_datagram()
            assert (attempt.plain, attempt.cookie, message.edns) == (False, b"", 0)
            assert message.options == ()

    def test_with_the_cookie_of_the_moment(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        first, _ = asked.by_datagram()
        again, message = asked.by_datagram()
        assert again.cookie == first.cookie == options_of(message)[COOKIE]
        learned = first.cookie + b"8 bytes!"
        asked.cookies.check(asked.upstream.known.address, first.cookie, ((COOKIE, learned),), 0, 0.0)
        asked.upstream.reword()
        attempt, message = asked.by_datagram()
        assert attempt.cookie == options_of(message)[COOKIE] == learned
        asked.cookies.clear()
        attempt, message = asked.by_datagram(now=1.0)  # a second later it is seen without being told
        assert attempt.cookie == options_of(message)[COOKIE]
        assert len(attempt.cookie) == 8

    def test_other_options_hold_from_then_on(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        asked.by_datagram()
        other = replace(OPTIONS, edns_udp_size=4096, trust_ad=True, timeout=0.5)
        asked.upstream.configure(other)
        _, message = asked.by_datagram()
        assert message.payload == 4096
        assert message.flags == dns.flags.RD | dns.flags.AD
        assert asked.upstream.known.timeout_for(0) == 0.5
        assert asked.datagrams.options is asked.stream.options is other

    def test_with_a_number_that_nobody_has(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        asked.datagrams.tries = dict.fromkeys(range(65_536), cast(Try, None))
        del asked.datagrams.tries[4711]
        assert asked.by_datagram()[0].id == 4711

    def test_what_is_not_sent_is_not_counted(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        asked.datagrams.error = asked.stream.error = OSError("no way")
        with pytest.raises(OSError, match="no way"):
            asked.by_datagram()
        with pytest.raises(OSError, match="no way"):
            asked.by_stream()
        assert asked.upstream.known.queries == 0


class TestByStream:
    def test_in_lower_case_with_a_cookie(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        attempt, message = asked.by_stream(17.0)
        assert (attempt.id, attempt.transport, attempt.began) == (message.id, "tcp", 17.0)
        assert attempt.question == LONG + b"\0\1\0\1"
        assert options_of(message) == {COOKIE: attempt.cookie}
        assert asked.upstream.known.queries == 1

    @pytest.mark.parametrize("size", [1, 40, 60])
    @pytest.mark.parametrize("edns_udp_size", [1232, 4096])
    def test_over_tls_filled_up_and_without_a_cookie(
        self, fakes: FakeBase, size: int, edns_udp_size: int
    ) -> None:
        asked = Asked(fakes.base, "tls://192.0.2.53", replace(OPTIONS, edns_udp_size=edns_udp_size))
        name = bytes([size]) + b"a" * size + b"\4test\0"
        attempt, message = asked.by_stream(name=name)
        assert attempt.transport == "tls"
        assert len(asked.stream.sent[-1]) % 128 == 0
        assert message.payload == edns_udp_size
        assert set(options_of(message)) == {PADDING}
        assert set(options_of(message)[PADDING]) <= {0}

    def test_over_tls_one_block_however_long_the_name_is(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base, "tls://192.0.2.53")
        for size in range(1, 64):
            asked.by_stream(name=bytes([size]) + b"a" * size + b"\0")
        assert {len(message) for message in asked.stream.sent} == {128}

    def test_over_tls_as_it_is_where_edns_is_not_understood(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base, "tls://192.0.2.53")
        asked.upstream.known.give_up(EDNS, 0.0)
        attempt, message = asked.by_stream()
        assert (attempt.plain, message.edns, len(asked.stream.sent[0])) == (True, -1, 12 + len(LONG) + 4)

    def test_with_a_number_that_nobody_has(self, fakes: FakeBase) -> None:
        asked = Asked(fakes.base)
        asked.stream.tries = dict.fromkeys(range(65_536), cast(Try, None))
        del asked.stream.tries[4711]
        assert asked.by_stream()[0].id == 4711


@pytest.mark.parametrize(
    ("server", "streams_only", "by_stream", "by_datagram"),
    [
        ("192.0.2.53", False, "tcp", "udp"),
        ("tcp://192.0.2.53", True, "tcp", "udp"),
        ("tls://192.0.2.53", True, "tls", "udp"),
    ],
)
def test_which_ways_there_are(
    fakes: FakeBase, server: str, streams_only: bool, by_stream: str, by_datagram: str
) -> None:
    upstream = Asked(fakes.base, server).upstream
    assert (upstream.text, upstream.streams_only) == (server, streams_only)
    assert upstream.transport(by_stream=True) == by_stream
    assert upstream.transport(by_stream=False) == by_datagram


def test_the_end_of_it(fakes: FakeBase) -> None:
    asked = Asked(fakes.base)
    asked.upstream.retire()
    assert (asked.datagrams.state, asked.stream.state) == ("open", "retired")  # ports close by themselves
    asked.upstream.close()
    assert (asked.datagrams.state, asked.stream.state) == ("closed", "closed")


def test_shows_what_is_known_and_open(fakes: FakeBase) -> None:
    server = parse_server("192.0.2.53")
    upstream = Upstream(fakes.base, server, OPTIONS, Chance(), Cookies(bytes(16)), None, cast(Any, None))
    assert repr(upstream) == f"<Upstream {upstream.known!r} {upstream.ports!r} {upstream.stream!r}>"
