"""Files of a folder as an HTTP handler.

names ──► folder ──► handler ◄── conditions, ranges, representation, listing
deciders: names, conditions, dates, ranges, content_types, representation, listing (the page)
doers:    folder (opens, never outside), handler (reads, answers)
"""

from evkit.http.static.handler import StaticFiles

__all__ = ["StaticFiles"]
