"""Read all pages of a site, a few at a time, and tell which links lead nowhere.

python examples/crawler.py URL [AT_ONCE]
python examples/crawler.py http://127.0.0.1:8080/ 8
"""

import signal
import sys
from collections.abc import Callable
from functools import partial
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

from evkit import EventBase, EvkitError, Future
from evkit.http import Client, Response

LINKS = {"a": "href", "iframe": "src", "img": "src", "link": "href", "script": "src"}
"""Which attribute of what is a link."""


class Links(HTMLParser):
    """Calls ``on_link(link)`` for all that a page points to."""

    def __init__(self, page: str, on_link: Callable[[str], object]) -> None:
        super().__init__()
        self.on_link = on_link
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Take what is a link."""
        link = dict(attrs).get(LINKS.get(tag, ""))
        if link:
            self.on_link(link)


class Crawler:
    """Asks for each page of a site once, and never for more than so many at a time."""

    def __init__(self, base: EventBase, client: Client, site: str, at_once: int) -> None:
        self.base, self.client, self.site, self.at_once = base, client, site, at_once
        self.seen = {site: "the command line"}
        self.waiting = [site]
        self.under_way = self.broken = 0

    def go_on(self) -> None:
        """Ask for as many as may be. The end is when nothing is left."""
        while self.waiting and self.under_way < self.at_once:
            url = self.waiting.pop()
            try:
                self.client.get(url).add_done_callback(partial(self.on_response, url))
                self.under_way += 1
            except ValueError as error:
                self.on_broken(url, error)
        if not self.under_way:
            self.base.loopexit()

    def on_response(self, url: str, future: Future[Response]) -> None:
        """Note what a page points to, and go on."""
        self.under_way -= 1
        try:
            response = future.result()
            response.raise_for_status()
        except EvkitError as error:
            self.on_broken(url, error)
        else:
            if response.url.startswith(self.site) and "html" in (response.headers.get("Content-Type") or ""):
                Links(response.text, partial(self.on_link, response.url))
        self.go_on()

    def on_link(self, page: str, link: str) -> None:
        """Note a link, if it is of this site and new."""
        try:
            url = urldefrag(urljoin(page, link)).url
        except ValueError:
            return
        if url.startswith(self.site) and url not in self.seen:
            self.seen[url] = page
            self.waiting.append(url)

    def on_broken(self, url: str, error: Exception) -> None:
        """Tell of a link that leads nowhere."""
        self.broken += 1
        print(f"{url} (from {self.seen[url]}): {error}", flush=True)


def main() -> None:
    """Crawl to the end, or until Ctrl-C."""
    with EventBase() as base, Client(base) as client:
        crawler = Crawler(base, client, sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 8)
        base.signal(signal.SIGINT, lambda *_: base.loopexit()).add()
        base.call_soon(crawler.go_on)
        base.dispatch()
        print(f"{len(crawler.seen)} links, {crawler.broken} broken", flush=True)


if __name__ == "__main__":
    main()
