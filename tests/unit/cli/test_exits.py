"""One table of exit codes, in the code, in the docs, and in what `fulmen exits` prints."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from fulmen.api import errors
from fulmen.api.errors import RpcError
from fulmen.cli import exits
from fulmen.cli.exits import Exit, advice_of, exit_of
from fulmen.cli.main import cli
from fulmen.core.payments import sending

TABLE = (exits.__doc__ or "").partition("\n\n")[2].strip()
ROWS = [line for line in TABLE.splitlines() if line[2:3].isdigit()]
CODES = {
    name: value
    for name, value in vars(errors).items()
    if name.isupper() and isinstance(value, int) and not isinstance(value, bool)
}


def test_the_docs_have_the_same_table():
    docs = (Path(__file__).parents[3] / "docs" / "cli.md").read_text(encoding="utf-8")
    assert TABLE in docs


def test_every_exit_has_one_row_in_order():
    assert [int(row.split("|")[1]) for row in ROWS] == [int(code) for code in Exit]


def test_fulmen_exits_prints_it():
    assert all(row in CliRunner().invoke(cli, ["exits"]).output for row in ROWS)


def test_every_error_code_has_its_place():
    assert set(exits._BY_CODE) == set(CODES.values())


@pytest.mark.parametrize("fault", [sending.NoRouteFound("no way"), RpcError(code=errors.PAY_ROUTE_TOO_EXPENSIVE)])
def test_only_a_payment_can_fail_as_one(fault):
    assert exit_of(fault, "pay") is Exit.PAYMENT_FAILED
    assert exit_of(fault, "getroutes") is Exit.REFUSED
    assert advice_of(fault, "pay") is not None


def test_who_looks_for_a_way_is_told_which_channels_were_looked_at():
    no_way = RpcError(code=errors.PAY_ROUTE_NOT_FOUND)
    assert "announced" in (advice_of(no_way, "getroutes") or "")
    assert "listpeerchannels" in (advice_of(no_way, "pay") or "")
