"""Multipart forms as curl, Chromium, requests and httpx make them."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from evkit.http.forms.multipart import MultipartReader, Part, parse_multipart
from evkit.http.server.request import Request
from evkit.http.server.server import Server
from http_server_aids import served

pytestmark = pytest.mark.peer
LARGE = bytes(range(256)) * 20_000
ODD = 'a"b\\c;d=ü€ %.txt'
"""A name of a file in which everything stands that has to be encoded, or is sent as it is."""


def needs(program: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def told(part: Part, digest: str) -> dict[str, Any]:
    return {"name": part.name, "filename": part.filename, "type": part.content_type, "digest": digest}


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


class Streamed:
    """Answers with what it was told; receives all parts, files or not."""

    def __init__(self, request: Request) -> None:
        self.answer: list[dict[str, Any]] = []
        MultipartReader(request, self.on_part, self.on_end)

    def on_part(self, request: Request, part: Part) -> None:
        seen = hashlib.sha256()
        part.receive(
            lambda _part, data: seen.update(data),
            lambda part: self.answer.append(told(part, seen.hexdigest())),
        )

    def on_end(self, request: Request, parts: list[Part]) -> None:
        request.send_reply(200, json.dumps(self.answer))


def whole(request: Request) -> None:
    parts = parse_multipart(request)
    request.send_reply(200, json.dumps([told(part, digest(part.data)) for part in parts]))


def application(server: Server) -> None:
    server.set_cb("/streamed", Streamed, stream=True)
    server.set_cb("/whole", whole, max_body=20_000_000)
    server.set_cb("/", lambda request: request.send_reply(200, PAGE, [("Content-Type", "text/html")]))


def expected(name: str, data: bytes, filename: str | None = None, kind: str = "text/plain") -> dict[str, Any]:
    return {"name": name, "filename": filename, "type": kind, "digest": digest(data)}


both_ways = pytest.mark.parametrize("target", ["/streamed", "/whole"])


@needs("curl")
@both_ways
def test_curl(target: str, tmp_path: Path) -> None:
    (tmp_path / "large.bin").write_bytes(LARGE)
    (tmp_path / "page.html").write_bytes(b"<p>")
    (tmp_path / ODD).write_bytes(b"odd")
    odd = str(tmp_path / ODD).replace("\\", "\\\\").replace('"', '\\"')
    with served(application) as site:
        done = subprocess.run(
            [
                *("curl", "-sS", "--max-time", "30", site.url + target),
                *("-F", "field=a value", "-F", "field=;type=text/x-odd", "-F", 'na"me=ü'),
                *("-F", f"file=@{tmp_path / 'large.bin'}", "-F", f"file=@{tmp_path / 'page.html'}"),
                *("-F", f'odd=@"{odd}"', "-F", f"text=<{tmp_path / 'page.html'}"),
                *("-F", "named=@-;filename=given.txt;type=image/png", "-F", 'extra=1;headers="X-Y: z"'),
            ],
            input=b"stdin",
            capture_output=True,
            check=True,
        )
    assert json.loads(done.stdout) == [
        expected("field", b"a value"),
        expected("field", b"", kind="text/x-odd"),
        expected('na"me', "ü".encode()),
        expected("file", LARGE, "large.bin", "application/octet-stream"),
        expected("file", b"<p>", "page.html", "text/html"),
        # curl leaves the backslash as it is, and then it separates folders.
        expected("odd", b"odd", ODD.rpartition("\\")[2], "text/plain"),
        expected("text", b"<p>", kind="text/html"),  # curl guesses it by the name of the file
        expected("named", b"stdin", "given.txt", "image/png"),
        expected("extra", b"1"),
    ]


PAGE = """<!doctype html><meta charset="utf-8"><p id="told">nothing</p>
<script>
const make = () => {
  const form = new FormData();
  form.append("field", "a value");
  form.append('na"me\\r\\n', "line\\nline");
  form.append("", "nameless");
  form.append("odd", new File(["odd"], "a\\"b;d=\\u00fc\\u20ac %.txt", {type: "text/plain; charset=utf-8"}));
  form.append("large", new Blob([new Uint8Array(3000000)]), "zeros");
  form.append("empty", new File([], ""));
  return form;
};
addEventListener("load", async () => {
  const answers = [];
  for (const target of ["/streamed", "/whole"])
    answers.push(await (await fetch(target, {method: "POST", body: make()})).json());
  document.getElementById("told").textContent = btoa(encodeURIComponent(JSON.stringify(answers)));
  document.title = "done";
});
</script>
"""


@needs("chromium")
def test_chromium(tmp_path: Path) -> None:
    with served(application) as site:
        done = subprocess.run(
            [
                *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic"),
                *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
                *("--disable-sync", f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000"),
                *("--dump-dom", f"{site.url}/"),
            ],
            capture_output=True,
            timeout=60,
            check=True,
        )
    found = re.search(rb'<p id="told">([A-Za-z0-9+/=]+)</p>', done.stdout)
    assert found is not None, done.stdout
    answers = json.loads(unquote(base64.b64decode(found[1]).decode()))
    wanted = [
        expected("field", b"a value"),
        expected('na"me%0D%0A', b"line\r\nline"),
        expected("", b"nameless"),
        expected("odd", b"odd", 'a"b;d=ü€ %.txt'),
        expected("large", bytes(3_000_000), "zeros", "application/octet-stream"),
        expected("empty", b"", "", "application/octet-stream"),
    ]
    assert answers == [wanted, wanted]


@both_ways
@pytest.mark.parametrize("client", ["requests", "httpx"])
def test_python_clients(client: str, target: str) -> None:
    package = pytest.importorskip(client)
    files = [
        ("file", ("large.bin", LARGE, "application/octet-stream")),
        ("file", ('a"b;d=ü€ %.txt', b"odd", "text/plain")),
    ]
    with served(application) as site:
        reply = package.post(site.url + target, data={"field": ["a value", "ü"]}, files=files)
    assert reply.json() == [
        expected("field", b"a value"),
        expected("field", "ü".encode()),
        expected("file", LARGE, "large.bin", "application/octet-stream"),
        expected("file", b"odd", 'a"b;d=ü€ %.txt'),
    ]
