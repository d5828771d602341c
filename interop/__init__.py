"""The lab: fulmen against nodes and chains that others wrote, unmodified, over their own sockets.

`python -m interop` (`make interop`) builds what it needs (`recipe`), starts daemons in two lanes (`lane`), plays every
scenario with every peer that has the feature (`scenario`, `scenarios/`), and with `--write` makes `docs/interop.md`.
A peer is a driver in `peers/`, a chain daemon one in `chains/`; `columns` says which there are.
"""
