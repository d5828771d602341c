"""The harness that judges the tests is judged itself: which mistakes it makes, and that they are really made."""

import ast
import importlib.util
import sys

import pytest
from mutants.mutations import mutations
from mutants.rate import wilson
from mutants.swap import put_in_place

SOURCE = '''"""A door."""

LIMIT = 4
TWICE = LIMIT * 2


class Box:
    """A box."""

    size: int = 3

    def fits(self, n: int) -> bool:
        """Whether it does."""
        if n < 0:
            raise ValueError("negative")
        return n <= self.size and not n == 2


def total(numbers):
    """Their sum, as far as they are even."""
    found = 0
    for n in [one for one in numbers if one % 2 == 0]:
        found += n
    return found


def inner():
    """What a nested function says."""

    def add(a, b):
        return a + b

    return add(1, 2) if TWICE > 7 else TWICE
'''


@pytest.fixture
def module(tmp_path):
    path = tmp_path / "victim.py"
    path.write_text(SOURCE)
    spec = importlib.util.spec_from_file_location("victim", path)
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    sys.modules["victim"] = loaded
    spec.loader.exec_module(loaded)
    yield loaded
    del sys.modules["victim"]


def the_one(what):
    [found] = [mutation for mutation in mutations(SOURCE) if mutation.what == what]
    return found


@pytest.mark.parametrize(
    "what",
    [
        "n < 0 -> n <= 0",
        "n < 0 -> n >= 0",
        "n <= self.size -> n < self.size",
        "n == 2 -> n != 2",
        "raise ValueError('negative') -> nothing",
        "n <= self.size and (not n == 2) -> n <= self.size or not n == 2",
        "n <= self.size and (not n == 2) -> n <= self.size",
        "not n == 2 -> n == 2",
        "found += n -> nothing",
        "return found -> return None",
        "a + b -> a - b",
        "for one in numbers if one % 2 == 0 -> for one in numbers",
        "LIMIT * 2 -> LIMIT // 2",
        "4 -> 5",
        "4 -> 3",
    ],
)
def test_each_kind_of_mistake_is_made_once_and_can_be_compiled(what):
    assert the_one(what)
    for mutation in mutations(SOURCE):
        tree = mutation.tree()
        compile(tree, "victim.py", "exec")
        assert ast.dump(tree) != ast.dump(ast.parse(SOURCE)), mutation.what


def test_what_people_read_and_what_is_declared_is_left_alone():
    said = [mutation.what for mutation in mutations(SOURCE)]
    assert not [what for what in said if "door" in what or "3 ->" in what or "'negative' ->" in what]


def test_a_mistake_in_a_function_is_made_where_it_was_imported_before(module):
    box, fits = module.Box(), module.Box.fits
    assert box.fits(3)
    put_in_place(module, the_one("n <= self.size -> n < self.size"))
    assert not box.fits(3) and not fits(box, 3)


def test_a_mistake_in_a_nested_function_is_made(module):
    put_in_place(module, the_one("a + b -> a - b"))
    assert module.inner() == -1


def test_a_changed_constant_is_changed_wherever_it_is_used(module):
    put_in_place(module, the_one("4 -> 3"))
    assert (module.LIMIT, module.TWICE, module.inner()) == (3, 6, 6)


def test_a_statement_that_is_left_out_is_left_out(module):
    put_in_place(module, the_one("found += n -> nothing"))
    assert module.total([2, 4]) == 0


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (90, 100, 0.8256, 0.9448)]
)
def test_the_interval_of_a_rate_is_wilsons(hits, of, low, high):
    assert wilson(hits, of) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
