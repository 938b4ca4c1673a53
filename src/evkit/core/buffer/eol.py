"""The five ways in which a line may end.

This module names the styles and gives the simple ones their bytes; it knows nothing of buffers.
"""

import enum
from typing import Final


class EOL(enum.Enum):
    """A style of line end. Source: ``enum evbuffer_eol_style``."""

    ANY = "any"
    """Any run of CR and LF counts as one end. Ambiguous when a run is cut in two by the network."""
    CRLF = "crlf"
    """LF, with or without one CR before it: what a lenient text protocol reads."""
    CRLF_STRICT = "crlf-strict"
    """Exactly CR LF; a bare LF belongs to the line."""
    LF = "lf"
    """LF alone; a CR before it belongs to the line."""
    NUL = "nul"
    """One zero byte."""


EOL_ANY: Final = EOL.ANY
EOL_CRLF: Final = EOL.CRLF
EOL_CRLF_STRICT: Final = EOL.CRLF_STRICT
EOL_LF: Final = EOL.LF
EOL_NUL: Final = EOL.NUL

FIXED_ENDS: Final = {EOL.CRLF_STRICT: b"\r\n", EOL.LF: b"\n", EOL.NUL: b"\0"}
