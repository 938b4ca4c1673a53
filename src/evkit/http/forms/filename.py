"""Which name a file may have, anywhere, that a client calls whatever it likes.

A decider over text. It knows nothing of forms, and touches no file system.
"""

import re
import unicodedata
from typing import Final

MAX_FILENAME: Final = 255
"""Bytes of a name that ext4, XFS, APFS and NTFS take (the last counts characters)."""
_MAX_SUFFIX: Final = 20
_NO_NAME: Final = "unnamed"
_FORBIDDEN: Final = frozenset('<>:"/\\|?*')  # in a name on Windows
_INVISIBLE: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})  # and what turns the direction of writing
_DEVICE: Final = re.compile(r"(?:con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]|conin\$|conout\$)\s*(?:\.|$)", re.I)


def safe_filename(filename: str) -> str:
    """Make of what a client calls a file a name that one may have, anywhere.

    Separators, characters that Windows forbids and those that nobody sees become ``_``. Leading dots, dashes and
    spaces go, and trailing dots and spaces; devices of Windows get a ``_`` before them. What is longer than
    `MAX_FILENAME` is cut before its suffix. It may be the name of a file that exists: that is for you to look after.

    Returns:
        The name, never empty: ``"unnamed"`` if nothing is left.

    Source: RFC 7578 §4.2 (what not to do with it); RFC 6266 §4.3.
    """
    name = "".join(map(_visible, unicodedata.normalize("NFC", filename))).lstrip(" .-").rstrip(" .")
    if _DEVICE.match(name):
        name = f"_{name}"
    return _shorten(name) or _NO_NAME


def _shorten(name: str) -> str:
    excess = len(name.encode()) - MAX_FILENAME
    if excess <= 0:
        return name
    stem, dot, suffix = name.rpartition(".")
    if len(suffix.encode()) > _MAX_SUFFIX:
        stem, dot, suffix = name, "", ""
    return stem.encode()[:-excess].decode("utf-8", "ignore").rstrip(" .") + dot + suffix


def _visible(character: str) -> str:
    hidden = character in _FORBIDDEN or unicodedata.category(character) in _INVISIBLE
    return "_" if hidden else character
