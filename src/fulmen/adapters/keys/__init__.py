"""Key holders: who answers sign requests, in this process or in another."""
