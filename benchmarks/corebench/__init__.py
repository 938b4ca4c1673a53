"""The parts of the core's benchmark: the cases, the programs, the measurement and the report, each in a module.

Nothing here imports evkit: it is in some of the programs that `corebench.runner` starts, which are in ``peers/core/``.
"""
