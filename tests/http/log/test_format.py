"""What a line says, that none can be forged, and which formats are refused."""

import json
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from evkit.http import BadRequest, ProxiedClient, Request
from evkit.http.log.format import COMBINED, COMMON, JSON, PRESETS, TIMED, LogFormat, Moment, Refused
from evkit.testing import ManualClock

EPOCH_2000 = 971_211_336.0
"""10 October 2000, 20:55:36 UTC: the moment of the example in Apache's manual."""
HEAD = b"Host: www.example.org\r\nUser-Agent: Mozilla/5.0 (X11)\r\nReferer: http://a.example/b\r\n"


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """California in 2000, as far as October is concerned; a test may set another."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "PDT7")
        time.tzset()
        yield patch
    time.tzset()


def clock_at(wall: float) -> ManualClock:
    return ManualClock(start=100.0, wall=wall)


def a_request(
    head: bytes = HEAD, method: str = "GET", target: str = "/apache_pb.gif", minor: int = 0
) -> Request:
    request = Request(method, target, minor, "www.example.org", 0, True, False, head)
    request.peer = "127.0.0.1:51234"
    request.status = 200
    request.reply_size = 2326
    request.started_at = 100.0 - 0.0012344
    return request


def line(text: str, request: Request | None = None, wall: float = EPOCH_2000) -> str:
    return LogFormat(text).line(a_request() if request is None else request, Moment(clock_at(wall)))


def test_common_is_apaches(zone: pytest.MonkeyPatch) -> None:
    expected = '127.0.0.1 - - [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
    assert line("common") == expected
    assert line("timed") == expected + " 1.234"
    assert line("combined") == expected + ' "http://a.example/b" "Mozilla/5.0 (X11)"'


def test_json(zone: pytest.MonkeyPatch) -> None:
    assert json.loads(line("json", wall=EPOCH_2000 + 0.0421)) == {
        "time": "2000-10-10T13:55:36.042-07:00",
        "address": "127.0.0.1",
        "peer": "127.0.0.1:51234",
        "method": "GET",
        "target": "/apache_pb.gif",
        "host": "www.example.org",
        "version": "1.0",
        "status": 200,
        "bytes": 2326,
        "duration_ms": 1.234,
        "user_agent": "Mozilla/5.0 (X11)",
        "referer": "http://a.example/b",
        "aborted": False,
        "reason": None,
    }


@pytest.mark.parametrize(
    ("placeholder", "text", "value"),
    [
        ("peer", "127.0.0.1:51234", '"127.0.0.1:51234"'),
        ("address", "127.0.0.1", '"127.0.0.1"'),
        ("time", "10/Oct/2000:20:55:36 +0000", '"10/Oct/2000:20:55:36 +0000"'),
        ("time_iso", "2000-10-10T20:55:36.000+00:00", '"2000-10-10T20:55:36.000+00:00"'),
        ("timestamp", "971211336.000", "971211336.000"),
        ("request", "PUT /a%20b?c=d HTTP/1.1", '"PUT /a%20b?c=d HTTP/1.1"'),
        ("method", "PUT", '"PUT"'),
        ("target", "/a%20b?c=d", '"/a%20b?c=d"'),
        ("path", "/a%20b", '"/a%20b"'),
        ("query", "c=d", '"c=d"'),
        ("version", "1.1", '"1.1"'),
        ("host", "www.example.org", '"www.example.org"'),
        ("status", "200", "200"),
        ("size", "2326", "2326"),
        ("duration", "0.001234", "0.001234"),
        ("duration_ms", "1.234", "1.234"),
        ("aborted", "false", "false"),
        ("reason", "-", "null"),
        ("request[x-one]", "1", '"1"'),
        ("request[X-ONE]", "1", '"1"'),
        ("request[X-Two]", "-", "null"),
        ("request[X-Empty]", "-", '""'),
    ],
)
def test_each_placeholder(zone: pytest.MonkeyPatch, placeholder: str, text: str, value: str) -> None:
    zone.setenv("TZ", "UTC0")
    time.tzset()
    head = b"Host: a\r\nX-One: 1\r\nX-One: 2\r\nX-Empty:\r\n"
    request = a_request(head, "PUT", "/a%20b?c=d", 1)
    assert line(f"{{{placeholder}}}", request) == text
    assert line(f"{{{placeholder}!j}}", request) == value


def test_every_placeholder_is_tried_above() -> None:
    with pytest.raises(ValueError, match="there are") as caught:
        LogFormat("{}")
    named = set(re.findall(r"\{([a-z_]+)[}\[]", str(caught.value)))
    (marks,) = test_each_placeholder.pytestmark  # type: ignore[attr-defined]  # pytest puts it there
    assert named == {re.sub(r"\[.*", "", case[0]) for case in marks.args[1]}


def test_nothing_and_zero_are_dashes_and_nulls() -> None:
    request = a_request()
    request.host = None
    request.reply_size = request.status = 0
    assert line("{host} {size} {status} {query}", request) == "- - - -"
    assert line("{host!j} {size!j} {status!j} {query!j}", request) == "null 0 null null"
    request.host = ""
    assert line("{host}", request) == "-"


def test_what_was_cut_off() -> None:
    request = a_request()
    request.aborted = True
    assert line("{aborted} {aborted!j}", request) == "true true"


def test_a_refused_request_has_a_status_and_a_reason(zone: pytest.MonkeyPatch) -> None:
    refused = Refused("[::1]:5", BadRequest(431, "too many fields"))
    assert line("timed", refused) == '::1 - - [10/Oct/2000:13:55:36 -0700] "-" 431 - -'
    for name in ("method", "target", "path", "query", "version", "host", "size", "duration", "request[host]"):
        assert line(f"{{{name}}} {{{name}!j}}", refused) == "- null", name
    assert line("{reason}|{reason!j}", refused) == 'too many fields|"too many fields"'
    known = {key: value for key, value in json.loads(line("json", refused)).items() if value is not None}
    assert known == {
        "time": "2000-10-10T13:55:36.000-07:00",
        "address": "::1",
        "peer": "[::1]:5",
        "status": 431,
        "aborted": False,
        "reason": "too many fields",
    }


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("192.0.2.1:51234", "192.0.2.1"),
        ("[::1]:51234", "::1"),
        ("[fe80::1%eth0]:51234", "fe80::1%eth0"),
        ("unix:", "unix:"),
        ('unix:/tmp/x" 200 1\nforged', "unix:"),
        ("unix:/a:b", "unix:"),
        ("192.0.2.1", "192.0.2.1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("_hidden", "_hidden"),
        ("", "-"),
    ],
)
def test_addresses(peer: str, address: str) -> None:
    request = a_request()
    request.peer = peer
    assert line("{address}", request) == address


@pytest.mark.parametrize(
    ("told", "address"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("198.51.100.7:4711", "198.51.100.7"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("unknown", "unknown"),
        ("unknown:80", "unknown"),
    ],
)
def test_behind_a_proxy_the_address_is_the_clients(told: str, address: str) -> None:
    request = a_request()
    request.proxied = ProxiedClient(told)
    assert line("{address} {peer}", request) == f"{address} 127.0.0.1:51234"
    assert line("common", request).startswith(f"{address} - - [")
    value = json.loads(line("json", request))
    assert (value["address"], value["peer"]) == (address, "127.0.0.1:51234")


def test_any_other_target_has_a_path() -> None:
    for target, path in (("*", "*"), ("http://a/b?c", "/b"), ("a:80", "a:80")):
        assert line("{path}", a_request(method="X", target=target)) == path


# Time


def test_times_have_their_zone(zone: pytest.MonkeyPatch) -> None:
    for name, wall, clf, iso in (
        ("CET-1CEST,M3.5.0,M10.5.0/3", 0, "01/Jan/1970:01:00:00 +0100", "1970-01-01T01:00:00.000+01:00"),
        (
            "CET-1CEST,M3.5.0,M10.5.0/3",
            1_690_000_000.5,
            "22/Jul/2023:06:26:40 +0200",
            "2023-07-22T06:26:40.500+02:00",
        ),
        ("NST3:30", 0, "31/Dec/1969:20:30:00 -0330", "1969-12-31T20:30:00.000-03:30"),
    ):
        zone.setenv("TZ", name)
        time.tzset()
        assert line("{time} {time_iso}", wall=wall) == f"{clf} {iso}"


def test_time_goes_on(zone: pytest.MonkeyPatch) -> None:
    clock = clock_at(EPOCH_2000 + 0.25)
    moment = Moment(clock)
    form = LogFormat("{timestamp} {time_iso} {time}")
    for wait, expected in (
        (0.0, "971211336.250 2000-10-10T13:55:36.250-07:00 10/Oct/2000:13:55:36 -0700"),
        (0.5, "971211336.750 2000-10-10T13:55:36.750-07:00 10/Oct/2000:13:55:36 -0700"),
        (0.25, "971211337.000 2000-10-10T13:55:37.000-07:00 10/Oct/2000:13:55:37 -0700"),
        (86400, "971297737.000 2000-10-11T13:55:37.000-07:00 11/Oct/2000:13:55:37 -0700"),
    ):
        clock.advance(wait)
        moment.tick()
        assert form.line(a_request(), moment) == expected


def test_a_clock_that_is_set_is_noticed_within_a_second(zone: pytest.MonkeyPatch) -> None:
    clock = clock_at(EPOCH_2000)
    moment = Moment(clock)
    clock.set_time(EPOCH_2000 - 3600)
    clock.advance(1)
    moment.tick()
    assert moment.clf == "10/Oct/2000:12:55:37 -0700"


@given(st.floats(0, 4e9), st.lists(st.floats(0, 3), max_size=8))
@example(0.0, [1.9999999999999996])
def test_milliseconds_have_three_digits(wall: float, waits: list[float]) -> None:
    clock = clock_at(wall)
    moment = Moment(clock)
    for wait in waits:
        clock.advance(wait)
        moment.tick()
        assert re.fullmatch(r"[0-9]+\.[0-9]{3}", moment.timestamp())
        assert abs(float(moment.timestamp()) - clock.time()) < 0.0021


def test_durations_are_counted_to_the_moment() -> None:
    clock = clock_at(0)
    moment = Moment(clock)
    request = a_request()
    request.started_at = clock.monotonic()
    clock.advance(1.5)
    moment.tick()
    assert LogFormat("{duration} {duration_ms}").line(request, moment) == "1.500000 1500.000"


# What clients send


def with_agent(value: bytes) -> Request:
    return a_request(b"User-Agent: " + value + b"\r\n")


AGENT = "request[user-agent]"


def test_what_could_end_a_line_or_a_field_is_escaped() -> None:
    assert line(f'"{{{AGENT}}}"', with_agent(rb'a"b\c d')) == r'"a\x22b\x5Cc d"'
    request = a_request(target="/\r\n\t\x00\x7f\x1b")
    assert line("{target}", request) == r"/\x0D\x0A\x09\x00\x7F\x1B"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"{{{AGENT}}} {{status}}", r"a\x20|b]\x20c 200"),
        (f"{{{AGENT}}}|{{status}}", r"a \x7Cb] c|200"),
        (f"[{{{AGENT}}}]", r"[a |b\x5D c]"),
        (f"{{{AGENT}}}\t{{status}}", "a |b] c\t200"),
        (f"{{{AGENT}}}{{status}}", "a |b] c200"),
        (f"{{{AGENT}}}{{{{", "a |b] c{"),
        (f"{{{AGENT}}}", "a |b] c"),
        (f"{{{AGENT}}}a", r"\x61 |b] ca"),
    ],
)
def test_what_stands_behind_a_placeholder_is_not_in_its_value(text: str, expected: str) -> None:
    assert line(text, with_agent(b"a |b] c")) == expected


def test_bytes_beyond_ascii_are_logged_as_sent() -> None:
    request = with_agent(b"\xc3\xa9\xff")
    assert line(f"{{{AGENT}}}", request) == r"\xC3\xA9\xFF"
    assert line(f"{{{AGENT}!j}}", request) == r'"\u00e9\\xff"'
    request.peer = "unix:/ł\udcff"
    assert line("{peer}", request) == r"unix:/\xC5\x82\xED\xB3\xBF"
    assert json.loads(line("{peer!j}", request)) == r"unix:/ł\xed\xb3\xbf"


CLF = re.compile(
    r'\S+ - - \[[^\]"]+\] "([^"\\]|\\x[0-9A-F]{2})*" [0-9]{3} ([0-9]+|-) ([0-9]+\.[0-9]{3}|-) '
    r'"([^"\\]|\\x[0-9A-F]{2})*"'
)
ANYTHING = st.text(st.characters(codec=None, exclude_categories=()), max_size=40)


@given(ANYTHING, ANYTHING, st.binary(max_size=40), ANYTHING)
def test_no_client_can_forge_a_line(target: str, peer: str, agent: bytes, reason: str) -> None:
    agent = agent.replace(b"\r", b"").replace(b"\n", b"")  # which end the field
    request = a_request(b"User-Agent: " + agent + b"\r\n", target="/" + target)
    request.peer = f"{peer}:1"
    for logged in (request, Refused(f"{peer}:1", BadRequest(400, reason))):
        for text in (f'{TIMED} "{{{AGENT}}}"', f'{TIMED} "{{peer}}"', f'{TIMED} "{{reason}}"'):
            written = line(text, logged)
            assert CLF.fullmatch(written), written
            assert written.isascii()


@given(ANYTHING, ANYTHING, st.binary(max_size=40), ANYTHING)
def test_json_is_always_one_valid_object(target: str, peer: str, agent: bytes, reason: str) -> None:
    agent = agent.replace(b"\r", b"").replace(b"\n", b"")
    request = a_request(b"User-Agent: " + agent + b"\r\n", target="/" + target)
    request.peer = peer
    written = line("json", request)
    value = json.loads(written)
    assert sorted(value) == sorted(json.loads(line("json")))
    for text in value.values():
        str(text).encode()  # a lone surrogate can't be
    assert written.isascii()
    assert "\n" not in written
    if agent.isascii():
        assert value["user_agent"] == agent.decode().strip(" \t")


# Formats


def test_presets_are_formats() -> None:
    assert {name: LogFormat(name).text for name in PRESETS} == {
        "common": COMMON,
        "combined": COMBINED,
        "timed": TIMED,
        "json": JSON,
    }
    assert repr(LogFormat("common")) == f"LogFormat({COMMON!r})"


def test_what_is_no_placeholder_stands_as_it_is() -> None:
    assert line("100% of {status} {{status}} é %s") == "100% of 200 {status} é %s"


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "expected common, combined, timed or json or a log format such as"),
        ("combind", "expected common, combined, timed or json or a log format such as .*, got 'combind'"),
        ("{{status}}", "expected common, combined"),
        ("{stat}", r"a log format knows no \{stat\}; did you mean \{status\}\? There are \{peer\}, "),
        ("{0}", r"knows no \{0\}; there are "),
        ("{}", r"knows no \{\}; there are .* or \{request\[FIELD\]\}"),
        ("{request.method}", r"knows no \{request.method\}; "),
        ("{reply[server]}", r"knows no \{reply\[server\]\}"),
        ("{request[]}", r"expected the name of a header field in \{request\[…\]\}, got ''"),
        ("{request[a b]}", "expected the name of a header field"),
        ("{request[é]}", "expected the name of a header field"),
        ("{status:3}", r"expected \{status\} in a log format, without :3"),
        ("{status!r}", r"expected \{status\} or \{status!j\} in a log format, got !r"),
        ("{status", r"the log format '\{status' is wrong: .*; write \{\{ for a brace"),
        ("status}", "the log format 'status}' is wrong"),
        ("{status}\n{size}", "one line without control characters"),
        ("{status}\x1b", "one line without control characters"),
        ("{status}\udcff", "valid Unicode"),
    ],
)
def test_a_wrong_format_is_refused(text: str, error: str) -> None:
    with pytest.raises(ValueError, match=error):
        LogFormat(text)


@given(st.text(alphabet="{}[]!:jrequstai .%\n", max_size=20))
def test_any_text_is_a_format_or_an_error(text: str) -> None:
    try:
        form = LogFormat(text)
    except ValueError:
        return
    assert "\n" not in form.line(a_request(), Moment(clock_at(0)))
