"""Hooks: what a call or a frame passes on its way."""
