"""The node that people run: the pure core on asyncio, real sockets, a real disk and a real clock.

The shell takes no decision that a BOLT speaks of. Architecture, section 6.
"""
