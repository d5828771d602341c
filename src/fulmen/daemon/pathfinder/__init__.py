"""Gossip verification and path search beside the loop: in a process of their own, or in line.

`PathfinderProcess` and `PathfinderInLine` have the same face (`Pathfinding`); what they need of the daemon is
`Outside`. Both drive the pure pathfinder of the core, and neither decides anything.
"""

from fulmen.daemon.pathfinder.face import Outside, Pathfinding
from fulmen.daemon.pathfinder.in_line import PathfinderInLine
from fulmen.daemon.pathfinder.process import PathfinderProcess

__all__ = ["Outside", "PathfinderInLine", "PathfinderProcess", "Pathfinding"]
