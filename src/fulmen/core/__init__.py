"""The pure core: the only place where the BOLTs are decided. No I/O, no clock, no dice, no keys."""
