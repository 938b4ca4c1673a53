"""`TLSSession`: what OpenSSL's answers mean, shown in memory alone."""

import ssl

import pytest

from certificates import Certificates, make_certificates  # noqa: F401 - a fixture
from evkit.core.bufferevent.tls_session import TLSSession, tls_error
from evkit.errors import TLSError

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Two:
    """A client and a server."""

    def __init__(self, certificates: Certificates, version: ssl.TLSVersion) -> None:
        for_client, for_server = certificates.both(version)
        self.client = TLSSession(for_client, server_side=False, server_hostname="localhost", resumed=None)
        self.server = TLSSession(for_server, server_side=True, server_hostname=None, resumed=None)

    def carry(self) -> None:
        self.server.feed([memoryview(self.client.take())])
        self.client.feed([memoryview(self.server.take())])

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
    assert two.client.take() == b""


def test_goodbyes(two: Two) -> None:
    two.client.say_goodbye()
    two.client.say_goodbye()
    assert two.client.said_goodbye
    two.carry()
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


def test_nothing_is_taken_after_the_end(two: Two) -> None:
    two.client.say_goodbye()
    two.carry()
    two.server.read(1)
    two.server.feed([memoryview(bytes(1000))])
    assert not two.server.has_input


def test_a_stream_that_is_cut(two: Two) -> None:
    two.server.feed_eof()
    error = two.server.read(1)
    assert isinstance(error, TLSError)
    assert isinstance(error.__cause__, ssl.SSLEOFError)
    assert two.server.over


def test_garbage(two: Two) -> None:
    two.server.feed([memoryview(b"\x17\x03\x03\x00\x20" + bytes(32))])
    error = two.server.read(1)
    assert isinstance(error, TLSError)
    assert str(error) == "read: TLS: decryption failed or bad record mac"
    assert error.__traceback__ is None
    assert error.__cause__ is not None
    assert error.__cause__.__traceback__ is None
    assert error.__cause__.__context__ is None
    assert two.server.take()  # the alert
    two.server.say_goodbye()


def test_a_handshake_that_fails(certificates: Certificates) -> None:
    two = Two(certificates, VERSIONS[1])
    two.server.feed([memoryview(b"GET / HTTP/1.1\r\n")])
    error = two.server.shake()
    assert isinstance(error, TLSError)
    assert (str(error), error.during) == ("connect: the TLS handshake failed: http request", "connect")


def test_an_error_without_a_reason() -> None:
    assert (
        str(tls_error(ssl.SSLSyscallError(5, "Some I/O error occurred"), "read"))
        == "read: TLS: Some I/O error occurred"
    )
