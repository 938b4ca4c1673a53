"""Read all pages of a site, so many at a time, and tell which links lead nowhere.

python examples/crawler.py URL [AT_ONCE]
python examples/crawler.py http://127.0.0.1:8080/ 8
"""

import re
import sys
from collections import deque
from contextlib import suppress
from html import unescape
from urllib.parse import urldefrag, urljoin

from evkit import EventBase, EvkitError, Future
from evkit.http import Client, Response

LINK = re.compile(r"""<[^<>]*\s(?:href|src)\s*=\s*("[^"]*|'[^']*|[^\s"'>]+)""", re.IGNORECASE)


def crawl(client: Client, site: str, at_once: int = 8) -> int:
    """Ask for each page of a site once; return how many links there were."""
    seen, todo = set[str](), deque[tuple[str, str, Future[Response] | None]]()
    asked = todo.copy()
    todo.append((site, "the command line", None))
    while todo or asked:
        link, page, future = (todo if todo and len(asked) < at_once else asked).popleft()
        try:
            if future is None:
                url = urldefrag(urljoin(page, unescape(link))).url
                if url.startswith(site) and url not in seen:
                    seen.add(url)
                    asked.append((url, page, client.get(url)))
            else:
                response = future.result()  # and meanwhile the others go on
                response.raise_for_status()
                if "html" in (response.headers.get("Content-Type") or ""):
                    links = LINK.findall(response.text)
                    todo.extend((link.strip("\"'"), response.url, None) for link in links)
        except (EvkitError, ValueError) as error:
            print(f"{link} (from {page}): {error}", flush=True)
    return len(seen)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt), EventBase() as base, Client(base) as client:
        print(crawl(client, sys.argv[1], *map(int, sys.argv[2:3])), "links", flush=True)
