"""BOLT 5: what a channel's end on the chain pays us, and every HTLC claimed or given back with proof.

`classify` what the spend of the funding is; `local_close`, `remote_close`, `revoked_close`, `unknown_close` which of
its outputs matter and how we take them; `claims` which of them share a transaction, `sweeps` and `htlc_txs` that
transaction; `worth` whether it is worth its fee now; `deadlines` what it should pay, `raising` when it has waited;
`lifting` the fee of a commitment; `fates` what becomes of HTLCs; `resolution` when all is over; `machine` the table of
handlers.
"""
