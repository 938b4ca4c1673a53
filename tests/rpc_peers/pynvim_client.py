"""A client on pynvim, which takes who listens on the port for a Neovim: it says what it got, and ends.

It sends names as bytes, notifies before its first call, and makes calls while it is called.
"""

import sys
from collections.abc import Sequence
from typing import Any

import pynvim


def main() -> None:
    nvim = pynvim.attach("tcp", address="127.0.0.1", port=int(sys.argv[1]))
    print("channel", nvim.channel_id)
    print("sum", nvim.request("add", 2, 3))
    print("echo", ascii(nvim.request("echo", {"list": [1, None, True], "Ω": -1.5, "bytes": b"\0\xff"})))
    print("buffer", nvim.request("buffer").handle)
    try:
        print("no error:", nvim.request("neovims_error"))
    except pynvim.NvimError as exc:
        print("error", exc)
    nvim.request("note", "a note", async_=True)

    def on_request(name: str, arguments: Sequence[Any]) -> Any:
        return nvim.request("add", *arguments) if name == "add_there" else None

    def on_notification(name: str, arguments: Sequence[Any]) -> None:
        print("notified", name, arguments)
        nvim.stop_loop()

    def on_setup() -> None:
        print("called back", nvim.request("call_back"))
        nvim.request("say_bye", async_=True)

    nvim.run_loop(on_request, on_notification, on_setup)
    nvim.close()


if __name__ == "__main__":
    main()
