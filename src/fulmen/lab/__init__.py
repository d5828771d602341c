"""Networks of real processes on one machine: `fulmen lab up`, and what the demo and the matrix start theirs with.

A chain, nodes of ours, and nodes of others, each with its own directory and ports, started, asked and stopped.
"""
