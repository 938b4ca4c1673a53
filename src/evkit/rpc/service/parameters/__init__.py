"""Parameters of calls against the annotations of a function: what a checker is, and how to get one for an annotation.

A decider: it knows types and values, and nothing of methods or messages.
"""

from evkit.rpc.service.parameters.annotations import checker_of
from evkit.rpc.service.parameters.checker import Checker, Mismatch

__all__ = ["Checker", "Mismatch", "checker_of"]
