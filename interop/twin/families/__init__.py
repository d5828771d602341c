"""The subjects of cases. Importing this room fills the table."""

from interop.twin.families import chains, forms, packages, questions, replacements
from interop.twin.families.registry import FAMILIES

__all__ = ["FAMILIES", "chains", "forms", "packages", "questions", "replacements"]
