"""Close codes: why a connection ends.

Which there are and which may be sent. Knows nothing else.

Source: RFC 6455 §7.4.1 and the registry that it founds.
"""

from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_CODE: Final = 1005
LOST: Final = 1006
BAD_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011

_ASSIGNED: Final = frozenset({1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014})


def may_be_sent(code: int) -> bool:
    """Return whether a close frame may have this code: one that is assigned, or 3000 to 4999.

    Source: RFC 6455 §7.4.2. 1005, 1006 and 1015 are for programs to tell each other, never for the wire.
    """
    return code in _ASSIGNED or 3000 <= code <= 4999
