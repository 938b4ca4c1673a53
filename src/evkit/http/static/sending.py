"""How a file, or stretches of it, become the body of a reply, and whether the request asked for less than all of it.

A doer over what `evkit.http.static.files` opened, which stays its caller's. Which file it is, was decided before.
"""

import secrets
from collections.abc import Mapping
from typing import Final

from evkit.core import Buffer
from evkit.http.server.request import Request
from evkit.http.static.conditions import evaluate, range_fits
from evkit.http.static.files import Content
from evkit.http.static.ranges import ByteRange, content_range, last_line, part_head, select_ranges
from evkit.http.static.representation import NOSNIFF, Representation

TEXT: Final = ("Content-Type", "text/plain; charset=utf-8")


def answer_asked(
    request: Request, file: Representation, content: Content, asked: Mapping[str, str], now: float
) -> bool:
    """Answer a conditional or range request, unless the whole file is the answer; return whether it was."""
    status = evaluate(asked, file.etag, file.modified, now)
    if status == 304:
        request.send_reply(304, b"", file.validators)
    elif status == 412:
        request.send_error(412)
    elif (
        "range" in asked
        and request.method == "GET"
        and range_fits(asked, file.etag, file.modified, now)
        and (ranges := select_ranges(asked["range"], file.size)) is not None
        and (len(ranges) < 2 or not file.coding)  # a Content-Encoding would be said of the multipart body
    ):
        _send_ranges(request, file, content, ranges)
    else:
        return False
    return True


def _send_ranges(request: Request, file: Representation, content: Content, ranges: list[ByteRange]) -> None:
    """Send some stretches of a file."""
    if not ranges:
        fields = [("Content-Range", f"bytes */{file.size}"), TEXT, NOSNIFF]
        request.send_reply(416, "416 Range Not Satisfiable\n", fields)
    elif len(ranges) == 1:
        fields = [*file.fields, ("Content-Range", content_range(ranges[0], file.size))]
        request.send_reply(206, content.take(ranges[0]), fields)
    else:
        # Random, for a file that has the boundary in it would end the part.
        boundary = secrets.token_hex(16)
        body = Buffer()
        for part in ranges:
            body.add(part_head(boundary, file.content_type, part, file.size))
            _add(body, content.take(part))
        body.add(last_line(boundary))
        fields = [("Content-Type", f"multipart/byteranges; boundary={boundary}"), *file.fields[1:]]
        request.send_reply(206, body, fields)


def _add(body: Buffer, piece: bytes | Buffer) -> None:
    if isinstance(piece, Buffer):
        body.add_buffer(piece)
    else:
        body.add(piece)
