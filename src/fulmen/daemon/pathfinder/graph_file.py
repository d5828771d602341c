"""The graph on disk: a cache that a restart starts from, replaced as a whole."""

from __future__ import annotations

import os
from pathlib import Path

from fulmen.core.base.ids import ChainHash
from fulmen.core.gossip.cache import dump, load
from fulmen.core.gossip.graph import Graph


def read_graph(path: Path, chain_hash: ChainHash) -> Graph:
    """The graph as it was saved; an empty one where there is no file, or none that can be read."""
    try:
        data = path.read_bytes()
    except OSError:
        return Graph()
    return load(data, chain_hash)


def write_graph(path: Path, graph: Graph, chain_hash: ChainHash) -> None:
    """Save the graph; a crash meanwhile leaves the file that was there.

    Raises:
        OSError: the disk is full, or worse. It is a cache: say so and go on.
    """
    beside = path.with_name(path.name + ".new")
    handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        for piece in dump(graph, chain_hash):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)
