"""BOLT 4: the onion a payment travels in, its payloads, and the errors that travel back."""
