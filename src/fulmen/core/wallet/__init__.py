"""The on-chain wallet: coins under reorgs, selection, reservations for openings, the anchors' reserve.

A pure machine (kind "wallet", key b"") that holds no key: it watches the scripts of two accounts (BIP 84, BIP 86) and
asks the key holder to sign (`core.bitcoin.accounts`).
"""
