"""Which media type a file has, by its name.

A decider. The types of the web stand here, so that neither the machine's ``mime.types`` nor the Python version changes
what a browser is told; for the rest there is the table that `mimetypes` carries in itself.
"""

import mimetypes
from collections.abc import Mapping
from typing import Final

from evkit.http.fields import encode_line

UNKNOWN: Final = "application/octet-stream"

_WEB: Final = {
    ".avif": "image/avif",
    ".bz2": "application/x-bzip2",
    ".css": "text/css",
    ".csv": "text/csv",
    ".flac": "audio/flac",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".htm": "text/html",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".js": "text/javascript",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".m4a": "audio/mp4",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".oga": "audio/ogg",
    ".ogg": "audio/ogg",
    ".ogv": "video/ogg",
    ".opus": "audio/ogg",
    ".otf": "font/otf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".rst": "text/x-rst",
    ".svg": "image/svg+xml",
    ".tgz": "application/gzip",
    ".toml": "application/toml",
    ".ttf": "font/ttf",
    ".txt": "text/plain",
    ".vtt": "text/vtt",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".weba": "audio/webm",
    ".webm": "video/webm",
    ".webmanifest": "application/manifest+json",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xhtml": "application/xhtml+xml",
    ".xml": "application/xml",
    ".xz": "application/x-xz",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".zip": "application/zip",
    ".zst": "application/zstd",
}


class ContentTypes:
    """A table of types by the end of the name.

    Args:
        types: ``{".ext": "type/subtype"}``, in lower case, to add or replace; used as they are, so with a
            ``charset`` if one is due.

    Raises:
        ValueError: a key does not begin with a dot, or is not in lower case.
        LocalProtocolError: a type can't be the value of a field.
    """

    __slots__ = ("_types",)

    def __init__(self, types: Mapping[str, str] | None = None) -> None:
        known = {**mimetypes.MimeTypes().types_map[1], **_WEB}
        self._types = {ext: _with_charset(kind) for ext, kind in known.items()}
        for ext, kind in (types or {}).items():
            if ext[:1] != "." or ext != ext.lower():
                raise ValueError(f'expected the end of a name as in ".html", in lower case, got {ext!r}')
            encode_line("Content-Type", kind)
            self._types[ext] = kind

    def of(self, name: bytes) -> str:
        """Return the type of a file by its name; `UNKNOWN` if the name tells nothing.

        The last end decides: ``a.tar.gz`` is a ``.gz``, for it is sent as it is and not as an encoded tar.
        """
        dot = name.rfind(b".")
        if dot <= 0:
            return UNKNOWN
        return self._types.get(name[dot:].decode("latin-1").lower(), UNKNOWN)


def _with_charset(kind: str) -> str:
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
