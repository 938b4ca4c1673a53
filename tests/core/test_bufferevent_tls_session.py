"""`TLSSession`: what OpenSSL's answers mean, shown in memory alone."""

import ssl

import pytest

from certificates import Certificates
from evkit.core.bufferevent.tls_session import (
    FAILED,
    HANDSHAKE,
    MAX_RECORD,
    MAX_RECORD_SENT,
    OPEN,
    TLSSession,
    tls_error,
)
from evkit.errors import TLSError

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Two:
    """A client and a server."""

    def __init__(self, certificates: Certificates, version: ssl.TLSVersion) -> None:
        for_client, for_server = certificates.both(version)
        self.client = TLSSession(for_client, server_side=False, server_hostname="localhost", resumed=None)
        self.server = TLSSession(for_server, server_side=True, server_hostname=None, resumed=None)

    def carry(self) -> None:
        self.server.incoming.write(self.client.outgoing.read())
        self.client.incoming.write(self.server.outgoing.read())

    def shake(self) -> "Two":
        done: list[object] = [False, False]
        for _ in range(5):
            done = [session.shake() for session in (self.client, self.server)]
            self.carry()
        assert done == [True, True]
        assert self.client.read(1) is None  # and takes the tickets of TLS 1.3
        return self


@pytest.fixture(params=VERSIONS, ids=str)
def two(request: pytest.FixtureRequest, certificates: Certificates) -> Two:
    return Two(certificates, request.param).shake()


def test_data(two: Two) -> None:
    assert two.client.write(memoryview(b"hello")) == 5
    two.carry()
    assert two.server.has_input is True
    assert two.server.read(2) == b"he"
    assert two.server.has_input is True  # OpenSSL holds the rest
    assert two.server.read(100) == b"llo"
    assert two.server.read(100) is None
    assert [two.server.has_input] == [False]
    assert two.client.outgoing.read() == b""


def test_goodbyes(two: Two) -> None:
    two.client.say_goodbye()
    two.carry()
    two.client.say_goodbye()
    assert two.client.outgoing.read() == b""
    before = two.server.over
    assert two.server.read(1) == b""
    assert (before, two.server.over) == (False, True)
    assert two.server.write(memoryview(b"half-closed")) == 11
    two.carry()
    assert two.client.read(100) == b"half-closed"
    two.server.say_goodbye()
    two.carry()
    assert two.client.read(1) == b""
    error = two.client.write(memoryview(b"x"))
    assert isinstance(error, TLSError)
    assert str(error) == "write: TLS: protocol is shutdown"


def test_the_end_is_told_as_often_as_it_is_asked_for(two: Two) -> None:
    two.client.say_goodbye()
    two.carry()
    assert [two.server.read(1), two.server.read(1)] == [b"", b""]
    assert two.server.has_input is True


def test_what_follows_the_end_is_given_back(two: Two) -> None:
    assert two.server.take_rest() == b""
    two.client.write(memoryview(b"x"))
    two.client.say_goodbye()
    two.server.incoming.write(two.client.outgoing.read() + b"plain")
    assert [two.server.read(9), two.server.take_rest(), two.server.read(9)] == [b"x", b"", b""]
    assert two.server.take_rest() == b"plain"


def test_what_follows_a_bad_record_is_not(two: Two) -> None:
    two.server.incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32) + b"more")
    assert isinstance(two.server.read(1), TLSError)
    assert two.server.take_rest() == b""


def test_what_is_not_read_is_read_after_the_goodbye(two: Two) -> None:
    for data in (b"one", b"two"):
        two.client.write(memoryview(data))
    two.client.say_goodbye()
    two.carry()
    two.server.say_goodbye()
    assert (two.server.over, two.server.has_input) == (True, True)
    assert [two.server.read(2) for _ in range(6)] == [b"on", b"e", b"tw", b"o", b"", b""]
    two.carry()
    assert two.client.read(1) == b""


