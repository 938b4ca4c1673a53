"""What a machine can check of the documentation: names, defaults and links are right, samples compile and run."""

import builtins
import concurrent.futures
import enum
import importlib
import importlib.util
import inspect
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import Field, fields
from pathlib import Path
from typing import NamedTuple

import pytest

import evkit
import evkit.dns
import evkit.http
import evkit.http.websocket
import evkit.rpc
import evkit.rpc.protocol
import evkit.testing
from evkit import (
    Buffer,
    DatagramEndpoint,
    Event,
    EventBase,
    EventBaseThread,
    Framed,
    Future,
    Listener,
    PairBufferEvent,
    RateLimitGroup,
    SocketBufferEvent,
    TLSBufferEvent,
    Watcher,
)
from evkit.cli.parser import Parser
from evkit.core.buffer import DEFAULT_MAX_READ
from evkit.core.buffer.chain import COALESCE
from evkit.core.buffer.flow import MAX_IOVEC
from evkit.core.bufferevent.layer_output import DEFAULT_WRITE_HIGH
from evkit.core.bufferevent.socket import DEFAULT_MAX_SINGLE_READ
from evkit.core.bufferevent.tls import DEFAULT_HANDSHAKE_TIMEOUT, DEFAULT_SHUTDOWN_TIMEOUT
from evkit.core.datagram import DEFAULT_MAX_QUEUE
from evkit.core.framing import DEFAULT_MAX_LINE, DEFAULT_MAX_MESSAGE
from evkit.core.listener import _PAUSE
from evkit.core.piping import DEFAULT_HIGH
from evkit.dns import Answer, Record, Resolver, ResolverOptions
from evkit.http import (
    BodyStream,
    Client,
    ClientTimeouts,
    Limits,
    Redirects,
    Response,
    Retries,
    RetryBudget,
    ReverseProxy,
    Server,
    Timeouts,
)
from evkit.http.client.call import _MAX_SKIPPED
from evkit.http.client.connection import _MAX_INTERIM
from evkit.http.client.decoding import MAX_RATIO
from evkit.http.parser import RESPONSE_LIMITS
from evkit.http.server import connection, exchange, farewell
from evkit.http.server.server import DEFAULT_MAX_BODY, DEFAULT_MAX_CONNECTIONS
from evkit.http.websocket import Deflate, WebSocket, WebSocketGroup, WebSocketOptions, connect, upgrade
from patience import PATIENCE

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
RUNS = "# runs\n"
NONE = "\u2013"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CODE = re.compile(r"`([^`]+)`")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


class Sample(NamedTuple):
    where: str
    source: str


class Row(NamedTuple):
    libevent: str
    ours: str
    remark: str


def samples() -> Iterator[Sample]:
    for page in PAGES:
        text = page.read_text("utf-8")
        for match in _FENCE.finditer(text):
            if match[1] == "python":
                line = text.count("\n", 0, match.start()) + 2
                yield Sample(f"{page.relative_to(ROOT)}:{line}", match[2])


def rows() -> list[Row]:
    """Return the rows of the tables of docs/libevent.md, their heads left out."""
    found = []
    for line in (ROOT / "docs/libevent.md").read_text("utf-8").splitlines():
        if line.startswith("| ") and not line.startswith(("| ---", "| libevent |")):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            assert len(cells) == 3, line
            found.append(Row(*cells))
    return found


def names(cell: str) -> list[str]:
    return [str(name) for name in _CODE.findall(cell)]


def exists(name: str) -> bool:
    """Return whether ``name`` stands for something: dotted from a module, or from what `evkit` exports."""
    parts = name.split(".")
    found: object = evkit
    if parts[0] == "evkit":
        parts = parts[1:]
        path = "evkit"
        while parts and hasattr(found, "__path__") and importlib.util.find_spec(f"{path}.{parts[0]}"):
            path += f".{parts.pop(0)}"
            found = importlib.import_module(path)
    for part in parts:
        found = _with_attributes(found)
        if not hasattr(found, part):
            return False
        found = getattr(found, part)
    return True


