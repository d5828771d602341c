"""The messages, one file per family. Importing this room registers them all."""

from fulmen.core.wire.messages import closing, gossip, interactive, onion, opening, quiescence, setup, updates

__all__ = ["closing", "gossip", "interactive", "onion", "opening", "quiescence", "setup", "updates"]
