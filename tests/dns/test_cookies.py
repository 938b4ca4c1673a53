"""Cookies: with a server by the book (RFC 9018), and every rule about replies by table."""

import ipaddress
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evkit.dns.cookies import (
    BADCOOKIE,
    CODE,
    DOUBT_AFTER,
    MAX_SERVERS,
    RENEW_AFTER,
    RETRY_AFTER,
    Cookies,
    CookieVerdict,
)
from evkit.dns.server_address import parse_server

OK, WRONG = CookieVerdict.OK, CookieVerdict.WRONG
MISSING, RETRY = CookieVerdict.MISSING, CookieVerdict.BADCOOKIE
NOERROR = 0
T0 = 1000.0
SERVER = parse_server("192.0.2.1")
OTHER = parse_server("192.0.2.2")
THEIRS = bytes(range(100, 116))
MASK = 2**64 - 1

Options = list[tuple[int, bytes]]


def turned(number: int, bits: int) -> int:
    return (number << bits | number >> (64 - bits)) & MASK


def mixed(a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    a, c = a + b & MASK, c + d & MASK
    b, d = turned(b, 13) ^ a, turned(d, 16) ^ c
    a = turned(a, 32)
    c, a = c + b & MASK, a + d & MASK
    b, d = turned(b, 17) ^ c, turned(d, 21) ^ a
    return a, b, turned(c, 32), d


def siphash24(key: bytes, data: bytes) -> bytes:
    """SipHash-2-4, by its paper."""
    one, other = struct.unpack("<2Q", key)
    a, b = one ^ 0x736F6D6570736575, other ^ 0x646F72616E646F6D
    c, d = one ^ 0x6C7967656E657261, other ^ 0x7465646279746573
    for (word,) in struct.iter_unpack("<Q", data + bytes(7 - len(data) % 8) + bytes([len(data)])):
        a, b, c, d = mixed(*mixed(a, b, c, d ^ word))
        a ^= word
    a, b, c, d = mixed(*mixed(*mixed(*mixed(a, b, c ^ 0xFF, d))))
    return struct.pack("<Q", a ^ b ^ c ^ d)


def server_cookie(secret: bytes, client_cookie: bytes, seconds: int, address: str) -> bytes:
    """Return the server's cookie of RFC 9018 §4."""
    head = b"\1\0\0\0" + struct.pack(">I", seconds)
    return head + siphash24(secret, client_cookie + head + ipaddress.ip_address(address).packed)


class BookServer:
    """A name server that keeps to RFC 9018 §4 and §5, and demands cookies if it is ``strict`` (RFC 7873 §5.2.3)."""

    def __init__(self, secret: bytes = bytes(16), *, strict: bool = False) -> None:
        self.secret = secret
        self.strict = strict

    def reply(self, sent: bytes, now: float, address: str = "198.51.100.100") -> tuple[int, Options]:
        """Return response code and options for a query with the cookie ``sent``."""
        if not sent:
            return (BADCOOKIE if self.strict else NOERROR), []
        ours, theirs = sent[:8], sent[8:]
        seconds = int.from_bytes(theirs[4:8], "big")
        good = (
            theirs == server_cookie(self.secret, ours, seconds, address)
            and now - 3600 <= seconds <= now + 300
        )
        if not good or now - seconds > 1800:
            theirs = server_cookie(self.secret, ours, int(now), address)
        return (NOERROR if good or not self.strict else BADCOOKIE), [(CODE, ours + theirs)]


@pytest.fixture
def cookies() -> Cookies:
    return Cookies(bytes(range(16)))


def known(now: float = T0) -> Cookies:
    """Return cookies of a client that `SERVER` has sent one."""
    cookies = Cookies(bytes(range(16)))
    sent = cookies.option_for(SERVER, now)
    assert cookies.check(SERVER, sent, [(CODE, sent + THEIRS)], NOERROR, now) is OK
    return cookies


class TestTheBook:
    """The server above gives the cookies of RFC 9018, appendix A; so what the client does with it counts."""

    @pytest.mark.parametrize(
        ("secret", "client_cookie", "seconds", "address", "expected"),
        [
            (
                "e5e973e5a6b2a43f48e7dc849e37bfcf",
                "2464c4abcf10c957",
                0x5CF79F11,
                "198.51.100.100",
                "010000005cf79f111f8130c3eee29480",
            ),
            (
                "e5e973e5a6b2a43f48e7dc849e37bfcf",
                "2464c4abcf10c957",
                0x5CF7A871,
                "198.51.100.100",
                "010000005cf7a871d4a564a1442aca77",
            ),
            (
                "dd3bdf9344b678b185a6f5cb60fca715",
                "22681ab97d52c298",
                0x5CF7C579,
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "010000005cf7c57926556bd0934c72f8",
            ),
            (
                "445536bcd2513298075a5d379663c962",
                "22681ab97d52c298",
                0x5CF7C609,
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                "010000005cf7c609a6bb79d16625507a",
            ),
        ],
    )
    def test_the_servers_cookies(
        self, secret: str, client_cookie: str, seconds: int, address: str, expected: str
    ) -> None:
        made = server_cookie(bytes.fromhex(secret), bytes.fromhex(client_cookie), seconds, address)
        assert made.hex() == expected


def test_the_numbers_are_those_of_the_registry() -> None:
    assert (CODE, BADCOOKIE) == (10, 23)


class TestFlow:
    """RFC 7873 §5, with a server by the book."""

    def ask(self, cookies: Cookies, server: BookServer, now: float) -> tuple[bytes, CookieVerdict]:
        sent = cookies.option_for(SERVER, now)
        rcode, options = server.reply(sent, now)
        return sent, cookies.check(SERVER, sent, options, rcode, now)

    def test_the_first_query_has_ours_the_second_theirs_behind_it(self, cookies: Cookies) -> None:
        server = BookServer()
        first, verdict = self.ask(cookies, server, T0)
        assert (len(first), verdict) == (8, OK)
        second, verdict = self.ask(cookies, server, T0 + 1)
        assert (second[:8], len(second), verdict) == (first, 24, OK)
        assert self.ask(cookies, server, T0 + 2) == (second, OK)

    def test_a_strict_server_is_asked_twice_once(self, cookies: Cookies) -> None:
        server = BookServer(strict=True)
        assert [self.ask(cookies, server, T0 + step)[1] for step in range(4)] == [RETRY, OK, OK, OK]

    def test_the_server_renews_its_cookie(self, cookies: Cookies) -> None:
        server = BookServer()
        self.ask(cookies, server, T0)
        before, _ = self.ask(cookies, server, T0 + 1)
        self.ask(cookies, server, T0 + 1801)
        after, verdict = self.ask(cookies, server, T0 + 1802)
        assert verdict is OK
        assert (after[:8], after[8:] != before[8:]) == (before[:8], True)

    def test_the_server_gets_another_secret(self, cookies: Cookies) -> None:
        server = BookServer(strict=True)
        self.ask(cookies, server, T0)
        server.secret = bytes(range(16))
        assert [self.ask(cookies, server, T0 + step)[1] for step in (1, 2, 3)] == [RETRY, OK, OK]

    def test_a_query_after_a_long_silence(self, cookies: Cookies) -> None:
        server = BookServer(strict=True)
        self.ask(cookies, server, T0)
        assert [self.ask(cookies, server, T0 + 4000 + step)[1] for step in range(2)] == [RETRY, OK]

    def test_we_are_another_one_each_day(self, cookies: Cookies) -> None:
        server = BookServer(strict=True)
        first, _ = self.ask(cookies, server, T0)
        last, _ = self.ask(cookies, server, T0 + RENEW_AFTER - 1)
        assert last[:8] == first
        anew, verdict = self.ask(cookies, server, T0 + RENEW_AFTER)
        assert (len(anew), verdict) == (8, RETRY)
        assert anew != first
        assert self.ask(cookies, server, T0 + RENEW_AFTER + 1)[1] is OK

    def test_a_server_without_cookies_is_left_alone_for_a_while(self, cookies: Cookies) -> None:
        sent = cookies.option_for(SERVER, T0)
        assert cookies.check(SERVER, sent, [], NOERROR, T0) is OK
        assert cookies.option_for(SERVER, T0 + RETRY_AFTER - 1) == b""
        assert cookies.check(SERVER, b"", [], NOERROR, T0 + 1) is OK
        assert len(cookies.option_for(SERVER, T0 + RETRY_AFTER)) == 8

    def test_unless_it_demands_them_after_all(self, cookies: Cookies) -> None:
        cookies.check(SERVER, cookies.option_for(SERVER, T0), [], NOERROR, T0)
        server = BookServer(strict=True)
        assert [self.ask(cookies, server, T0 + step)[1] for step in (1, 2, 3)] == [RETRY, RETRY, OK]


class TestOurs:
    def test_each_server_sees_another_one(self, cookies: Cookies) -> None:
        assert cookies.option_for(SERVER, T0) != cookies.option_for(OTHER, T0)

    def test_it_stays_the_same(self, cookies: Cookies) -> None:
        assert cookies.option_for(SERVER, T0) == cookies.option_for(SERVER, T0 + 3600)

    def test_it_cannot_be_told_without_the_secret(self) -> None:
        assert Cookies(bytes(16)).option_for(SERVER, T0) != Cookies(bytes(15) + b"\1").option_for(SERVER, T0)

    def test_from_another_address_we_are_another_one(self, cookies: Cookies) -> None:
        here = cookies.option_for(SERVER, T0, "198.51.100.1")
        cookies.check(SERVER, here, [(CODE, here + THEIRS)], NOERROR, T0)
        there = cookies.option_for(SERVER, T0, "203.0.113.1")
        assert len(there) == 8
        assert there != here
        assert cookies.option_for(SERVER, T0, "203.0.113.1") == there
        assert cookies.option_for(SERVER, T0, "198.51.100.1") not in (here, here + THEIRS)

    @pytest.mark.parametrize("size", [0, 15, 65])
    def test_a_secret_of_no_use_is_refused(self, size: int) -> None:
        with pytest.raises(ValueError, match=f"expected a secret of 16 to 64 bytes, got {size}"):
            Cookies(bytes(size))


class TestReplies:
    """RFC 7873 §5.3: what is no reply to us is dropped."""

    @pytest.mark.parametrize(
        ("got", "rcode", "expected"),
        [
            pytest.param(lambda sent: sent, NOERROR, OK, id="the same again"),
            pytest.param(lambda sent: sent[:8] + bytes(8), NOERROR, OK, id="the shortest"),
            pytest.param(lambda sent: sent[:8] + bytes(32), NOERROR, OK, id="the longest"),
            pytest.param(lambda sent: sent[:8] + bytes(7), NOERROR, WRONG, id="too short"),
            pytest.param(lambda sent: sent[:8] + bytes(33), NOERROR, WRONG, id="too long"),
            pytest.param(lambda sent: sent[:8], NOERROR, WRONG, id="only ours"),
            pytest.param(lambda sent: b"", NOERROR, WRONG, id="empty"),
            pytest.param(lambda sent: bytes(8) + sent[8:], NOERROR, WRONG, id="not ours"),
            pytest.param(lambda sent: sent[:7] + b"\0" + sent[8:], NOERROR, WRONG, id="not quite ours"),
            pytest.param(lambda sent: sent, BADCOOKIE, RETRY, id="bad cookie"),
            pytest.param(lambda sent: sent[:8] + bytes(16), BADCOOKIE, RETRY, id="bad cookie, a new one"),
            pytest.param(lambda sent: bytes(8) + sent[8:], BADCOOKIE, WRONG, id="bad cookie, not ours"),
            pytest.param(None, NOERROR, MISSING, id="missing"),
            pytest.param(None, BADCOOKIE, WRONG, id="bad cookie without one"),
        ],
    )
    def test_of_a_server_that_knows_cookies(
        self, got: Callable[[bytes], bytes] | None, rcode: int, expected: CookieVerdict
    ) -> None:
        cookies = known()
        sent = cookies.option_for(SERVER, T0)
        assert len(sent) == 24
        options = [] if got is None else [(CODE, got(sent))]
        assert cookies.check(SERVER, sent, options, rcode, T0) is expected

    @pytest.mark.parametrize(
        ("got", "rcode", "expected"),
        [
            pytest.param(lambda sent: sent + THEIRS, NOERROR, OK, id="a cookie"),
            pytest.param(lambda sent: sent, NOERROR, OK, id="an echo"),
            pytest.param(lambda sent: bytes(24), NOERROR, WRONG, id="not ours"),
            pytest.param(lambda sent: sent + bytes(7), NOERROR, WRONG, id="too short"),
            pytest.param(None, NOERROR, OK, id="none"),
            pytest.param(None, BADCOOKIE, WRONG, id="bad cookie without one"),
        ],
    )
    def test_of_a_server_that_may_know_none(
        self,
        cookies: Cookies,
        got: Callable[[bytes], bytes] | None,
        rcode: int,
        expected: CookieVerdict,
    ) -> None:
        sent = cookies.option_for(SERVER, T0)
        options = [] if got is None else [(CODE, got(sent))]
        assert cookies.check(SERVER, sent, options, rcode, T0) is expected

    def test_an_echo_teaches_nothing(self, cookies: Cookies) -> None:
        sent = cookies.option_for(SERVER, T0)
        cookies.check(SERVER, sent, [(CODE, sent)], NOERROR, T0)
        assert cookies.option_for(SERVER, T0) == sent
        assert cookies.check(SERVER, sent, [], NOERROR, T0) is OK  # so one without is not missed

    def test_what_is_dropped_teaches_nothing(self) -> None:
        cookies = known()
        sent = cookies.option_for(SERVER, T0)
        for bad in (bytes(24), sent[:8] + bytes(33), sent[:8]):
            assert cookies.check(SERVER, sent, [(CODE, bad)], NOERROR, T0) is WRONG
        assert cookies.option_for(SERVER, T0) == sent

    def test_other_options_are_none_of_its_business_and_the_first_cookie_counts(self) -> None:
        cookies = known()
        sent = cookies.option_for(SERVER, T0)
        mixed_up = [(3, b"nsid"), (CODE, sent[:8] + bytes(8)), (CODE, bytes(24))]
        assert cookies.check(SERVER, sent, mixed_up, NOERROR, T0) is OK
        assert cookies.option_for(SERVER, T0) == sent[:8] + bytes(8)

    def test_a_reply_to_what_had_no_cookie_may_have_any(self, cookies: Cookies) -> None:
        cookies.check(SERVER, cookies.option_for(SERVER, T0), [], NOERROR, T0)
        assert cookies.check(SERVER, b"", [(CODE, bytes(24))], NOERROR, T0) is OK
        assert cookies.option_for(SERVER, T0) == b""

    def test_a_reply_to_our_cookie_of_yesterday_is_good_but_old(self) -> None:
        cookies = known()
        sent = cookies.option_for(SERVER, T0)
        anew = cookies.option_for(SERVER, T0 + RENEW_AFTER)
        assert cookies.check(SERVER, sent, [(CODE, sent[:8] + bytes(16))], NOERROR, T0 + RENEW_AFTER) is OK
        assert cookies.option_for(SERVER, T0 + RENEW_AFTER) == anew

    def test_after_renewal_a_reply_without_one_is_missed_all_the_same(self) -> None:
        cookies = known()
        sent = cookies.option_for(SERVER, T0 + RENEW_AFTER)
        assert cookies.check(SERVER, sent, [], NOERROR, T0 + RENEW_AFTER) is MISSING

    @given(st.binary(max_size=60))
    def test_whatever_an_outsider_sends_is_dropped(self, got: bytes) -> None:
        cookies = known()
        sent = cookies.option_for(SERVER, T0)
        expected = OK if got[:8] == sent[:8] and 16 <= len(got) <= 40 else WRONG
        assert cookies.check(SERVER, sent, [(CODE, got)], NOERROR, T0) is expected


class TestDoubt:
    """A server that has sent cookies and sends none any more."""

    def miss(self, cookies: Cookies, after: float, *, reliable: bool = False) -> CookieVerdict:
        sent = cookies.option_for(SERVER, T0 + after)
        return cookies.check(SERVER, sent, [], NOERROR, T0 + after, reliable=reliable)

    def test_it_is_believed_after_two_minutes(self) -> None:
        cookies = known()
        assert [self.miss(cookies, after) for after in (10, 60, 10 + DOUBT_AFTER - 1)] == [MISSING] * 3
        assert self.miss(cookies, 10 + DOUBT_AFTER) is OK
        assert cookies.option_for(SERVER, T0 + 10 + DOUBT_AFTER) == b""

    def test_a_cookie_between_shows_that_the_others_were_forged(self) -> None:
        cookies = known()
        assert self.miss(cookies, 10) is MISSING
        sent = cookies.option_for(SERVER, T0 + 100)
        assert cookies.check(SERVER, sent, [(CODE, sent)], NOERROR, T0 + 100) is OK
        assert self.miss(cookies, 10 + DOUBT_AFTER) is MISSING

    def test_over_tcp_it_is_believed_at_once(self) -> None:
        cookies = known()
        assert self.miss(cookies, 10) is MISSING
        assert self.miss(cookies, 11, reliable=True) is OK
        assert cookies.option_for(SERVER, T0 + 12) == b""
        assert self.miss(cookies, 12) is OK

    def test_once_it_is_believed_there_is_no_doubt_any_more(self) -> None:
        cookies = known()
        assert self.miss(cookies, 0, reliable=True) is OK
        assert len(cookies.option_for(SERVER, T0 + RETRY_AFTER)) == 8
        assert self.miss(cookies, RETRY_AFTER) is OK

    def test_the_others_are_not_doubted(self) -> None:
        cookies = known()
        sent = cookies.option_for(OTHER, T0)
        assert cookies.check(OTHER, sent, [], NOERROR, T0) is OK
        assert len(cookies.option_for(SERVER, T0)) == 24


class TestForgetting:
    def test_a_forgotten_server_is_met_anew(self) -> None:
        cookies = known()
        before = cookies.option_for(SERVER, T0)
        cookies.forget(SERVER)
        cookies.forget(OTHER)
        assert cookies.check(SERVER, before, [], NOERROR, T0) is OK
        after = cookies.option_for(SERVER, T0)
        assert len(after) == 8
        assert after != before[:8]

    def test_there_are_not_more_and_more_servers(self) -> None:
        cookies = known()
        sent = [cookies.option_for(f"server {number}", T0) for number in range(MAX_SERVERS)]
        assert repr(cookies) == f"<Cookies servers={MAX_SERVERS} known=0>"  # the first one is forgotten
        assert cookies.option_for("server 0", T0) == sent[0]
        assert cookies.option_for("server 0", T0 + RENEW_AFTER) != sent[0]  # which is not another server
        assert cookies.option_for("server 1", T0) == sent[1]

    def test_clear(self) -> None:
        cookies = known()
        assert repr(cookies) == "<Cookies servers=1 known=1>"
        cookies.clear()
        assert repr(cookies) == "<Cookies servers=0 known=0>"
        assert len(cookies.option_for(SERVER, T0)) == 8
