"""`python -m fulmen.cli` is `fulmen`."""

from fulmen.cli.main import main

main()