def test_a_second_goodbye_loses_nothing(two: Two) -> None:
    two.client.write(b"one")
    two.client.say_goodbye()
    two.carry()
    two.server.say_goodbye()
    assert two.server.over
    two.server.say_goodbye()
    assert [two.server.read(9), two.server.read(9)] == [b"one", b""]


def test_what_is_not_read_waits_though_the_peer_has_not_ended(two: Two) -> None:
    two.client.write(memoryview(b"one"))
    two.carry()
    two.server.say_goodbye()
    assert (two.server.over, two.server.has_input) == (False, True)
    assert two.server.read(9) == b"one"
    assert two.server.has_input is False


def test_no_goodbye(two: Two) -> None:
    two.client.forgo_goodbye()
    two.client.say_goodbye()
    assert two.client.outgoing.read() == b""


def test_no_goodbye_in_a_handshake(certificates: Certificates) -> None:
    two = Two(certificates, VERSIONS[1])
    two.client.say_goodbye()
    assert two.client.outgoing.read() == b""
    assert two.client.stage == HANDSHAKE
    two.shake()
    assert two.client.stage == OPEN
    two.client.say_goodbye()
    assert two.client.outgoing.read() != b""


def test_a_record_on_its_way_fits(two: Two) -> None:
    """Who keeps `incoming` below the limit can always feed the rest of a record; the largest ones fit."""
    assert two.client.write(bytes(MAX_RECORD)) == MAX_RECORD
    record = two.client.outgoing.read()
    assert MAX_RECORD < len(record) <= MAX_RECORD_SENT
    two.server.incoming.write(record[:-1])
    assert two.server.read(MAX_RECORD) is None
    assert two.server.incoming.pending == 0  # OpenSSL has it
    two.server.incoming.write(record[-1:])
    assert two.server.read(MAX_RECORD) == bytes(MAX_RECORD)


class TestMore:
    """Whether `read` is worth another call, known without a call."""

    def test_of_a_record(self, two: Two) -> None:
        two.client.write(b"hello")
        two.carry()
        seen = [(two.server.read(size), two.server.more) for size in (2, 3, 1)]
        assert seen[0] == (b"he", True)
        assert seen[1][0] == b"llo"  # as much as was asked for, so it may say either
        assert seen[2][0] is None
        two.client.write(b"hello")
        two.carry()
        assert (two.server.read(6), two.server.more) == (b"hello", False)

    def test_of_two_records(self, two: Two) -> None:
        two.client.write(b"one")
        two.client.write(b"two")
        two.carry()
        seen = [(two.server.read(9), two.server.more) for _ in "12"]
        assert seen == [(b"one", True), (b"two", False)]

    def test_of_the_end(self, two: Two) -> None:
        two.client.write(b"last")
        two.client.say_goodbye()
        two.carry()
        assert (two.server.read(9), two.server.more) == (b"last", True)

    def test_of_what_was_read_ahead(self, two: Two) -> None:
        two.client.write(b"one")
        two.client.write(b"two")
        two.carry()
        two.server.read(9)
        two.server.say_goodbye()
        assert two.server.more
        two.client.write(b"three")
        two.carry()
        two.server.say_goodbye()
        assert [two.server.read(9), two.server.more, two.server.read(9)] == [b"two", True, b"three"]


def test_a_write_that_can_never_be(two: Two) -> None:
    """A renegotiation of TLS 1.2 that the peer has begun and left."""
    two.server.say_goodbye()
    two.carry()
    two.client.read(1)
    two.server.ssl_object = two.client.ssl_object = Waiting()  # type: ignore[assignment]  # all of it that is used
    assert two.server.write(memoryview(b"x")) is None
    two.server.feed_eof()
    for session in (two.client, two.server):
        error = session.write(memoryview(b"x"))
        assert isinstance(error, TLSError)
        assert error.during == "write"


class Waiting:
    """An ``SSLObject`` that waits for its peer."""

    def write(self, data: memoryview) -> int:
        raise ssl.SSLWantReadError


