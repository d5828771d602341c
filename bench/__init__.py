"""Figures of this machine: what the primitives cost here (the floor), and beside it what fulmen takes.

    python -m bench                  everything
    python -m bench onion paths      some of it
    python -m bench --write          the table goes to docs/benchmarks.md as well

A figure is only worth something beside the floor measured in the same run: ratios travel between machines, times do
not. Times are CPU time, the fastest of many short repeats; disk and network are by the clock.
"""
