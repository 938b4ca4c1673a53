"""``evkit get`` against a server in a thread: what it writes, what it tells, and how it ends."""

import gzip
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from certificates import Certificates
from evkit import supported_methods
from evkit.cli import main
from evkit.http import Request, Server
from http_server_aids import Served, served
from patience import PATIENCE

BINARY = bytes(range(256)) * 1000


def echo(request: Request) -> None:
    told = {
        "method": request.method,
        "target": request.target,
        "headers": {name.lower(): value for name, value in request.headers},
        "body": request.body.decode("latin-1"),
    }
    request.send_reply(200, json.dumps(told), [("Content-Type", "application/json; charset=utf-8")])


def move(request: Request) -> None:
    request.send_reply(302, "moved\n", [("Location", "/text"), ("Set-Cookie", "a=b")])


def in_pieces(request: Request) -> None:
    request.send_informational(103, [("Link", "</style.css>")])
    request.send_reply_start(200, [("Content-Type", "text/plain")])
    request.send_reply_chunk("one ")
    request.send_reply_chunk("two\n")
    request.send_reply_end([("Checked", "yes")])


def cut_off(request: Request) -> None:
    request.send_reply_start(200, [("Content-Length", "100")])
    request.send_reply_chunk("half", drained=request.abort)


def stall(request: Request) -> None:
    coded = [("Content-Encoding", "gzip")] if request.query == "gzip" else []
    request.send_reply_start(200, [("Content-Length", "4096"), *coded])
    request.send_reply_chunk(b"x" * 1024 if not coded else gzip.compress(b"x" * 1024, mtime=0))


def greet(request: Request) -> None:
    """Send the client round until it has the cookie."""
    if request.headers.get("Cookie") == "seen=yes":
        request.send_reply(200, "welcome\n")
    else:
        request.send_reply(302, "", [("Location", "/greet"), ("Set-Cookie", "seen=yes")])


class Busy:
    """Answers the third time."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, request: Request) -> None:
        self.asked += 1
        request.send_reply(200 if self.asked % 3 == 0 else 503, f"{self.asked}\n", [("Retry-After", "0")])


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


def set_up(server: Server) -> None:
    server.set_gencb(echo)
    server.set_cb(
        "/text", lambda request: request.send_reply(200, "grüß\n", [("Content-Type", "text/plain")])
    )
    server.set_cb("/binary", lambda request: request.send_reply(200, BINARY, [("Content-Type", "image/x")]))
    as_json = [("Content-Type", "a/b+json")]
    server.set_cb("/wrong", lambda request: request.send_reply(200, "NaN", as_json))
    server.set_cb("/huge", lambda request: request.send_reply(200, "[1e999]", as_json))
    server.set_cb("/deep", lambda request: request.send_reply(200, nested(int(request.query)), as_json))
    server.set_cb(
        "/gzip",
        lambda request: request.send_reply(200, gzip.compress(b"hello"), [("Content-Encoding", "gzip")]),
    )
    server.set_cb("/gone", lambda request: request.send_error(404, "nothing here"))
    server.set_cb("/moved", move)
    server.set_cb("/pieces", in_pieces)
    server.set_cb("/cut", cut_off)
    server.set_cb("/stall", stall)
    server.set_cb("/greet", greet)
    server.set_cb("/nul", lambda request: request.send_reply(200, b"a\0b"))
    server.set_cb("/latin", lambda request: request.send_reply(200, b"gr\xfc\xdf"))
    server.set_cb("/never", lambda request: None)
    server.set_cb("/busy", Busy())


@pytest.fixture(scope="module")
def site() -> Iterator[Served]:
    with served(set_up) as found:
        yield found


class Done(NamedTuple):
    status: int
    out: bytes
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Shell:
    """Runs the command in this process, in a folder of its own, without the environment's proxies."""

    def __init__(self, site: Served, capfd: pytest.CaptureFixture[bytes]) -> None:
        self.site = site
        self._capfd = capfd

    def get(self, path: str, *options: str) -> Done:
        url = path if "://" in path else self.site.url + path
        status = main(["get", *options, url])
        return Done(status, *self._read())

    def _read(self) -> tuple[bytes, str]:
        out, err = self._capfd.readouterr()
        return out, err.decode()


