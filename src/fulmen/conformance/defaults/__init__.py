"""What an honest peer would say: the default of every message, and the values that steps put in its place.

In `opening`, `updates`, `closing` and `gossip` the function that bears a message's name makes it; `compose` picks it.
"""
