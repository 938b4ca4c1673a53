"""The face of the resolver: what may be asked for, and how the answer is had; and DNS over TLS to its end."""

import ssl
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from certificates import Certificates
from dns_aids import OPTIONS, TlsConnection, World, outcomes
from every_backend import EVERY_BACKEND
from evkit.dns import Resolver
from evkit.dns.server_address import ServerAddress
from evkit.dns.types import PTR
from evkit.errors import LoopError, NameNotFound, ServerFailure

A1 = "@ 300 IN A 192.0.2.1"


class TestArguments:
    @pytest.mark.parametrize(
        ("name", "asked"),
        [
            ("www.test", "www.test"),
            ("WWW.Test.", "www.test"),
            ("_sip._udp.test", "_sip._udp.test"),
            ("bücher.test", "xn--bcher-kva.test"),
            (r"a\.b.test", r"a\.b.test"),
            (".", "."),
        ],
    )
    def test_names(self, name: str, asked: str) -> None:
        with World() as world:
            for _ in range(2):  # the second time from what is kept
                future = world.resolver.resolve(name, fresh=True)
                query = world.server.query()
                assert query.name.lower() == asked
                query.answer(A1.replace("@", "." if name == "." else "@"))
                assert world.done(future).addresses == ["192.0.2.1"]

    @pytest.mark.parametrize("rdtype", ["AAAA", "aaaa", 28, "TYPE28"])
    def test_types(self, rdtype: str | int) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test", rdtype)
            query = world.server.query()
            assert query.type == "AAAA"
            query.answer("@ 300 IN AAAA 2001:db8::1")
            assert world.done(future).type == "AAAA"

    def test_more_names_than_are_kept(self) -> None:
        with World() as world:
            for index in range(5000):
                world.resolver.resolve(f"{index}.invalid").exception()
            assert len(world.resolver._wires) <= 4096
            assert isinstance(world.resolver.resolve("1.invalid").exception(), NameNotFound)

    def test_tcp(self) -> None:
        with World() as world:
            future = world.resolver.resolve("www.test", tcp=True)
            world.server.accept().query().answer(A1)
            assert outcomes(world.done(future)) == [("tcp", "NOERROR")]

    def test_ignore_tc(self) -> None:
        for options, how in ((OPTIONS, True), (replace(OPTIONS, ignore_tc=True), False)):
            with World(options=options) as world:
                future = world.resolver.resolve("www.test", ignore_tc=how)
                world.server.query().answer(A1, flags="QR TC RD RA")
                assert outcomes(world.done(future)) == [("udp", "NOERROR")]

    def test_after_the_end(self) -> None:
        with World() as world:
            world.resolver.close()
            for ask in (
                lambda: world.resolver.resolve("www.test"),
                lambda: world.resolver.reverse("192.0.2.1"),
                lambda: world.resolver.getaddrinfo("www.test", 80),
                lambda: world.resolver.lookup_addrinfo("www.test", 80),
            ):
                with pytest.raises(LoopError, match="closed"):
                    ask()

    def test_after_the_end_of_the_base(self) -> None:
        world = World()
        world.resolver.close()
        resolver = Resolver(world.base, [world.server.text], conf=None, hosts=None)
        world.base.close()
        world.server.close()
        with pytest.raises(LoopError, match="closed"):
            resolver.resolve("www.test")

    def test_a_server_that_is_none(self) -> None:
        with World() as world, pytest.raises(ValueError, match="expected a name server"):
            Resolver(world.base, ["dns.example"], conf=None, hosts=None)


class TestOptions:
    def test_tcp_always(self) -> None:
        with World(options=replace(OPTIONS, use_vc=True)) as world:
            futures = [world.resolver.resolve("www.test"), world.resolver.getaddrinfo("www.test", 80)]
            connection = world.server.accept()
            for _ in range(2):  # A is asked for once, for both
                query = connection.query()
                query.answer(*([A1] if query.type == "A" else []))
            assert [bool(world.done(future)) for future in futures] == [True, True]
            assert world.server.silent()

    @pytest.mark.parametrize("trusted", [False, True])
    @pytest.mark.parametrize("bit", ["", " AD"])
    def test_whether_the_server_s_word_counts(self, trusted: bool, bit: str) -> None:
        with World(options=replace(OPTIONS, trust_ad=trusted)) as world:
            future = world.resolver.resolve("www.test")
            query = world.server.query()
            assert bool(query.message.flags & 0x20) == trusted
            query.answer(A1, flags="QR RD RA" + bit)
            assert world.done(future).authenticated == (trusted and bit == " AD")
            assert world.resolver.resolve("www.test").result().authenticated == (trusted and bit == " AD")


class TestReverse:
    @pytest.mark.parametrize(
        ("address", "asked"),
        [
            ("192.0.2.1", "1.2.0.192.in-addr.arpa"),
            ("2001:db8::1", "1." + "0." * 23 + "8.b.d.0.1.0.0.2.ip6.arpa"),
        ],
    )
    def test_asks_for_names(self, address: str, asked: str) -> None:
        with World() as world:
            future = world.resolver.reverse(address)
            query = world.server.query()
            assert (query.name.lower(), query.type) == (asked, "PTR")
            query.answer("@ 300 IN PTR www.test.")
            answer = world.done(future)
            assert (answer.type, [record.data for record in answer]) == ("PTR", ["www.test"])
            assert world.resolver.resolve(asked, PTR).result().cached

    @pytest.mark.parametrize("address", ["www.test", "192.0.2", "fe80::1%lo", ""])
    def test_of_an_address(self, address: str) -> None:
        with World() as world, pytest.raises(ValueError, match="expected"):
            world.resolver.reverse(address)