def test_a_stream_that_is_cut(two: Two) -> None:
    two.server.feed_eof()
    error = two.server.read(1)
    assert isinstance(error, TLSError)
    assert str(error) == "read: the stream ended without the peer's close_notify"
    assert (two.server.over, two.server.cut) == (True, True)
    assert two.server.read(1) is error
    assert two.server.write(memoryview(b"though")) == 6
    two.server.say_goodbye()
    two.carry()
    assert [two.client.read(100), two.client.read(100)] == [b"though", b""]
    assert two.client.cut is False


def test_garbage(two: Two) -> None:
    two.server.incoming.write(b"\x17\x03\x03\x00\x20" + bytes(32))
    error = two.server.read(1)
    assert isinstance(error, TLSError)
    assert str(error) == "read: TLS: decryption failed or bad record mac"
    assert error.__traceback__ is None
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is None
    assert error.__cause__.__context__ is None
    assert two.server.outgoing.read()  # the alert
    two.server.say_goodbye()
    assert two.server.read(1) is error


def test_a_handshake_that_fails(certificates: Certificates) -> None:
    two = Two(certificates, VERSIONS[1])
    two.server.incoming.write(b"GET / HTTP/1.1\r\n")
    error = two.server.shake()
    assert isinstance(error, TLSError)
    assert (str(error), error.during) == ("connect: the TLS handshake failed: http request", "connect")


def test_a_handshake_that_is_given_up(certificates: Certificates) -> None:
    two = Two(certificates, VERSIONS[1])
    two.client.fail()
    assert two.client.stage == FAILED


class TestContexts:
    def test_a_server_needs_one(self) -> None:
        with pytest.raises(ValueError, match="a TLS server needs a context"):
            TLSSession(None, server_side=True, server_hostname=None, resumed=None)

    def test_clients_share_one_that_verifies(self) -> None:
        sessions = [
            TLSSession(None, server_side=False, server_hostname="localhost", resumed=None) for _ in "ab"
        ]
        contexts = [session.ssl_object.context for session in sessions]
        assert contexts[0] is contexts[1]
        assert contexts[0].verify_mode == ssl.CERT_REQUIRED
        assert contexts[0].check_hostname

    def test_a_name_is_needed_where_one_is_checked(self, certificates: Certificates) -> None:
        context = certificates.client()
        with pytest.raises(ValueError, match="server_hostname is needed"):
            TLSSession(context, server_side=False, server_hostname=None, resumed=None)
        context.check_hostname = False
        TLSSession(context, server_side=False, server_hostname=None, resumed=None)

    def test_a_server_asks_clients_for_no_name(self, certificates: Certificates) -> None:
        context = certificates.server()
        context.check_hostname = True
        TLSSession(context, server_side=True, server_hostname=None, resumed=None)

    def test_of_the_other_side(self, certificates: Certificates) -> None:
        with pytest.raises(ValueError, match="no TLS session can be made"):
            TLSSession(certificates.client(), server_side=True, server_hostname=None, resumed=None)


def test_a_certificate_that_is_not_trusted(certificates: Certificates) -> None:
    two = Two(certificates, VERSIONS[1])
    two.client = TLSSession(
        ssl.create_default_context(), server_side=False, server_hostname="localhost", resumed=None
    )
    answers = []
    for _ in range(4):
        answers += [two.client.shake(), two.server.shake()]
        two.carry()
    told = [str(answer) for answer in answers if isinstance(answer, TLSError)]
    assert told[0] == (
        "connect: the TLS handshake failed: certificate verify failed: unable to get local issuer certificate"
    )
    assert "alert unknown ca" in told[-1]


def test_an_error_s_context_is_let_go() -> None:
    error = ssl.SSLError(1, "wrong")
    error.__context__ = KeyError()
    assert tls_error(error, "read").__cause__ is error
    assert error.__context__ is None


def test_an_error_without_a_reason() -> None:
    assert (
        str(tls_error(ssl.SSLSyscallError(5, "Some I/O error occurred"), "read"))
        == "read: TLS: Some I/O error occurred"
    )
