"""Mutation testing: what would the tests say if the code were a little wrong?

`python -m mutants channel` draws a seeded sample of small mistakes in `src/fulmen/core/channel`, makes them one at a
time, and runs the tests that pass over the changed line. A mistake that no test notices survives; each survivor is
answered in `docs/security.md`. No file is ever changed: the mistakes are made in the memory of a forked process.
"""
