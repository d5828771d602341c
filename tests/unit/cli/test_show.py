import io

import pytest
from rich.console import Console

from fulmen.cli.live import Attempts
from fulmen.cli.show import amount_text, qr_of, show


def shown(command, answer, width=120):
    out = io.StringIO()
    show(Console(file=out, width=width, force_terminal=False), command, answer)
    return out.getvalue()


def test_rows_become_a_table_and_amounts_satoshi():
    text = shown("listpays", {"pays": [{"payment_hash": "ab" * 32, "status": "complete", "amount_msat": 5_001_000}]})
    assert "5,001 sat" in text
    assert "complete" in text


def test_no_rows_are_said_in_words():
    assert shown("listpays", {"pays": []}).strip() == "no pays"


def test_nothing_to_say_is_done():
    assert shown("disconnect", {}).strip() == "done"


def test_an_invoice_and_an_address_are_drawn():
    for answer in ({"bolt11": "lnbcrt1" + "q" * 200, "payment_secret": "00"}, {"bech32": "bcrt1q" + "q" * 38}):
        assert "█" in shown("invoice", answer)


def test_an_invoice_in_a_list_is_not_drawn():
    assert "█" not in shown("listinvoices", {"invoices": [{"bolt11": "lnbcrt1qqq", "label": "a"}]})


def test_markup_in_what_others_wrote_is_only_text():
    assert "[red]x[/red]" in shown("listnodes", {"nodes": [{"nodeid": "02", "alias": "[red]x[/red]"}]})
    assert "[bold]" in shown("getinfo", {"alias": "[bold]"})


@pytest.mark.parametrize(("msat", "text"), [(0, "0 sat"), (1, "0.001 sat"), (1_234_567_000, "1,234,567 sat")])
def test_amounts_are_shown_to_the_msat(msat, text):
    assert amount_text(msat) == text


def test_a_qr_code_is_square_half_blocks():
    assert len(qr_of("X").splitlines()) > 5


def test_attempts_of_other_payments_are_not_shown():
    attempts = Attempts("aa")
    attempts.hear("payment", {"payment_hash": "bb", "attempt": 1})
    attempts.hear("payment", {"payment_hash": "aa", "attempt": 1, "route": ["x", "y"], "fee_msat": 1})
    attempts.hear("payment", {"payment_hash": "aa", "attempt": 1, "failure": "TemporaryChannelFailure"})
    attempts.hear("peer", {"attempt": 2})
    assert attempts.table().row_count == 1
