"""What both benchmarks measure with: processors, CPU time, programs, rounds and tables, each in a module.

Nothing here knows what is measured, or imports evkit.
"""
