r"""The grammar of RFC 9112 as bytes patterns: which bytes make a message, before anybody asks what they mean.

Every pattern is linear in its input by construction, whatever comes: each repetition but an optional part is possessive
(it never gives back what it took), what is repeated has no choice within, and no class contains the byte that ends its
run. So there is one way to match, and a failing match visits a byte a fixed number of times.

Patterns are bytes patterns: on `str`, ``\d`` and ``\w`` take Unicode. ``$`` is in none: it matches before a final LF.

This module knows nothing of limits, of fields by meaning, or of bytes that have yet to come.
"""

import re
from typing import Final

# tchar (RFC 9110 §5.6.2); field-vchar, SP and HTAB (§5.5), obs-text included, which is opaque.
TCHAR: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
VCHAR: Final = rb"[\t -~\x80-\xff]"
# Visible ASCII, without "#": a fragment is never sent (RFC 9112 §3.2).
TARGET: Final = rb"[!\"$-~]"

# RFC 9110 §9.1 names no longest method; the longest in the registry (UPDATEREDIRECTREF) has 17.
MAX_METHOD: Final = 32

_FIELDS: Final = rb"(?:" + TCHAR + rb"++:" + VCHAR + rb"*+\r\n)*+"

# A head: an empty line that may stand before it (RFC 9112 §2.2), method, target, minor version, field lines. The
# group of the fields begins at the request line's CRLF, so that every field, the first too, stands after a LF.
HEAD: Final = re.compile(
    rb"(?:\r\n)?(%b{1,%d}+) (%b++) HTTP/1\.([0-9])(\r\n%b)\r\n" % (TCHAR, MAX_METHOD, TARGET, _FIELDS)
)

# What of a head stands before the version.
METHOD_AND_TARGET: Final = re.compile(rb"(%b{1,%d}+) (%b++)" % (TCHAR, MAX_METHOD, TARGET))

# A response's head: minor version, status, reason, field lines. No empty line may stand before it: RFC 9112 §2.2 allows
# that to servers alone, and what comes after a whole response belongs to none. The space before an empty reason is a
# MUST (§4), but servers leave it out and nobody reads the line in another way then.
RESPONSE_HEAD: Final = re.compile(
    rb"HTTP/1\.([0-9]) ([1-9][0-9][0-9])(?: |(?=\r))(%b*+)(\r\n%b)\r\n" % (VCHAR, _FIELDS)
)
# As much of the version and the status as there is, when what is missing is taken from STATUS_LINE_MODEL.
STATUS_LINE: Final = re.compile(rb"HTTP/1\.[0-9] [1-9][0-9][0-9]")
STATUS_LINE_MODEL: Final = b"HTTP/1.1 200"
# What may follow them in the line, and how that goes on when it comes in pieces.
REASON: Final = re.compile(rb"(?: %b*+)?" % VCHAR)
REASON_GOES_ON: Final = re.compile(rb"%b*+" % VCHAR)

# The fields that rule the framing and the routing of a request, picked from lines that `HEAD` has accepted. The
# look-ahead spares the alternation a visit to most lines.
RULING: Final = re.compile(
    rb"\n(?=[HhCcTtEe])(?i:(host|connection|content-length|transfer-encoding|expect)):[ \t]*+([^\r]*+)"
)

# The fields that rule the framing of a response, and whether another may follow.
RESPONSE_RULING: Final = re.compile(
    rb"\n(?=[CcTt][OoRr])(?i:(content-length|connection|transfer-encoding)):[ \t]*+([^\r]*+)"
)

# A chunk's first line: size and extensions (RFC 9112 §7.1.1). Of the extensions only the bytes are checked. With 16
# digits a size fits into 64 bits, and int() costs nothing (it is quadratic without a bound).
CHUNK_LINE: Final = re.compile(rb"([0-9A-Fa-f]{1,16}+)([ \t]*+;%b*+)?\r\n" % VCHAR)
# As much of such a line as can still become one.
CHUNK_LINE_START: Final = re.compile(rb"[0-9A-Fa-f]{0,16}+(?:(?<=[0-9A-Fa-f])[ \t]*+(?:;%b*+)?\r?)?" % VCHAR)
