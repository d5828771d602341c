"""fulmen: a Bitcoin Lightning node and toolkit for micropayments."""

__version__ = "0.1.0"
