"""Lightning nodes that others wrote, driven. `peer` says what scenarios ask of any of them."""
