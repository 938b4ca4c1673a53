"""Files of a folder as an HTTP handler.

names ──► folder ──► files ──► handler ──► sending ◄── conditions, ranges, representation
deciders: names, conditions, ranges, content_types, representation, listing (the page)
doers:    folder (opens, never outside), files (reads, keeps small ones for a moment), handler, sending (answer)
"""

from evkit.http.static.handler import StaticFiles

__all__ = ["StaticFiles"]
