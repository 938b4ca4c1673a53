"""Static files as curl fetches them: resuming, ranges, and asking whether something is new."""

import os
import random
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from evkit.core import EventBase
from patience import PATIENCE
from static_site import Site

pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed"),
]

DATA = random.Random(1).randbytes(200_000)


@pytest.fixture
def curl_site(tmp_path: Path) -> Iterator[Site]:
    """A site with one file, changed at a time long ago."""
    root = tmp_path / "root"
    root.mkdir()
    (root / "data.bin").write_bytes(DATA)
    os.utime(root / "data.bin", (784_111_777, 784_111_777))
    (root / "folder").mkdir()
    with EventBase() as base:
        site = Site(base, root)
        yield site
        site.server.close()


def curl(site: Site, path: str, *options: str) -> subprocess.CompletedProcess[bytes]:
    """Run curl beside the loop until it is done."""
    url = f"http://127.0.0.1:{site.port}{path}"
    done: list[subprocess.CompletedProcess[bytes]] = []

    def run() -> None:
        command = ["curl", "-sS", "--max-time", str(PATIENCE), *options, url]
        try:
            done.append(subprocess.run(command, capture_output=True, check=False))
        finally:
            site.base.call_soon_threadsafe(site.base.loopbreak)

    thread = threading.Thread(target=run)
    thread.start()
    site.base.dispatch()
    thread.join()
    assert not site.escaped
    return done[0]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [("0-99", slice(0, 100)), ("150000-", slice(150_000, None)), ("-10", slice(-10, None))],
)
def test_a_range(curl_site: Site, asked: str, wanted: slice) -> None:
    assert curl(curl_site, "/data.bin", "-r", asked).stdout == DATA[wanted]


def test_several_ranges(curl_site: Site) -> None:
    body = curl(curl_site, "/data.bin", "-r", "0-9,100000-199999").stdout
    assert body.index(DATA[:10]) < body.index(DATA[100_000:])


@pytest.mark.parametrize("have", [0, 1, 100_000, 199_999])
def test_resuming(curl_site: Site, tmp_path: Path, have: int) -> None:
    target = tmp_path / "target"
    target.write_bytes(DATA[:have])
    assert curl(curl_site, "/data.bin", "-C", "-", "-o", str(target)).returncode == 0
    assert target.read_bytes() == DATA


@pytest.mark.parametrize(
    ("date", "status"), [("Sun, 06 Nov 1994 08:49:37 GMT", b"304"), ("Sun, 06 Nov 1994 08:49:36 GMT", b"200")]
)
def test_only_if_newer(curl_site: Site, tmp_path: Path, date: str, status: bytes) -> None:
    out = tmp_path / "out"
    done = curl(curl_site, "/data.bin", "-z", date, "-w", "%{http_code}", "-o", str(out))
    assert done.stdout == status
    assert (out.read_bytes() if out.exists() else b"") == (DATA if status == b"200" else b"")


def test_etags(curl_site: Site, tmp_path: Path) -> None:
    tag = str(tmp_path / "tag")
    options = ["--etag-save", tag, "--etag-compare", tag, "-w", "%{http_code}", "-o", str(tmp_path / "out")]
    assert [curl(curl_site, "/data.bin", *options).stdout for _ in range(2)] == [b"200", b"304"]


def test_redirects_and_paths_as_they_are(curl_site: Site) -> None:
    assert b"<h1>/folder/</h1>" in curl(curl_site, "/folder", "-L").stdout
    answer = curl(curl_site, "/../../../../etc/passwd", "--path-as-is", "-w", "%{http_code}")
    assert answer.stdout == b"404 Not Found\n404"


def test_head(curl_site: Site) -> None:
    assert b"Content-Length: 200000\r\n" in curl(curl_site, "/data.bin", "-I").stdout
