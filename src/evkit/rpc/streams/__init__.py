"""Streams: items on their way in, and out, within what the receiver has asked for."""
