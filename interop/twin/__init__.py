"""The embedded chain and Bitcoin Core as twins: the same questions to both, and the answers compared.

`python -m interop.twin` makes streams of transactions, packages and blocks (`families`, `plan`), puts them to Core and
to two embedded chains, one for each judge (`sides`), and compares every answer (`verdicts`, `play`). What differs is
shrunk and printed with what plays it again. `--record` keeps cases with Core's answers for the tests of machines
without Core.
"""
