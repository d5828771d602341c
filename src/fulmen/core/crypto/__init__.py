"""Hashes, curve, ciphers and the per-commitment secret tree. Each foreign library stands behind one module here."""
