"""Read all pages of a site, so many at a time, and tell which links lead nowhere.

python examples/crawler.py URL [AT_ONCE]
python examples/crawler.py http://127.0.0.1:8080/ 8
"""

import sys
from contextlib import suppress
from functools import partial
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin

from evkit import EVLOOP_ONCE, EventBase, EvkitError, Future
from evkit.http import Client, ClientTimeouts, Response


class Crawler(HTMLParser):
    """Asks for each page of a site once. How many at a time, and which have to wait, is its client's business."""

    def __init__(self, client: Client, site: str) -> None:
        super().__init__()
        self.client, self.site, self.page = client, site, "the command line"
        self.seen, self.under_way = set[str](), 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - HTMLParser's
        """Follow what is a link, whatever the tag is."""
        for link in (value for name, value in attrs if value and name in ("href", "src")):
            self.follow(link)

    def follow(self, link: str) -> None:
        """Ask for what the page points to, if it is of this site and new."""
        try:
            url = urldefrag(urljoin(self.page, link)).url
            if url.startswith(self.site) and url not in self.seen:
                self.seen.add(url)
                self.client.get(url).add_done_callback(partial(self.read, url, self.page))
                self.under_way += 1
        except ValueError as error:
            print(f"{link} (from {self.page}): {error}", flush=True)

    def read(self, url: str, page: str, future: Future[Response]) -> None:
        """Go on with what has come, if it is a page of this site."""
        self.under_way -= 1
        try:
            response = future.result()
            response.raise_for_status()
            if response.url.startswith(self.site) and "html" in (response.headers.get("Content-Type") or ""):
                self.page = response.url
                self.reset()
                self.feed(response.text)
        except (EvkitError, AssertionError) as error:  # the latter from the parser, for what it can't read
            print(f"{url} (from {page}): {error}", flush=True)


def main(site: str, at_once: int = 8) -> None:
    """Crawl to the end, or until Ctrl-C."""
    waits = ClientTimeouts(pool=None, total=None)  # for as many as there are
    with EventBase() as base, Client(base, max_per_host=at_once, timeouts=waits) as client:
        crawler = Crawler(client, site)
        crawler.follow(site)
        while crawler.under_way:
            base.loop(EVLOOP_ONCE)
        print(f"{len(crawler.seen)} links", flush=True)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main(sys.argv[1], *map(int, sys.argv[2:3]))
