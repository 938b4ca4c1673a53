"""Take files from a browser, which shows how far each is, and save them at the pace of the disk.

    python examples/upload_progress.py FOLDER [PORT]
    chromium http://127.0.0.1:8080/
    curl -T FILE http://127.0.0.1:8080/files/

A thread writes, so that a slow disk keeps nobody waiting but the client whose file it is: that sends no more until
what it has sent is written. So there is no limit on a file, and it costs no memory.
"""

import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

from evkit import EventBase
from evkit.http import Request, Server, safe_filename

PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Upload</title>
<input type="file" id="file">
<progress id="progress" value="0"></progress>
<p id="told">Choose a file.</p>
<script>
file.onchange = () => {
  const chosen = file.files[0], sending = new XMLHttpRequest();
  sending.upload.onprogress = event => { progress.max = event.total; progress.value = event.loaded; };
  sending.onload = () => { told.textContent = sending.responseText; };
  sending.onerror = () => { told.textContent = "The connection was lost."; };
  sending.open("PUT", "/files/" + encodeURIComponent(chosen.name));
  sending.send(chosen);
};
</script>
"""


class Disk(NamedTuple):
    """Where files go."""

    base: EventBase
    folder: Path
    thread: ThreadPoolExecutor
    """One thread, which does one thing after the other."""


class Upload:
    """One file under way."""

    __slots__ = ("disk", "file", "path", "request", "size")

    def __init__(self, disk: Disk, request: Request) -> None:
        self.disk = disk
        self.request = request
        self.size = 0
        self.path = disk.folder / safe_filename(request.path.removeprefix("/files/"))
        self.file = self.path.open("xb")
        request.on_close = self.give_up
        request.receive(self.on_data, self.on_end)

    def on_data(self, request: Request, data: bytes) -> None:
        """Take a piece, and no more until it is written."""
        request.pause()
        self.size += len(data)
        self.do(partial(self.file.write, data), then=request.resume)

    def on_end(self, _request: Request) -> None:
        """Answer when all is written."""
        self.do(self.file.close, then=self.on_saved)

    def on_saved(self) -> None:
        """Answer."""
        self.request.send_reply(201, f"{self.path.name}: {self.size} bytes saved\n")

    def do(self, act: Callable[[], object], then: Callable[[], object]) -> None:
        """Have the thread do something, and the loop go on with ``then``."""
        self.disk.thread.submit(self.work, act, then)

    def work(self, act: Callable[[], object], then: Callable[[], object]) -> None:
        """Do it: in the thread, which may not touch the request."""
        try:
            act()
        except OSError as error:
            self.disk.base.call_soon_threadsafe(self.fail, error)
        else:
            self.disk.base.call_soon_threadsafe(then)

    def fail(self, error: OSError) -> None:
        """Tell the client that the disk is full, or worse; only once, and only if it is still there."""
        if not self.request.gone:
            self.request.send_error(507, f"{error.strerror}")
            self.give_up(self.request)

    def give_up(self, _request: Request) -> None:
        """Leave no half of a file behind, once all is done that the thread has to do for it."""
        self.disk.thread.submit(self.discard)

    def discard(self) -> None:
        """Remove the file, in the thread."""
        self.path.unlink()
        print(f"{self.path.name}: given up after {self.size} bytes", flush=True)
        self.file.close()


def take(disk: Disk, request: Request) -> None:
    """Begin an upload."""
    try:
        Upload(disk, request)
    except FileExistsError as error:
        request.send_error(409, f"{error.strerror}")


def send_page(request: Request) -> None:
    """Answer with the page that uploads."""
    request.send_reply(200, PAGE, [("Content-Type", "text/html; charset=utf-8")])


def main() -> None:
    """Serve until Ctrl-C."""
    with EventBase() as base, ThreadPoolExecutor(max_workers=1) as thread:
        server = Server(base)
        server.set_cb("/", send_page, methods=("GET",))
        disk = Disk(base, Path(sys.argv[1]), thread)
        server.set_cb("/files/", partial(take, disk), prefix=True, stream=True, methods=("PUT",))
        listener = server.bind("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 8080)
        print(f"http://{listener.address}/ (Ctrl-C stops)", flush=True)
        base.signal(signal.SIGINT, lambda *_: server.stop(stopped=base.loopexit)).add()
        base.dispatch()


if __name__ == "__main__":
    main()
