"""Each example of names runs as its docstring says, and ends at Ctrl-C without a complaint."""

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dns.message
import dns.query
import dns.rcode

from patience import PATIENCE
from running import Program, port_in

EXAMPLES = Path(__file__).parents[1] / "examples"
HOST = "127.0.0.1"


@contextmanager
def name_server(*arguments: str) -> Iterator[tuple[Program, int]]:
    with Program(EXAMPLES / "name_server.py", "0", *arguments) as program:
        yield program, port_in(program.out.next())
        program.signal(signal.SIGINT)
        assert program.wait() == 0


def ask(port: int, name: str, rdtype: str = "A", *, tcp: bool = False) -> dns.message.Message:
    message = dns.message.make_query(name, rdtype)
    return (dns.query.tcp if tcp else dns.query.udp)(message, HOST, timeout=PATIENCE, port=port)


class TestNameServer:
    def test_its_zone_is_served(self) -> None:
        with name_server() as (program, port):
            assert "<Zone example.org names=" in program.out.seen[0]
            assert [str(rrset) for rrset in ask(port, "www.example.org").answer] == [
                "www.example.org. 3600 IN CNAME mail.example.org.",
                "mail.example.org. 3600 IN A 192.0.2.25",
            ]
            assert str(ask(port, "x.wild.example.org", "TXT", tcp=True).answer[0]).endswith(
                '"any name will do"'
            )
            assert ask(port, "nothing.example.org").rcode() == dns.rcode.NXDOMAIN
            assert ask(port, "example.net").rcode() == dns.rcode.REFUSED

    def test_an_answer_that_is_made_later(self) -> None:
        with name_server() as (_, port):
            (rrset,) = ask(port, "Time.example.org", "TXT").answer
            assert re.search(r'"\d\d:\d\d:\d\d UTC"$', str(rrset))

    def test_what_waits_is_answered_before_it_ends(self) -> None:
        with (
            name_server() as (_, port),
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        ):
            client.settimeout(PATIENCE)
            client.connect((HOST, port))
            client.send(dns.message.make_query("time.example.org", "TXT").to_wire())
            ask(port, "www.example.org")  # the query before this one has come
            waiting = client.dup()
        # By now it has been told to end, and has ended.
        with waiting:
            assert len(dns.message.from_wire(waiting.recv(512)).answer) == 1

    def test_a_zone_of_yours(self, tmp_path: Path) -> None:
        path = tmp_path / "zone"
        path.write_text("$TTL 60\n@ SOA ns root 1 2 3 4 5\n@ NS ns\nns A 192.0.2.9\n", "utf-8")
        with name_server(str(path), "example.net") as (_, port):
            assert str(ask(port, "ns.example.net").answer[0]) == "ns.example.net. 60 IN A 192.0.2.9"
