"""BOLT 1 between two nodes: `init`, liveness, whose message is whose, and coming back after a lost connection.

One machine per node id; `table.MOUNT` is what the node mounts. Everything about one connection is passing: a crash is
a disconnect (law 2). What lasts is which channels there are with the peer, and where it was last reached.
"""
