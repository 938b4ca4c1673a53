"""The pure parts of the HTTP benchmark: what wrk printed, what /proc says, ratios, tables, the command line."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from bench_http import choose_cases, choose_peers, make_parser, prepare
from common.proc import (
    Memory,
)
from common.programs import PeerMissing
from httpbench.certificate import make_certificate
from httpbench.load import CASES, FILE_BODY, Figures, LoadError, parse_output, wrk_command
from httpbench.peers import PEERS, Peer, Site, make_site, nginx_config
from httpbench.report import document, format_idle, format_summaries, summarize
from httpbench.runner import IdleRow, Measurement, Row, peers_for
from httpbench.server import WrongAnswer, check, serving, wrong_with

MINIMAL, BROWSER, PIPELINED, FILE, TLS = CASES
COUNTS = {
    "requests": 300_000,
    "duration_us": 2_000_000,
    "bytes": 45_000_000,
    "p50_us": 633,
    "p90_us": 700,
    "p99_us": 1_900,
    "p999_us": 2_500,
    "connect_errors": 0,
    "read_errors": 0,
    "write_errors": 0,
    "timeouts": 0,
    "status_errors": 0,
}


def wrk_text(**changes: int) -> str:
    counts = json.dumps(COUNTS | changes)
    return f"Running 2s test @ http://127.0.0.1:8080/\n  1 threads and 64 connections\nfigures {counts}\n"


def measured(
    *, cpu: float = 3.0, requests: int = 300_000, seconds: float = 2.0, rss: int = 2 << 20
) -> Measurement:
    return Measurement(Figures(requests, seconds, 1, 500, 600, 1500, 2000), cpu, Memory(rss, rss))


def row(server: str, number: int, result: Measurement | None, error: str = "") -> Row:
    return Row("minimal", 64, server, number, result, error)


# --- what wrk printed


def test_figures_of_a_clean_run() -> None:
    figures = parse_output(wrk_text(), 1)
    assert figures == Figures(300_000, 2.0, 45_000_000, 633, 700, 1_900, 2_500)
    assert figures.rate == 150_000


def test_pipelined_latencies_are_unknown() -> None:
    figures = parse_output(wrk_text(), 16)
    assert (figures.requests, figures.p50_us, figures.p999_us) == (300_000, None, None)


@pytest.mark.parametrize(
    "name", ["connect_errors", "read_errors", "write_errors", "timeouts", "status_errors"]
)
def test_any_error_voids_the_run(name: str) -> None:
    with pytest.raises(LoadError, match=f"7 {name.replace('_', ' ')}"):
        parse_output(wrk_text(**{name: 7}), 1)


def test_no_reply_or_no_figures_is_an_error() -> None:
    with pytest.raises(LoadError, match="no reply"):
        parse_output(wrk_text(requests=0), 1)
    with pytest.raises(LoadError, match="unable to connect"):
        parse_output("unable to connect to 127.0.0.1:1\n", 1)


def test_wrk_is_told_headers_depth_and_core() -> None:
    command = wrk_command(PIPELINED, port=8080, connections=64, seconds=3, core=5)
    assert command[:4] == ["taskset", "-c", "5", "wrk"]
    assert command[-3:] == ["http://127.0.0.1:8080/", "--", "16"]
    assert "Accept-Language: en-GB,en;q=0.9" in wrk_command(BROWSER, port=1, connections=1, seconds=1, core=0)


def test_wrk_speaks_tls_where_the_case_does() -> None:
    urls = [wrk_command(case, port=8080, connections=1, seconds=1, core=0)[-3] for case in (MINIMAL, TLS)]
    assert urls == ["http://127.0.0.1:8080/", "https://127.0.0.1:8080/"]


def test_the_browser_sends_eight_headers_in_about_380_bytes() -> None:
    lines = [
        "GET / HTTP/1.1",
        "Host: 127.0.0.1:40000",
        *(f"{name}: {value}" for name, value in BROWSER.headers),
    ]
    assert len(lines) == 1 + 8
    assert 360 <= len("\r\n".join(lines)) + 4 <= 400


# --- servers


def test_servers_without_tls_are_left_out_of_it() -> None:
    assert peers_for(MINIMAL, PEERS) == list(PEERS)
    assert [peer.name for peer in peers_for(TLS, PEERS)] == ["evkit-native", "nginx"]


def test_nginx_config_speaks_tls_if_asked(tmp_path: Path) -> None:
    template, site = "listen @PORT@@TLS@; @CERTIFICATE@", Site(tmp_path, tmp_path)
    assert nginx_config(template, site, 1) == "listen 1; "
    named = f"ssl_certificate {site.certificate}; ssl_certificate_key {site.key};"
    assert nginx_config(template, site, 1, tls=True) == f"listen 1 ssl; {named}"


@pytest.mark.peer
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_evkit_serves_what_is_asked_over_tls(tmp_path: Path) -> None:
    site = make_site(tmp_path)
    make_certificate(site.certificate, site.key)
    evkit = next(peer for peer in PEERS if peer.name == "evkit-native")
    with serving(evkit, site, max(os.sched_getaffinity(0)), tls=True) as server:
        assert ("Content-Length", "13") in check(TLS, server.port)
        with pytest.raises(WrongAnswer, match="no reply"):
            check(MINIMAL, server.port)


def test_nginx_config_is_filled_in(tmp_path: Path) -> None:
    template = "listen 127.0.0.1:@PORT@; root @WWW@; pid @RUN@/nginx.pid;"
    assert nginx_config(template, Site(tmp_path, tmp_path / "www"), 8081) == (
        f"listen 127.0.0.1:8081; root {tmp_path}/www; pid {tmp_path}/nginx/nginx.pid;"
    )


RIGHT = [("CONTENT-TYPE", "text/plain; charset=utf-8"), ("Content-Length", "13")]


def test_a_right_reply_passes() -> None:
    assert wrong_with(MINIMAL, 200, RIGHT, b"Hello, world!") is None
    assert wrong_with(FILE, 200, [("Content-Length", "65536")], FILE_BODY) is None


@pytest.mark.parametrize(
    ("status", "headers", "body", "fault"),
    [
        (404, RIGHT, b"Hello, world!", "status 404"),
        (200, RIGHT, b"Hello, World!", "a body of 13 bytes"),
        (200, RIGHT[:1], b"Hello, world!", "Content-Length None"),
        (200, RIGHT[1:], b"Hello, world!", "Content-Type None"),
        (200, [*RIGHT, ("Connection", "Close")], b"Hello, world!", "Connection: close"),
    ],
)
def test_a_wrong_reply_is_named(status: int, headers: list[tuple[str, str]], body: bytes, fault: str) -> None:
    assert str(wrong_with(MINIMAL, status, headers, body)).startswith(fault)


def peer(name: str) -> Peer:
    return Peer(name, lambda _: "1", lambda _site, _port: [name])


# --- the report


def test_a_measurement_per_request() -> None:
    result = measured(cpu=3.0, requests=300_000, seconds=4.0)
    assert result.cpu_us == 10.0
    assert result.load == 0.75


def test_summary_takes_medians_and_sorts_by_cpu_time() -> None:
    rows = [
        row("broken", 1, None, "WrongAnswer: status 500"),
        row("evhttp", 1, measured(cpu=3.0)),
        row("other", 1, measured(cpu=1.5, requests=600_000)),
        row("evhttp", 2, measured(cpu=6.0)),
        row("other", 2, measured(cpu=1.5, requests=300_000)),
        row("evhttp", 3, measured(cpu=3.6)),
        Row("browser", 64, "evhttp", 1, measured(cpu=1000.0)),
        Row("minimal", 1, "evhttp", 1, measured(cpu=1000.0)),
    ]
    other, evhttp, broken = summarize(MINIMAL, 64, rows)
    assert [part.server for part in (other, evhttp, broken)] == ["other", "evhttp", "broken"]
    assert evhttp.cpu_us == pytest.approx(12.0)
    assert evhttp.cpu_range == pytest.approx((10.0, 20.0))
    assert (evhttp.cpu_ratio, evhttp.rate_ratio, evhttp.rounds) == (1.0, 1.0, 3)
    assert other.cpu_ratio == pytest.approx((2.5 / 10 + 5 / 20) / 2)
    assert other.rate_ratio == pytest.approx(1.5)
    assert other.in_flight == pytest.approx(64 / 450_000)
    assert (broken.rounds, broken.errors) == (0, ("WrongAnswer: status 500",))


def test_table_shows_figures_and_errors() -> None:
    failed = [row("broken", number, None, "LoadError: wrk met 3 timeouts") for number in (1, 2)]
    rows = [row("evhttp", 1, measured(cpu=3.0)), *failed]
    text = format_summaries(MINIMAL, 64, summarize(MINIMAL, 64, rows)).splitlines()
    assert text[0] == "minimal request, 64 connections"
    evhttp = ["evhttp", "10.00", "10.00-10.00", "1.00", "150,000", "1.00", "0.500", "1.500", "150%", "2.0"]
    assert text[2].split() == evhttp
    assert text[3].split() == ["broken", *["-"] * 9]
    assert [line.strip() for line in text[4:]] == ["broken: LoadError: wrk met 3 timeouts"]


def test_table_says_where_uncounted_requests_weigh() -> None:
    rows = [Row("pipelined", 1024, "evhttp", 1, measured(requests=100_000))]
    text = format_summaries(PIPELINED, 1024, summarize(PIPELINED, 1024, rows))
    assert "evhttp: CPU time too high by up to 16%" in text
    rows = [Row("pipelined", 64, "evhttp", 1, measured(requests=100_000))]
    assert "too high" not in format_summaries(PIPELINED, 64, summarize(PIPELINED, 64, rows))


@pytest.mark.parametrize(("cpu", "told"), [(2.0, "10.00, met"), (2.1, "11.00, MISSED")])
def test_table_compares_with_the_goal(cpu: float, told: str) -> None:
    rows = [
        Row("tls", 64, "nginx", 1, measured(cpu=1.0, requests=100_000)),
        Row("tls", 64, "evkit-native", 1, measured(cpu=cpu, requests=100_000)),
    ]
    parts = summarize(TLS, 64, rows)
    assert [part.cpu_ratio for part in parts] == [1.0, pytest.approx(cpu)]
    text = format_summaries(TLS, 64, parts)
    assert text.splitlines()[1].count("x nginx") == 2
    assert text.endswith(f"\n  goal: evkit-native at most 10 us more than nginx: {told}")
    assert "goal" not in format_summaries(TLS, 64, summarize(TLS, 64, rows[1:]))


def test_one_connection_is_singular() -> None:
    assert format_summaries(MINIMAL, 1, []).startswith("minimal request, 1 connection\n")


def test_idle_table() -> None:
    rows = [
        IdleRow("evhttp", 10_000, 1520.4, measured(cpu=3.0), measured(cpu=3.3), lost=2),
        IdleRow("evkit", 10_000, 0.0, None, None, error="ServerError: died"),
    ]
    text = format_idle(rows).splitlines()
    assert text[2].split() == ["evhttp", "10,000", "1,520", "10.00", "11.00", "2"]
    assert text[-1].strip() == "evkit: ServerError: died"


def test_document_survives_json() -> None:
    rows = [row("evhttp", 1, measured(cpu=3.0))]
    idle = [IdleRow("evhttp", 5, 1.0, measured(), measured())]
    text = json.dumps(document({"date": "today"}, rows, summarize(MINIMAL, 64, rows), idle))
    read = json.loads(text)
    assert read["date"] == "today"
    assert read["rows"][0]["result"]["cpu_seconds"] == 3.0
    assert read["summaries"][0]["cpu_us"] == pytest.approx(10.0)
    assert read["idle"][0]["held"] == 5


# --- the command line


def test_a_missing_peer_is_left_out_with_advice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def absent(_: Site) -> str:
        raise PeerMissing("not installed; apt-get install it")

    peers = [peer("here"), Peer("gone", absent, lambda _site, _port: [])]
    versions, missing = prepare(peers, Site(tmp_path, tmp_path))
    assert (versions, missing) == ({"here": "1"}, {"gone": "not installed; apt-get install it"})
    assert "gone: left out: not installed; apt-get install it" in capsys.readouterr().out


def test_defaults_are_the_whole_matrix() -> None:
    args = make_parser().parse_args([])
    assert (list(args.connections), args.case) == ([1, 64, 1024], [case.name for case in CASES])
    assert [peer.name for peer in choose_peers(args.only, CASES)] == [peer.name for peer in PEERS]


def test_only_keeps_the_baseline() -> None:
    assert {peer.name for peer in choose_peers(["go"], [MINIMAL])} == {"evhttp", "go"}
    assert {peer.name for peer in choose_peers(["go"], [TLS])} == {"nginx", "go"}


def test_a_certificate_is_made_where_a_case_needs_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[tuple[Path, Path]] = []
    monkeypatch.setattr("bench_http.make_certificate", lambda cert, key: made.append((cert, key)))
    site = Site(tmp_path, tmp_path)
    assert (choose_cases(["file"], site), made) == ([FILE], [])
    assert choose_cases(["tls", "file"], site) == [FILE, TLS]
    assert made == [(tmp_path / "localhost.pem", tmp_path / "localhost.key")]


def test_tls_is_left_out_where_no_certificate_can_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert choose_cases(["minimal", "tls"], Site(tmp_path, tmp_path)) == [MINIMAL]
    assert "TLS: left out: openssl does not start" in capsys.readouterr().out


@pytest.mark.parametrize(
    "wrong", [["--seconds", "0"], ["--idle", "-1"], ["--case", "nope"], ["--only", "iis"]]
)
def test_nonsense_is_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        make_parser().parse_args(wrong)
    assert wrong[0] in capsys.readouterr().err
