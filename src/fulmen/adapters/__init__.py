"""The outside: chain sources, stores, key holders, Tor. Each foreign library behind one typed module."""
