"""BOLT 3: every transaction that two ends of a channel must agree on, built from plain parameters.

All is said from the side of the commitment's *owner*, the end that can publish it (the BOLT's "local node"), and the
*other* end; so the same builders make our commitment and the peer's.

`formats` which kind of channel; `keys` derivations; `scripts` witness scripts; `weights` fees and trimming;
`commitment` the commitment and its HTLC transactions; `spending` how each output can be spent; `funding`, `closing`.
"""