def _with_attributes(found: object) -> object:
    """Return an object of those classes whose attributes are on their objects alone."""
    if found in (EventBase, Server, evkit.rpc.Server):
        base = EventBase()
        made = base if found is EventBase else found(base)  # type: ignore[operator]  # one of the two servers
        base.close()
        return made
    return found


LIBEVENT_ROWS = rows()


@pytest.mark.parametrize("name", sorted({name for row in LIBEVENT_ROWS for name in names(row.ours)}))
def test_name_of_the_table_exists(name: str) -> None:
    assert exists(name)


def test_a_name_that_does_not_exist_is_noticed() -> None:
    for name in ("EventBase.nothing", "evkit.nothing", "Nothing", "evkit.core.net.nothing"):
        assert not exists(name)


@pytest.mark.parametrize("row", LIBEVENT_ROWS, ids=lambda row: names(row.libevent)[0])
def test_row_says_what_to_use_or_why_there_is_nothing(row: Row) -> None:
    assert names(row.libevent)
    assert names(row.ours) or (row.ours == NONE and row.remark)


def test_table_names_each_function_once() -> None:
    listed = [name for row in LIBEVENT_ROWS for name in names(row.libevent)]
    assert len(listed) > 400
    assert sorted(listed) == sorted(set(listed))


@pytest.mark.parametrize("constant", ["FEATURE", "LOG", "COUNT", "BASE", "EOL", "EV", "EVLOOP", "BEV_EVENT"])
def test_constants_in_the_pages_exist(constant: str) -> None:
    # EV_FINALIZE and the like must not be taught before they are there.
    pattern = re.compile(rf"\b{constant}_[A-Z0-9_]+\b")
    used = {name for page in PAGES for name in pattern.findall(page.read_text("utf-8"))}
    assert {name for name in used if not hasattr(evkit, name)} <= _OF_LIBEVENT


_OF_LIBEVENT = {"EV_RATE_LIMIT_MAX"}


