"""The server port and the clients that people use: dig, kdig and drill, over UDP and TCP."""

import re
import shutil
import subprocess
import threading
from collections.abc import Iterator

import pytest

from dns_server_aids import HOST
from evkit import EventBase
from evkit.dns.server import ServerPort, ServerRequest, Zone
from patience import PATIENCE

pytestmark = pytest.mark.peer

PACKAGES = {"dig": "bind9-dnsutils", "kdig": "knot-dnsutils", "drill": "ldnsutils"}
TEXT = """
$ORIGIN example.org.
$TTL 3600
@ SOA ns hostmaster 1 7200 3600 1209600 300
@ NS ns
@ MX 10 mail
ns A 192.0.2.1
mail A 192.0.2.2
www CNAME mail
sub NS ns.sub
ns.sub A 192.0.2.53
"""
BIG = "".join(f"big A 10.0.{number // 256}.{number % 256}\n" for number in range(600))
"""Its answer has more than 9,600 bytes."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a name server in a thread of its own."""
    zone = Zone.parse(TEXT + BIG)

    def handle(request: ServerRequest) -> None:
        if request.question.name.lower() == "broken.example.org":
            raise LookupError
        zone.handle(request)

    with EventBase() as base:
        base.exception_handler = lambda exception, source: None
        server = ServerPort(base, handle)
        number = server.listen(HOST, 0)
        thread = threading.Thread(target=base.dispatch)
        thread.start()
        yield number
        base.call_soon_threadsafe(server.close)
        thread.join(PATIENCE)


@pytest.fixture(params=PACKAGES)
def tool(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return installed(name)


@pytest.fixture(params=["dig", "kdig"])
def talkative(request: pytest.FixtureRequest) -> str:
    """A tool that has words for EDNS, and shows it."""
    name: str = request.param
    return installed(name)


def installed(name: str) -> str:
    if shutil.which(name) is None:
        pytest.skip(f"needs {name} (Debian package {PACKAGES[name]})")
    return name


def run(tool: str, port: int, *words: str, tcp: bool = False) -> str:
    """Return what the tool says to a question."""
    command = [tool, f"@{HOST}", "-p", str(port)]
    if tcp:
        command.append("-t" if tool == "drill" else "+tcp")
    done = subprocess.run([*command, *words], capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search("malformed|mismatch|warning: (extra|message)|unexpected", done.stdout, re.IGNORECASE)
    return done.stdout


def code(output: str) -> str:
    found = re.search(r"(?:status|rcode): (\w+)", output)
    assert found is not None, output
    return found[1]


@pytest.mark.parametrize("tcp", [False, True])
def test_an_alias_and_its_address(tool: str, port: int, tcp: bool) -> None:
    output = run(tool, port, "www.example.org", "A", tcp=tcp)
    assert code(output) == "NOERROR"
    assert re.search(
        r"^www\.example\.org\.\s+3600\s+IN\s+CNAME\s+mail\.example\.org\.$", output, re.MULTILINE
    )
    assert re.search(r"^mail\.example\.org\.\s+3600\s+IN\s+A\s+192\.0\.2\.2$", output, re.MULTILINE)
    assert re.search(r"(?i)flags: qr aa rd", output)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("nothing.example.org", "NXDOMAIN"), ("example.net", "REFUSED"), ("broken.example.org", "SERVFAIL")],
)
def test_what_is_not_there(tool: str, port: int, name: str, expected: str) -> None:
    output = run(tool, port, name, "A")
    assert code(output) == expected
    assert ("SOA" in output) == (expected == "NXDOMAIN")


def test_a_referral(tool: str, port: int) -> None:
    output = run(tool, port, "host.sub.example.org", "A")
    assert re.search(
        r"^sub\.example\.org\.\s+3600\s+IN\s+NS\s+ns\.sub\.example\.org\.$", output, re.MULTILINE
    )
    assert re.search(r"^ns\.sub\.example\.org\.\s+3600\s+IN\s+A\s+192\.0\.2\.53$", output, re.MULTILINE)
    assert re.search(r"(?i)flags: qr rd", output)


def test_a_long_answer_comes_over_tcp(tool: str, port: int) -> None:
    output = run(tool, port, "big.example.org", "A", *(["-a"] if tool == "drill" else []))
    assert len(re.findall(r"^big\.example\.org\..*\sA\s+10\.0\.", output, re.MULTILINE)) == 600


def test_edns(talkative: str, port: int) -> None:
    output = run(talkative, port, "example.org", "MX", "+dnssec", "+bufsize=4096")
    expected = {
        "dig": "EDNS: version: 0, flags: do; udp: 1232",
        "kdig": "Version: 0; flags: do; UDP size: 1232 B",
    }
    assert expected[talkative] in output


def test_without_edns(talkative: str, port: int) -> None:
    output = run(talkative, port, "example.org", "MX", "+noedns")
    assert "EDNS" not in output
    assert "192.0.2.2" in output


def test_a_version_of_edns_to_come(port: int) -> None:
    output = run(installed("dig"), port, "example.org", "MX", "+edns=1", "+noednsnegotiation")
    assert code(output) == "BADVERS"
