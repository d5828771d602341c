"""What holds for all tests: no example of Hypothesis fails for being slow, for the machine may be busy."""

from hypothesis import settings

settings.register_profile("house", deadline=None, print_blob=True)
settings.load_profile("house")
