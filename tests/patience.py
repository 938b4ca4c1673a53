"""How long the tests wait for what never takes long."""

from typing import Final

PATIENCE: Final = 60.0
"""Seconds of real time after which a test that waits for something fails: only one that fails waits so long.

A machine may be busy with much else, so nobody's patience is shorter.
"""
