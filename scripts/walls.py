"""Hold the imports against the map in docs/architecture.md (contracts in pyproject.toml)."""

import sys
from pathlib import Path

from importlinter.cli import lint_imports

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1] / "src"))
    sys.exit(lint_imports())