def default_beside(page: str, setting: str) -> float | None:
    """Return the number in the row of a table that has ``setting`` in it; None where it says "none"."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    (row,) = [line for line in text.splitlines() if line.startswith("| ") and setting in line]
    for cell in row.strip("|").split("|"):
        number = re.fullmatch(r"([0-9,.]+)( bytes| s)?", cell.strip())
        if number:
            return float(number[1].replace(",", ""))
    assert "| none |" in row
    return None


@pytest.mark.parametrize("field", fields(Limits), ids=lambda field: field.name)
def test_default_limit(field: Field[int]) -> None:
    assert default_beside("http.md", f"`Limits({field.name}=…)`") == getattr(Limits(), field.name)


@pytest.mark.parametrize("field", fields(Timeouts), ids=lambda field: field.name)
def test_default_time_out(field: Field[float]) -> None:
    assert default_beside("http.md", f"`Timeouts({field.name}=…)`") == getattr(Timeouts(), field.name)


@pytest.mark.parametrize("field", fields(ClientTimeouts), ids=lambda field: field.name)
def test_default_time_out_of_clients(field: Field[float]) -> None:
    setting = f"`ClientTimeouts({field.name}=…)`"
    assert default_beside("http-client.md", setting) == getattr(ClientTimeouts(), field.name)


@pytest.mark.parametrize("field", fields(Limits)[1:], ids=lambda field: field.name)
def test_default_limit_of_responses(field: Field[int]) -> None:
    assert default_beside("http-client.md", f"`Limits({field.name}=…)`") == getattr(
        RESPONSE_LIMITS, field.name
    )


@pytest.mark.parametrize("option", ["max_body", "max_connections", "max_per_host", "idle"])
def test_default_of_clients(option: str) -> None:
    assert default_beside("http-client.md", f"`Client({option}=…)`") == keywords(Client.__init__)[option]


@pytest.mark.parametrize(
    ("page", "setting", "default"),
    [
        ("http-client.md", "interim responses to one request", _MAX_INTERIM),
        ("http-client.md", "body of a redirect", _MAX_SKIPPED),
        ("http.md", "`Server(max_body=…)`", DEFAULT_MAX_BODY),
        ("http.md", "`Server(max_connections=…)`", DEFAULT_MAX_CONNECTIONS),
        ("http.md", "pipelined requests", connection._MAX_INPUT),
        ("http.md", "does not read", exchange.MAX_OUTPUT),
        ("http.md", "after the last reply |", farewell._MAX_DISCARDED),
        ("connections.md", "`max_single_read`", DEFAULT_MAX_SINGLE_READ),
        ("connections.md", "`LineFraming(", DEFAULT_MAX_LINE),
        ("connections.md", "`LengthFraming(", DEFAULT_MAX_MESSAGE),
        ("connections.md", "`high`", DEFAULT_HIGH),
        ("tls.md", "`handshake_timeout`", DEFAULT_HANDSHAKE_TIMEOUT),
    ],
)
def test_other_default(page: str, setting: str, default: int) -> None:
    assert default_beside(page, setting) == default


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("buffers.md", f"takes at most; {DEFAULT_MAX_READ:,} bytes"),
        ("buffers.md", f"at most {COALESCE:,} bytes"),
        ("buffers.md", f"up to {MAX_IOVEC} pieces"),
        ("performance.md", f"up to {COALESCE:,} bytes"),
        ("connections.md", f"When {DEFAULT_WRITE_HIGH // 1024} KiB wait"),
        ("connections.md", f"`max_queue`, {DEFAULT_MAX_QUEUE // 1024} KiB"),
        ("connections.md", f"pauses for {_PAUSE:g} s"),
        ("http-client.md", f"more than {MAX_RATIO:,.0f} times its size"),
        ("tls.md", f"waits for the peer's, {DEFAULT_SHUTDOWN_TIMEOUT:g} s at most"),
    ],
)
def test_number_in_the_text(page: str, words: str) -> None:
    assert words in (ROOT / "docs" / page).read_text("utf-8")


# The tables of options


def options(page: str, heading: str) -> dict[str, list[str]]:
    """Return the rows of the first table with defaults below a heading: option to its other cells."""
    text = (ROOT / "docs" / page).read_text("utf-8").partition(f"## {heading}\n")[2]
    table = text.partition("| option | default |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {cells[0].strip("`"): cells[1:] for cells in rows}


def keywords(function: Callable[..., object]) -> dict[str, object]:
    """Return the keyword-only parameters and their defaults."""
    parameters = inspect.signature(function).parameters.values()
    return {each.name: each.default for each in parameters if each.kind is each.KEYWORD_ONLY}


def as_told(default: object) -> str:
    """Write a default as the tables do."""
    if default is None:
        return "none"
    return f"`{default}`" if isinstance(default, bool) else f"{default:,}"


def test_options_of_listeners() -> None:
    bind, constructor = keywords(Listener.bind), keywords(Listener.__init__)
    assert constructor.items() <= bind.items()
    told = {option: cells[:2] for option, cells in options("connections.md", "Listeners").items()}
    assert told == {
        option: [as_told(default), "both" if option in constructor else "`bind`"]
        for option, default in bind.items()
    }


def test_options_of_tls() -> None:
    told = {option: cells[0] for option, cells in options("tls.md", "Making one").items()}
    del told["context"]
    expected = {option: as_told(default) for option, default in keywords(TLSBufferEvent.__init__).items()}
    assert told == expected | {"handshake_timeout": f"{DEFAULT_HANDSHAKE_TIMEOUT:g} s"}


def test_options_of_reverse_proxies() -> None:
    told, made = options("http.md", "Pass requests on"), keywords(ReverseProxy.__init__)
    assert told.keys() == made.keys()
    assert told["keep_host"][0] == as_told(made["keep_host"])
    assert told["forwarded"][0] == f"`{made['forwarded']}`"


def test_options_of_pipe_and_connect_host() -> None:
    assert options("connections.md", "Pipes").keys() == keywords(evkit.pipe).keys()
    named = keywords(SocketBufferEvent.connect_host)
    assert options("connections.md", "Host names").keys() == named.keys()
    assert named["family"] == socket.AF_UNSPEC


@pytest.mark.parametrize(
    ("heading", "made"),
    [("Limits and time-outs", WebSocketOptions()), ("Compression", Deflate())],
    ids=["WebSocketOptions", "Deflate"],
)
def test_options_of_websockets(heading: str, made: WebSocketOptions | Deflate) -> None:
    told: dict[str, object] = {}
    for option, cells in options("websocket.md", heading).items():
        told |= dict.fromkeys(names(f"`{option}`"), as_meant(cells[0].strip("`")))
    assert told == {field.name: getattr(made, field.name) for field in fields(made)}


def test_options_of_resolvers() -> None:
    told: dict[str, str] = {}
    for option, cells in options("dns.md", "Options").items():
        told |= dict.fromkeys(names(f"`{option}`"), cells[0].strip("`"))
    made = ResolverOptions()
    assert told == {field.name: f"{getattr(made, field.name)}".removesuffix(".0") for field in fields(made)}


def test_options_of_look_ups() -> None:
    told = {option: cells[0].strip("`") for option, cells in options("dns.md", "Records").items()}
    made = keywords(Resolver.resolve)
    assert told == {name: str(default) for name, default in made.items()} | {"timeout": "the resolver's"}


def as_meant(default: str) -> object:
    """Read a default as the tables tell it: ``"64 KiB"`` as 65536."""
    number, _, unit = default.partition(" ")
    words = {"none": None, "None": None, "False": False}
    return words[default] if default in words else int(number) * {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}[unit]


@pytest.mark.parametrize(("heading", "function"), [("A server", upgrade), ("A client", connect)])
def test_options_of_the_doors_to_websockets(heading: str, function: Callable[..., object]) -> None:
    assert options("websocket.md", heading).keys() == keywords(function).keys()


def rules(made: object) -> dict[str, str]:
    """Return the rows of the table of the arguments of a class: argument to default."""
    text = (ROOT / "docs/http-client.md").read_text("utf-8")
    table = text.partition(f"| `{type(made).__name__}(…)` | default |")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]]
    return {cells[0].strip("`"): cells[1].strip("`") for cells in rows}


@pytest.mark.parametrize("made", [Redirects(), Retries()], ids=lambda made: type(made).__name__)
def test_rules_of_clients(made: object) -> None:
    parameters = inspect.signature(type(made)).parameters
    told = rules(made)
    assert told.keys() == parameters.keys()
    for name, parameter in parameters.items():
        if isinstance(parameter.default, bool):
            assert told[name] == str(parameter.default)
        elif isinstance(parameter.default, int | float):
            assert float(told[name].removesuffix(" s")) == parameter.default
        else:
            assert told[name] == ("none" if not parameter.default else "the idempotent ones")


def test_the_budget_of_retries_is_as_told() -> None:
    told = "RetryBudget(size=20, ratio=0.1)"
    assert f"`Client(base, budget={told})` is the default" in (ROOT / "docs/http-client.md").read_text(
        "utf-8"
    )
    assert [parameter.default for parameter in inspect.signature(RetryBudget).parameters.values()] == [
        20,
        0.1,
    ]


@pytest.mark.parametrize(("page", "command"), [("http.md", "serve"), ("http-client.md", "get")])
def test_options_of_commands_exist(page: str, command: str) -> None:
    parser = Parser(prog="evkit")
    importlib.import_module(f"evkit.cli.{command}").configure(parser)
    known = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", parser.format_help(), re.IGNORECASE))
    text = (ROOT / "docs" / page).read_text("utf-8").partition("## From the shell\n")[2]
    table = text.partition("| option | what it does |")[2].partition("\n\n")[0]
    told = {code.split()[0] for row in table.splitlines() for code in names(row.split("|")[1] if row else "")}
    assert len(told) > 5
    assert {option for option in told if option.startswith("-")} <= known


# Names in the text

_ATTRIBUTE = re.compile(r"^([a-z]+)\.([a-z]\w*)")
_CLASS = re.compile(r"^[A-Z][A-Za-z]+[a-z][A-Za-z]*\b")
_GUIDES = [
    "core",
    "buffers",
    "connections",
    "dns",
    "http-client",
    "tls",
    "threads",
    "testing",
    "performance",
    "rpc",
    "rpc-pool",
    "tour",
    "websocket",
]
_SPOKEN_OF: dict[str, tuple[object, ...]] = {
    "answer": (Answer,),
    "backend": (evkit.testing.FakeBackend,),
    "base": (EventBase,),
    "bev": (SocketBufferEvent, PairBufferEvent, TLSBufferEvent),
    "body": (BodyStream,),
    "buffer": (Buffer,),
    "call": (evkit.rpc.Call,),
    "client": (Client, evkit.rpc.Client),
    "clock": (evkit.testing.ManualClock,),
    "connection": (evkit.rpc.Connection,),
    "context": (ssl.SSLContext, evkit.rpc.HookContext, evkit.rpc.FrameContext),
    "endpoint": (DatagramEndpoint,),
    "event": (Event,),
    "framed": (Framed,),
    "future": (Future,),
    "group": (RateLimitGroup,),
    "guests": (WebSocketGroup,),
    "listener": (Listener,),
    "output": (Buffer,),
    "pair": (evkit.testing.MemoryPair,),
    "pending": (evkit.rpc.Pending,),
    "pool": (evkit.rpc.Pool,),
    "record": (Record,),
    "request": (evkit.http.Request,),
    "resolver": (Resolver,),
    "session": (evkit.rpc.protocol.Session,),
    "response": (Response,),
    "server": (Server, evkit.rpc.Server),
    "sink": (evkit.rpc.Sink,),
    "stream": (evkit.rpc.Stream,),
    "thread": (EventBaseThread,),
    "watcher": (Watcher,),
    "ws": (WebSocket,),
}
_FIELDS = {"Authorization", "Content", "Expect", "Origin", "Retry", "Sec", "Upgrade"}
"""Names of header fields, up to their first hyphen."""
_FOREIGN = {
    "crawler",
    "data",
    "error",
    "nsswitch",
    "resolv",
    "info",
    "math",
    "text",
    "os",
    "asyncio",
    "threading",
    "ssl",
    "evkit",
    "example",
}


def spoken_of() -> Iterator[tuple[str, str]]:
    """Yield the page and the code of all that stands in backticks in the guides of the core."""
    for page in _GUIDES:
        text = _FENCE.sub("", (ROOT / f"docs/{page}.md").read_text("utf-8"))
        for code in names(text):
            yield page, code


@pytest.mark.parametrize(
    ("thing", "attribute"),
    sorted(
        {
            (match[1], match[2])
            for _, code in spoken_of()
            if (match := _ATTRIBUTE.match(code)) and match[1] not in _FOREIGN
        }
    ),
)
def test_attribute_in_the_text_exists(thing: str, attribute: str) -> None:
    assert any(hasattr(_with_attributes(kind), attribute) for kind in _SPOKEN_OF[thing])


def test_each_name_of_the_client_is_told_of() -> None:
    told = set(re.findall(r"\w+", (ROOT / "docs/http-client.md").read_text("utf-8")))
    kinds = {name: getattr(evkit.http, name) for name in evkit.http.__all__}
    of_clients = {
        name
        for name, kind in kinds.items()
        if getattr(kind, "__module__", "").startswith("evkit.http.client")
    }
    assert len(of_clients) > 10
    assert of_clients <= told


def test_each_name_of_websockets_is_told_of() -> None:
    told = set(re.findall(r"\w+", (ROOT / "docs/websocket.md").read_text("utf-8")))
    assert set(evkit.http.websocket.__all__) <= told


def test_each_name_of_dns_is_told_of() -> None:
    told = set(
        re.findall(
            r"\w+", "".join((ROOT / f"docs/{page}.md").read_text("utf-8") for page in ("dns", "libevent"))
        )
    )
    assert set(evkit.dns.__all__) <= told


def test_each_name_of_rpc_is_told_of() -> None:
    pages = [(ROOT / f"docs/{page}.md").read_text("utf-8") for page in ("rpc", "rpc-pool")]
    public = {*evkit.rpc.__all__, *evkit.rpc.protocol.__all__}
    assert public <= set(re.findall(r"\w+", "".join(pages)))


@pytest.mark.parametrize("field", fields(evkit.rpc.Limits), ids=lambda field: field.name)
def test_default_limit_of_rpc(field: Field[int]) -> None:
    assert default_beside("rpc.md", f"`Limits({field.name}=…)`") == getattr(evkit.rpc.Limits(), field.name)


def test_options_of_rpc() -> None:
    text = (ROOT / "docs/rpc.md").read_text("utf-8")
    for head, kind in (
        ("`Server(base, …)`", evkit.rpc.Server),
        ("`Client(base, where, …)`", evkit.rpc.Client),
    ):
        table = text.partition(f"| {head} | default |")[2].partition("\n\n")[0]
        told = {names(line)[0]: line.split("|")[2].strip(" `") for line in table.splitlines()[2:]}
        made = keywords(kind.__init__)
        assert told.keys() == made.keys()
        for name, default in made.items():
            if isinstance(default, float):
                assert told[name] == f"{default:g} s"
            elif default is None:
                assert told[name] in ("none", "Limits()")
            elif isinstance(default, int | str):
                assert told[name] == as_told(default).strip("`") if isinstance(default, int) else default


def test_each_public_name_is_told_of() -> None:
    told = set(re.findall(r"\w+", "".join(page.read_text("utf-8") for page in PAGES)))
    assert set(evkit.__all__) | set(evkit.testing.__all__) <= told


@pytest.mark.parametrize(
    "name", sorted({match[0] for _, code in spoken_of() if (match := _CLASS.match(code))} - _FIELDS)
)
def test_class_in_the_text_exists(name: str) -> None:
    modules = (
        evkit,
        evkit.testing,
        evkit.http,
        evkit.http.websocket,
        evkit.dns,
        evkit.rpc,
        evkit.rpc.protocol,
        builtins,
        concurrent.futures,
        enum,
        typing,
    )
    assert any(hasattr(module, name) for module in modules)


@pytest.mark.parametrize("sample", list(samples()), ids=lambda sample: sample.where)
def test_sample_compiles(sample: Sample) -> None:
    compile(sample.source, sample.where, "exec", dont_inherit=True)


@pytest.mark.parametrize(
    "sample",
    [sample for sample in samples() if sample.source.startswith(RUNS)],
    ids=lambda sample: sample.where,
)
def test_complete_program_runs(sample: Sample, tmp_path: Path) -> None:
    if "cert.pem" in sample.source:
        make_certificate(tmp_path)
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", sample.source],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")


def make_certificate(folder: Path) -> None:
    """Make a certificate, by the very command of the page on TLS."""
    if shutil.which("openssl") is None:
        pytest.skip("needs the openssl program (Debian package openssl)")
    (command,) = re.findall(
        r"^openssl req (?:.*\\\n)*.*", (ROOT / "docs/tls.md").read_text("utf-8"), re.MULTILINE
    )
    command = command.replace("\\\n", " ")
    subprocess.run(shlex.split(command), cwd=folder, check=True, capture_output=True)


def test_there_are_programs_to_run() -> None:
    running = [sample.where for sample in samples() if sample.source.startswith(RUNS)]
    assert len(running) >= 40
    for page in (
        "core",
        "buffers",
        "connections",
        "tls",
        "threads",
        "testing",
        "tour",
        "http",
        "http-client",
        "rpc",
        "rpc-pool",
        "websocket",
    ):
        assert any(where.startswith(f"docs/{page}.md") for where in running), page


def anchor(heading: str) -> str:
    """Return the anchor that a heading gets on the usual sites."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = _FENCE.sub("", page.read_text("utf-8"))
    for link in _LINK.findall(text):
        if "://" in link:
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if fragment:
            assert fragment in map(anchor, _HEADING.findall(target.read_text("utf-8"))), link
