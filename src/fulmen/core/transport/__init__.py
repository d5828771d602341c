"""BOLT 8: who is at the other end of a stream, and what it says. Bytes in, messages out; no socket is known here."""
