"""The command `fulmen`: every verb of the registry, and the few that run without a node."""
