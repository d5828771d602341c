import io

import pytest
from rich.console import Console

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.registry import REGISTRY
from fulmen.api.schema import schema_of
from fulmen.cli.live import Attempts
from fulmen.cli.show import COLUMNS, amount_text, qr_of, show


def shown(command, answer, width=120):
    out = io.StringIO()
    show(Console(file=out, width=width, force_terminal=False), command, answer)
    return out.getvalue()


def test_rows_become_a_table_and_amounts_satoshi():
    text = shown("listpays", {"pays": [{"payment_hash": "ab" * 32, "status": "complete", "amount_msat": 5_001_000}]})
    assert "5,001 sat" in text
    assert "complete" in text


def test_a_wide_row_shows_what_matters_and_says_that_there_is_more():
    row = {"peer_id": "02" * 33, "state": "CHANNELD_NORMAL", "to_us_msat": 7000, "dust_limit_msat": 354_000}
    text = shown("listpeerchannels", {"channels": [row]}, width=80)
    assert "7 sat" in text
    assert "354" not in text
    assert "--json" in text


def test_every_chosen_column_is_one_of_its_answer():
    for (command, name), columns in COLUMNS.items():
        schema = schema_of(REGISTRY.get(command))
        answer = schema["$defs"][REGISTRY.get(command).answer.__name__]
        row = answer["properties"][name]["items"]["$ref"].rpartition("/")[2]
        assert set(columns) <= set(schema["$defs"][row]["properties"]), (command, name)


def test_a_time_is_shown_as_one():
    assert "2001-09-0" in shown("decode", {"created_at": 1_000_000_000})


def test_no_rows_are_said_in_words():
    assert shown("listpays", {"pays": []}).strip() == "no pays"


def test_nothing_to_say_is_done():
    assert shown("disconnect", {}).strip() == "done"


def test_an_invoice_and_an_address_are_drawn():
    for answer in ({"bolt11": "lnbcrt1" + "q" * 200, "payment_secret": "00"}, {"bech32": "bcrt1q" + "q" * 38}):
        assert "█" in shown("invoice", answer)


def test_an_invoice_is_one_line_on_the_narrowest_terminal():
    bolt11 = "lnbcrt1" + "q" * 400
    lines = shown("invoice", {"bolt11": bolt11, "payment_hash": "ab" * 32}, width=40).splitlines()
    assert [line.split() for line in lines] == [["bolt11", bolt11], ["payment", "hash", "ab" * 32]]


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


def test_what_is_left_of_a_closed_channel_is_a_table_of_its_own():
    output = {"what": "to_local", "amount_msat": 5_000_000, "state": "waiting", "ripe_height": 274, "txid": "00"}
    closing = {"kind": "our commitment", "txid": "ab" * 32, "blockheight": 130, "outputs": [output]}
    row = {"peer_id": "02" * 33, "channel_id": "cc" * 32, "short_channel_id": "1x2x3", "state": "ONCHAIN"}
    said = shown("listpeerchannels", {"channels": [{**row, "closing": closing}]})
    assert "1x2x3: our commitment in block 130" in said
    assert [word in said for word in ("to_local", "5,000 sat", "waiting", "274")] == [True] * 4
    mutual = {**closing, "kind": "mutual close", "outputs": []}
    assert "its outputs" not in shown("listpeerchannels", {"channels": [{**row, "closing": mutual}]})


def test_a_payment_that_waits_says_for_what_until_it_goes_on():
    attempts = Attempts("aa")
    attempts.hear("payment waits", {"payment_hash": "bb", "for": "nothing of ours"})
    assert attempts.table().caption is None
    attempts.hear("payment waits", {"payment_hash": "aa", "for": "a channel to come back"})
    assert attempts.table().caption == "waiting for a channel to come back"
    attempts.hear("payment attempt", {"payment_hash": "aa", "attempt": 1, "route": ["1x2x3"]})
    assert attempts.table().caption is None


def test_each_attempt_is_one_line_that_says_how_it_ended():
    attempts = Attempts("aa")
    route = {"route": ["1x2x3", "4x5x6"], "amount_msat": 5000, "fee_msat": 1}
    attempts.hear("payment attempt", {"payment_hash": "bb", "attempt": 9})
    attempts.hear("payment attempt", {"payment_hash": "aa", "attempt": 1, **route})
    attempts.hear("payment attempt failed", {"payment_hash": "aa", "attempt": 1, "why": "no liquidity"})
    attempts.hear("payment attempt", {"payment_hash": "aa", "attempt": 2, **route})
    attempts.hear("payment complete", {"payment_hash": "aa"})
    out = io.StringIO()
    Console(file=out, width=120).print(attempts.table())
    assert attempts.table().row_count == 2
    assert "no liquidity" in out.getvalue()
    assert "1x2x3 → 4x5x6" in out.getvalue()
    assert out.getvalue().count("paid") == 1
