"""evkit's server, whose handler receives an upload piece by piece."""

from sender import sending
from work import Stopwatch, check_size, make_parser, memory

from evkit import EventBase
from evkit.http import Request, Server


class Uploads:
    """A server of uploads, one after the other."""

    def __init__(self, base: EventBase, watch: Stopwatch) -> None:
        self._base = base
        self._watch = watch
        self._received = 0
        self._server = Server(base)
        self._server.set_cb("/upload", self._on_request, stream=True, methods=("PUT",))
        self._port = int(self._server.bind("127.0.0.1", 0).address.rpartition(":")[2])

    def take(self, size: int, core: int | None) -> int:
        """Have an upload of ``size`` bytes sent; return how many came."""
        self._received = 0
        with sending(self._port, size, core):
            self._base.dispatch()
        return self._received

    def _on_request(self, request: Request) -> None:
        self._watch.start()
        request.on_close = self._on_close
        request.receive(self._on_data, self._on_end)

    def _on_data(self, request: Request, data: bytes) -> None:
        del request
        self._received += len(data)

    def _on_end(self, request: Request) -> None:
        self._watch.stop("upload")
        request.send_reply(200)
        self._base.loopexit()  # after this pass, which sends the reply

    def _on_close(self, request: Request) -> None:
        del request
        self._base.loopbreak()

    def close(self) -> None:
        """Stop listening, and end the connections."""
        self._server.close()


def main() -> None:
    args = make_parser().parse_args()
    watch = Stopwatch()
    before = memory("VmRSS")
    with EventBase() as base:
        uploads = Uploads(base, watch)
        for _ in range(args.r):
            check_size(uploads.take(args.m << 20, args.far), args.m)
        uploads.close()
    watch.report(args.m, memory_growth=memory("VmHWM") - before)


if __name__ == "__main__":
    main()