class Secure:
    """A world whose server speaks TLS."""

    def __init__(
        self, certificates: Certificates, name: str = "#localhost", certificate: str = "server"
    ) -> None:
        self.context = certificates.server(certificate)
        self.world = World(given=[], tls=certificates.client())
        self.world.resolver.nameserver_add(f"tls://{self.world.server.text}{name}")

    def accept(self) -> TlsConnection:
        return TlsConnection(self.world.server.accept(), self.context)

    def refused(self) -> str:
        """Return the words of the failure of a server that is not who it should be."""
        future = self.world.resolver.resolve("www.test")
        while not future.done():
            connection = self.accept()
            with suppress(ssl.SSLError, ConnectionError):
                self.world.until(lambda: connection.receive() != b"" or future.done(), "a refusal")  # noqa: B023 - run here
            assert connection.records == []
        error = self.world.failure(future)
        assert type(error) is ServerFailure
        assert {transport for transport, _ in outcomes(error)} == {"tls"}
        return str(error)


class TestTls:
    @pytest.mark.parametrize("name", ["#localhost", ""])
    def test_a_server_that_is_who_it_should_be(self, certificates: Certificates, name: str) -> None:
        secure = Secure(certificates, name)
        with secure.world as world:
            future = world.resolver.resolve("www.test")
            connection = secure.accept()
            connection.query().answer(A1)
            assert outcomes(world.done(future)) == [("tls", "NOERROR")]
            assert world.server.silent()

    def test_one_block_in_one_record(self, certificates: Certificates) -> None:
        secure = Secure(certificates)
        with secure.world as world:
            future = world.resolver.resolve("www.test")
            connection = secure.accept()
            query = connection.query()
            assert query.options() == {12: bytes(128 - len(b"\3www\4test\0") - 12 - 4 - 11 - 4)}
            query.answer(A1)
            world.done(future)
            assert [len(record) for record in connection.records if record] == [2 + 128]

    def test_questions_follow_each_other_and_are_answered_in_any_order(
        self, certificates: Certificates
    ) -> None:
        secure = Secure(certificates)
        with secure.world as world:
            futures = [world.resolver.resolve(f"{index}.test") for index in range(10)]
            connection = secure.accept()
            queries = [connection.query() for _ in futures]
            for query in reversed(queries):
                query.answer(A1)
            assert all(world.done(future).addresses == ["192.0.2.1"] for future in futures)
            assert world.server.silent()

    def test_is_kept_for_a_while(self, certificates: Certificates) -> None:
        secure = Secure(certificates)
        with secure.world as world:
            connection = None
            for index in range(3):
                future = world.resolver.resolve(f"{index}.test")
                connection = connection or secure.accept()
                connection.query().answer(A1)
                world.done(future)
                world.pass_time(4.0)
            assert connection is not None
            world.pass_time(1.0)
            assert connection.at_end()
            future = world.resolver.resolve("again.test")
            secure.accept().query().answer(A1)
            world.done(future)

    def test_a_server_with_another_name(self, certificates: Certificates) -> None:
        secure = Secure(certificates, "#dns.example")
        with secure.world:
            assert "Hostname mismatch" in secure.refused()

    def test_a_server_that_nobody_vouches_for(self, certificates: Certificates) -> None:
        secure = Secure(certificates, certificate="self-signed")
        with secure.world:
            assert "self-signed certificate" in secure.refused()

    def test_a_server_whose_certificate_is_too_old(self, certificates: Certificates) -> None:
        secure = Secure(certificates, certificate="expired")
        with secure.world:
            assert "expired" in secure.refused()

    def test_a_server_that_speaks_no_tls(self, certificates: Certificates) -> None:
        secure = Secure(certificates)
        with secure.world as world:
            future = world.resolver.resolve("www.test")
            while not future.done():
                connection = world.server.accept()
                connection.send_raw(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                connection.close()
            assert type(world.failure(future)) is ServerFailure

    def test_a_name_that_can_not_be_checked(self) -> None:
        with World() as world:
            world.resolver.clear_nameservers_and_suspend()
            world.resolver.nameserver_add(ServerAddress(("127.0.0.1", world.server.port), "tls", "a" * 300))
            world.resolver.resume()
            error = world.failure(world.resolver.resolve("www.test"))
            assert type(error) is ServerFailure
            assert world.server.silent()

    @pytest.mark.parametrize("backend", EVERY_BACKEND)
    def test_nothing_is_left_of_what_was_given_up(self, certificates: Certificates, backend: str) -> None:
        world = World(given=[], tls=certificates.client(), make_backend=EVERY_BACKEND[backend])
        with world:
            world.resolver.nameserver_add(f"tls://{world.server.text}#localhost")
            future = world.resolver.resolve("www.test")
            world.server.accept()  # and nothing is said
            assert future.cancel()


def test_a_program_needs_no_more_than_this(tmp_path: Path) -> None:
    conf, hosts = tmp_path / "resolv.conf", tmp_path / "hosts"
    conf.write_text("nameserver 192.0.2.53\noptions timeout:1\n")
    hosts.write_text("192.0.2.7 box\n")
    with World() as world, Resolver(world.base, conf=str(conf), hosts=str(hosts)) as resolver:
        assert resolver.getaddrinfo("box", 80).result() == [("192.0.2.7", 80)]
        assert resolver.options.timeout == 1.0