@pytest.fixture
def shell(
    site: Served, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Shell:
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    return Shell(site, capfdbinary)


def files() -> set[str]:
    return {path.name for path in Path().iterdir()}


def test_the_body_comes_out_and_nothing_else(shell: Shell) -> None:
    assert shell.get("/text") == (0, "grüß\n".encode(), "")
    assert shell.get("/binary") == (0, BINARY, "")
    done = shell.get("/gone")
    assert (done.status, done.err) == (0, "")
    assert b"nothing here" in done.out


def test_redirects_are_followed_unless_not_wanted(shell: Shell) -> None:
    assert shell.get("/moved").out == "grüß\n".encode()
    assert shell.get("/moved", "--no-location").out == b"moved\n"


def test_cookies_are_kept_on_the_way(shell: Shell) -> None:
    assert shell.get("/greet").out == b"welcome\n"


def test_what_is_sent(shell: Shell) -> None:
    seen = shell.get("/a?b", "-X", "PATCH", "-H", "X-A: b", "-d", "x=y", "-u", "me:secret").json
    assert (seen["method"], seen["target"], seen["body"]) == ("PATCH", "/a?b", "x=y")
    assert seen["headers"]["x-a"] == "b"
    assert seen["headers"]["content-type"] == "application/x-www-form-urlencoded"
    assert seen["headers"]["authorization"] == f"Basic {b64encode(b'me:secret').decode()}"
    seen = shell.get("/", "--form", "a=1 2", "--form", "b=ü").json
    assert (seen["method"], seen["body"]) == ("POST", "a=1+2&b=%C3%BC")
    Path("file").write_bytes(b"of a file")
    seen = shell.get("/", "-T", "file").json
    assert (seen["method"], seen["body"], seen["headers"]["content-length"]) == ("PUT", "of a file", "9")


def test_a_compressed_body_is_expanded_unless_not_wanted(shell: Shell) -> None:
    assert shell.get("/gzip").out == b"hello"
    assert gzip.decompress(shell.get("/gzip", "--no-compressed").out) == b"hello"
    assert "gzip" in shell.get("/").json["headers"]["accept-encoding"]
    assert "accept-encoding" not in shell.get("/", "--no-compressed").json["headers"]


def test_the_head(shell: Shell) -> None:
    done = shell.get("/text", "-I")
    assert (done.status, done.err) == (0, "")
    lines = done.out.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert lines[-2:] == ["", ""]
    assert {"Content-Type: text/plain", "Content-Length: 7"} <= set(lines)
    assert shell.site.log[-1][:2] == ("HEAD", "/text")


def test_the_head_before_the_body(shell: Shell) -> None:
    head, _, body = shell.get("/text", "-i").out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body == "grüß\n".encode()
    shell.get("/text", "-i", "-o", "both")
    assert Path("both").read_bytes().endswith(b"\r\n\r\n" + body)


def test_the_heads_for_people(shell: Shell) -> None:
    done = shell.get("/moved", "-v")
    assert done.out == "grüß\n".encode()
    lines = [line for line in done.err.splitlines() if not line.startswith("< Date")]
    assert lines == [
        f"> GET {shell.site.url}/moved",
        "< HTTP/1.1 302 Found",
        "< Location: /text",
        "< Set-Cookie: a=b",
        "< Content-Length: 6",
        f"> GET {shell.site.url}/text",
        "< HTTP/1.1 200 OK",
        "< Content-Type: text/plain",
        "< Content-Length: 7",
    ]
    done = shell.get("/pieces", "-v")
    assert done.out == b"one two\n"
    assert "< HTTP/1.1 103" in done.err
    assert "< Link: </style.css>" in done.err


def test_into_a_file(shell: Shell) -> None:
    assert shell.get("/binary", "-o", "saved") == (0, b"", "")
    assert Path("saved").read_bytes() == BINARY
    assert shell.get("/a%2Fb/binary.txt?x=/y", "-O").status == 0
    assert shell.get("/..%2f.hidden", "-O").status == 0
    assert shell.get("/100%", "-O").status == 0
    assert files() == {"saved", "binary.txt", "_.hidden", "100%"}


@pytest.mark.parametrize("path", ["", "/", "/folder/"])
def test_a_url_without_a_name_at_its_end(shell: Shell, path: str) -> None:
    done = shell.get(path, "-O")
    assert (done.status, done.out) == (2, b"")
    assert done.err == "evkit get: error: the URL has no name at its end: say -o FILE\n"


def test_as_json(shell: Shell) -> None:
    done = shell.get("/moved", "--json")
    headers = done.json.pop("headers")
    found = {name: value for name, value in done.json.items() if name != "headers"}
    assert found == {
        "url": f"{shell.site.url}/text",
        "method": "GET",
        "version": "1.1",
        "status": 200,
        "reason": "OK",
        "trailers": {},
        "redirects": [{"url": f"{shell.site.url}/moved", "status": 302, "location": "/text"}],
        "encoding": "text",
        "body": "grüß\n",
    }
    assert headers["content-type"] == ["text/plain"]
    assert shell.get("/pieces", "--json").json["trailers"] == {"checked": ["yes"]}
    assert shell.get("/gone", "--json").json["status"] == 404


def test_as_json_with_bodies_of_other_kinds(shell: Shell) -> None:
    found = shell.get("/x", "--json").json
    assert (found["encoding"], found["body"]["target"]) == ("json", "/x")
    found = shell.get("/binary", "--json").json
    assert (found["encoding"], found["body"]) == ("base64", b64encode(BINARY).decode())
    for path, body in (("/nul", b"a\0b"), ("/latin", b"gr\xfc\xdf")):
        found = shell.get(path, "--json").json
        assert (found["encoding"], found["body"]) == ("base64", b64encode(body).decode())
    for path, text in (("/wrong", "NaN"), ("/huge", "[1e999]"), ("/deep?9999", nested(9999))):
        found = shell.get(path, "--json").json
        assert (found["encoding"], found["body"]) == ("text", text)
    found = shell.get("/text", "--json", "-I").json
    assert (found["method"], found["encoding"], found["body"]) == ("HEAD", "text", "")


@pytest.mark.parametrize("depth", [100, 300, 500, 700, 800, 900, 950, 980, 1000, 1100])
def test_as_json_however_deep_it_is(shell: Shell, depth: int) -> None:
    done = shell.get(f"/deep?{depth}", "--json")
    assert (done.status, done.err) == (0, "")
    assert (b'"encoding": "json"' in done.out) or (nested(depth).encode() in done.out)


def test_as_json_with_the_body_in_a_file(shell: Shell) -> None:
    found = shell.get("/gzip", "--json", "-o", "saved").json
    assert (found["file"], found["size"]) == ("saved", 5)
    assert "body" not in found
    assert Path("saved").read_bytes() == b"hello"
    assert shell.get("/gzip", "--json", "-o", "-").json["body"] == "hello"
    assert files() == {"saved"}


def test_a_status_of_an_error_is_a_failure_on_demand(shell: Shell) -> None:
    done = shell.get("/gone", "-f", "-o", "saved")
    assert (done.status, done.out) == (22, b"")
    assert done.err == f"evkit get: error: the server says 404 Not Found for {shell.site.url}/gone\n"
    assert files() == set()
    assert shell.get("/text", "-f").status == 0


def test_a_busy_server_is_asked_again_on_demand(shell: Shell) -> None:
    assert shell.get("/busy", "--retry", "2").out == b"3\n"
    assert shell.get("/busy").out == b"4\n"
    assert shell.get("/busy", "-f").status == 22
    assert shell.get("/busy").out == b"6\n"


def test_a_body_that_is_cut_off_leaves_no_file(shell: Shell) -> None:
    done = shell.get("/cut", "-o", "saved")
    assert (done.status, done.out) == (1, b"")
    assert "the connection ended after 4 of 100 bytes of a body" in done.err
    assert done.err.count("\n") == 1
    assert files() == set()


@pytest.mark.parametrize("path", ["/never", "/stall"])
def test_time_is_up(shell: Shell, path: str) -> None:
    done = shell.get(path, "-m", "0.1", "-o", "saved")
    assert (done.status, done.out) == (1, b"")
    assert " within 0.1 s" in done.err
    assert done.err.count("\n") == 1
    assert files() == set()


@pytest.mark.parametrize(
    ("url", "options", "status", "said"),
    [
        ("ftp://a/", [], 2, "expected a URL of http or https, got 'ftp'"),
        ("http://", [], 2, "expected a URL as http://host/path"),
        ("http://[", [], 2, "expected an IPv6 address in brackets"),
        ("/", ["-H", "a b: c"], 2, "expected a header field of a token"),
        ("/", ["-H", "a: \r\nb: c"], 2, "expected a header field of a token"),
        ("/", ["-X", "A B"], 2, "expected a method"),
        ("/", ["-I", "-X", "GET"], 2, "two methods"),
        ("/", ["-o", "missing/file"], 1, "missing/file can't be written to: No such file or directory"),
        ("/", ["-o", "a", "-O"], 2, "not allowed with argument"),
        ("/", ["-i", "--json"], 2, "not allowed with argument"),
        ("/", ["--unix", "missing"], 1, "No such file or directory"),
        ("/", ["--unix", "a" * 200], 1, "AF_UNIX path too long"),
        ("/", ["-x", "socks5://a"], 2, "--proxy: expected a URL of http or https"),
        ("http://a.invalid/", ["--bogus"], 2, "unrecognized arguments: --bogus"),
    ],
)
def test_what_goes_wrong_is_told_in_one_line(
    shell: Shell, url: str, options: list[str], status: int, said: str
) -> None:
    done = shell.get(url, *options)
    assert (done.status, done.out) == (status, b"")
    assert done.err.startswith("evkit get: error: ")
    assert said in done.err
    assert done.err.count("\n") == 1
    assert files() == set()


def test_nobody_is_there(shell: Shell) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    done = shell.get(f"http://127.0.0.1:{port}/", "--retry", "1")
    assert (done.status, done.out) == (1, b"")
    assert done.err.startswith(f"evkit get: error: GET http://127.0.0.1:{port}/, attempt 2: connect: ")


def test_no_backend(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in supported_methods():
        monkeypatch.setenv(f"EVENT_NO{name.upper()}", "1")
    done = shell.get("/text")
    assert (done.status, done.out) == (1, b"")
    assert done.err.startswith("evkit get: error: no backend")


def test_through_a_proxy(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = shell.get("http://far.invalid/x", "-x", shell.site.url).json
    assert (seen["target"], seen["headers"]["host"]) == ("http://far.invalid/x", "far.invalid")
    monkeypatch.setenv("http_proxy", shell.site.url)
    assert shell.get("http://far.invalid/y").json["target"] == "http://far.invalid/y"
    assert shell.get("/direct", "-x", "none").json["target"] == "/direct"


def test_over_a_unix_socket(shell: Shell) -> None:
    path = str(Path("socket").resolve())
    with served(lambda server: (server.set_gencb(echo), server.bind_unix(path))):
        assert shell.get("http://any.invalid/x", "--unix", path).json["headers"]["host"] == "any.invalid"


def test_certificates_are_checked(shell: Shell, certificates: Certificates) -> None:
    with served(set_up, tls=certificates.server()) as site:
        done = shell.get(f"{site.url}/text")
        assert done.status == 1
        assert "certificate" in done.err
        assert shell.get(f"{site.url}/text", "-k").out == "grüß\n".encode()
        assert shell.get(f"{site.url}/text", "--cacert", certificates.path("ca")).out == "grüß\n".encode()
        done = shell.get(f"{site.url}/text", "--cacert", certificates.path("self-signed"))
        assert done.status == 1


def test_a_certificate_is_shown(shell: Shell, certificates: Certificates) -> None:
    context = certificates.server()
    context.load_verify_locations(certificates.path("ca"))
    context.verify_mode = context.verify_mode.CERT_REQUIRED
    trust = ["--cacert", certificates.path("ca")]
    with served(set_up, tls=context) as site:
        assert shell.get(f"{site.url}/text", *trust).status == 1
        shown = ["--cert", certificates.path("client")]
        assert shell.get(f"{site.url}/text", *trust, *shown).out == "grüß\n".encode()


# In a process of its own

COMMAND = [sys.executable, "-X", "dev", "-m", "evkit", "get"]


class AtTerminal:
    """The command as a process whose standard error is a terminal."""

    def __init__(self, *arguments: str, both: bool = False) -> None:
        self._screen, terminal = pty.openpty()
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=terminal if both else subprocess.DEVNULL,
            stderr=terminal,
        )
        os.close(terminal)
        self.seen = ""

    def read_until(self, text: str) -> None:
        while text not in self.seen:
            self.seen += os.read(self._screen, 65536).decode()

    def end(self) -> int:
        """Read the rest, and return the status."""
        try:
            while data := os.read(self._screen, 65536):
                self.seen += data.decode()
        except OSError:
            pass  # nobody writes to the terminal any more
        os.close(self._screen)
        return self.process.wait(PATIENCE)


def test_progress_is_shown_at_a_terminal_and_ctrl_c_ends_it(site: Served, tmp_path: Path) -> None:
    path = tmp_path / "file"
    command = AtTerminal("-o", str(path), f"{site.url}/stall")
    command.read_until("1.0 KiB of 4.0 KiB")
    assert (tmp_path / "file.part").exists()
    command.process.send_signal(signal.SIGINT)
    assert command.end() == 130
    assert "Traceback" not in command.seen
    assert command.seen.endswith("\r\n")
    assert list(tmp_path.iterdir()) == []


def test_no_progress_where_it_is_not_wanted(site: Served) -> None:
    command = AtTerminal("-s", "-m", "0.5", f"{site.url}/stall")
    assert command.end() == 1
    assert command.seen == "evkit get: error: not done within 0.5 s\r\n"


def test_progress_of_a_compressed_body_has_no_total(site: Served) -> None:
    for option, said in (("-s", ""), ("-v", "1.0 KiB, "), ("--no-compressed", " of 4.0 KiB, ")):
        command = AtTerminal(option, "-m", "0.5", f"{site.url}/stall?gzip")
        assert command.end() == 1
        assert said in command.seen
        assert ("of 4.0 KiB" in command.seen) == (option == "--no-compressed")


def test_no_progress_in_the_middle_of_the_body(site: Served) -> None:
    command = AtTerminal("-m", "0.5", f"{site.url}/stall", both=True)
    assert command.end() == 1
    assert command.seen == "x" * 1024 + "evkit get: error: not done within 0.5 s\r\n"
    command = AtTerminal(f"{site.url}/text", both=True)
    assert command.end() == 0
    assert command.seen == "grüß\r\n"
    command = AtTerminal(f"{site.url}/binary", both=True)
    assert command.end() == 1
    assert command.seen == (
        "evkit get: error: the body is binary, and not for a terminal: -o FILE saves it, -o - shows it all the same\r\n"
    )


def test_a_reader_that_has_gone_is_no_traceback(site: Served) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [*COMMAND, f"{site.url}/binary"], stdout=writer, stderr=subprocess.PIPE, timeout=PATIENCE, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (1, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(site: Served) -> None:
    with open("/dev/full", "wb") as full:
        done = subprocess.run(
            [*COMMAND, f"{site.url}/binary"],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == b"evkit get: error: standard output can't be written to: No space left on device\n"


def test_what_plain_http_does_not_need_is_not_imported(site: Served) -> None:
    code = (
        "import sys; from evkit.cli import main; "
        "main(['get', '-s', sys.argv[1]]); print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, f"{site.url}/text"], capture_output=True, timeout=PATIENCE, check=True
    )
    modules = set(done.stderr.decode().split())
    assert "evkit.cli.get" in modules
    assert not modules & {"ssl", "asyncio", "evkit.cli.serve", "evkit.cli.info", "h11"}


def test_help(capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["get", "--help"]) == 0
    out, err = capfd.readouterr()
    assert out.startswith("usage: evkit get [OPTION ...] URL\n")
    assert err == ""
