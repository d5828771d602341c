"""A world in one process: a virtual clock, a seed, and everything that can go wrong."""
