import io

import pytest
from rich.console import Console

import fulmen.api.commands  # noqa: F401  (fills the registry)
from fulmen.api.client import ConnectionLost
from fulmen.api.registry import REGISTRY
from fulmen.api.schema import schema_of
from fulmen.cli.live import Attempts, Closing
from fulmen.cli.show import COLUMNS, amount_text, qr_of, show


def shown(command, answer, width=120):
    out = io.StringIO()
    show(Console(file=out, width=width, force_terminal=False), command, answer)
    return out.getvalue()


def test_rows_become_a_table_and_amounts_satoshi():
    text = shown("listpays", {"pays": [{"payment_hash": "ab" * 32, "status": "complete", "amount_msat": 5_001_000}]})
    assert "pays, in sat" in text
    assert "5,001" in text
    assert "complete" in text


@pytest.mark.parametrize("command", ["decode", "listinvoices"])
def test_words_of_strangers_do_not_move_the_cursor(command):
    words = "hi\x1b]0;PWNED\x07\x1b[2J\u009b1A\rpaid\n\u202e000,1"
    row = {"label": words, "description": words}
    out = io.StringIO()
    answer = row if command == "decode" else {"invoices": [row]}
    show(Console(file=out, width=400, force_terminal=True, color_system=None), command, answer)
    said = out.getvalue().replace("\x1b[3m", "").replace("\x1b[0m", "")  # headings in italics
    assert not {"\x1b", "\x07", "\u009b", "\r", "\u202e"} & set(said)
    assert r"hi\x1b]0;P" in said and "00,1" in said


def test_other_languages_and_joined_pictures_stay_as_they_are():
    words = "café 東京 שלום 👩\u200d🚀"
    assert words in shown("decode", {"description": words})


def test_a_wide_row_shows_what_matters_and_says_that_there_is_more():
    row = {"peer_id": "02" * 33, "state": "CHANNELD_NORMAL", "to_us_msat": 7000, "dust_limit_msat": 354_000}
    text = shown("listpeerchannels", {"channels": [row]}, width=80)
    assert "ours" in text and " 7" in text
    assert "354" not in text
    assert "--json" in text


def test_every_chosen_column_is_one_of_its_answer():
    for (command, name), columns in COLUMNS.items():
        schema = schema_of(REGISTRY.get(command))
        answer = schema["$defs"][REGISTRY.get(command).answer.__name__]
        row = answer["properties"][name]["items"]["$ref"].rpartition("/")[2]
        assert set(columns) <= set(schema["$defs"][row]["properties"]), (command, name)


FAILED = {
    "created_at": 1_763_710_276,
    "status": "failed",
    "amount_msat": 1_500_000_000,
    "destination": "02" * 33,
    "failure": "no single channel of ours can send this much",
}


def test_words_are_readable_however_narrow_the_terminal_is():
    for width in (60, 80, 100):
        text = shown("listpays", {"pays": [FAILED]}, width=width)
        assert "no single channel" in text
        assert "created at" in text


def test_a_route_is_shown_channel_by_channel_and_nothing_is_cut():
    hops = [
        {"short_channel_id_dir": f"{number}x2x1/0", "next_node_id": "02" * 33, "amount_msat": 5_001_350, "delay": 98}
        for number in (112, 113)
    ]
    route = {"amount_msat": 5_000_000, "final_cltv": 18, "probability_ppm": 994_635, "path": hops}
    text = shown("getroutes", {"probability_ppm": 994_635, "routes": [route]}, width=80)
    assert text.count("99.5 %") == 1 and "--json shows more" in text
    for word in ("112x2x1/0", "113x2x1/0", "5,001.350", "0202020202…0202"):
        assert word in text


def test_a_time_is_shown_as_one():
    assert "2001-09-0" in shown("decode", {"created_at": 1_000_000_000})


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (3600, "1:00:00"),
        (2**35, "397682 days, 3:46:08"),
        (170 * 10**12, "5,386,974 years"),
        (2**59, "18,266,938,940 years"),
    ],
)
def test_a_time_that_no_calendar_has_is_said_in_years(seconds, said):
    assert f"{said} after it was made" in shown("decode", {"expiry": seconds})


def test_the_expiry_of_an_htlc_is_a_block_and_no_time():
    text = shown("listhtlcs", {"htlcs": [{"short_channel_id": "1x1x1", "id": 0, "expiry": 150}]})
    assert text.split()[-3:] == ["1x1x1", "0", "150"]


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
    assert [word in said for word in ("to_local", "5,000", "waiting", "274")] == [True] * 4
    mutual = {**closing, "kind": "mutual close", "outputs": []}
    assert "its outputs" not in shown("listpeerchannels", {"channels": [{**row, "closing": mutual}]})


def seen(renderable):
    out = io.StringIO()
    Console(file=out, width=120).print(renderable)
    return out.getvalue()


def test_a_payment_that_waits_says_for_what_until_it_goes_on():
    attempts = Attempts("aa")
    attempts.hear("payment waits", {"payment_hash": "bb", "for": "nothing of ours"})
    assert not seen(attempts.shown()).strip()
    attempts.hear("payment waits", {"payment_hash": "aa", "for": "a channel to come back"})
    assert "waiting for a channel to come back" in seen(attempts.shown())
    attempts.hear("payment attempt", {"payment_hash": "aa", "attempt": 1, "route": ["1x2x3"]})
    assert "waiting" not in seen(attempts.shown())


def test_each_attempt_is_one_line_that_says_how_it_ended():
    attempts = Attempts("aa")
    route = {"route": ["1x2x3", "4x5x6"], "amount_msat": 5000, "fee_msat": 1}
    attempts.hear("payment attempt", {"payment_hash": "bb", "attempt": 9})
    attempts.hear("payment attempt", {"payment_hash": "aa", "attempt": 1, **route})
    attempts.hear("payment attempt failed", {"payment_hash": "aa", "attempt": 1, "why": "no liquidity"})
    attempts.hear("payment attempt", {"payment_hash": "aa", "attempt": 2, **route})
    attempts.hear("payment complete", {"payment_hash": "aa"})
    lines = [line for line in seen(attempts.shown()).splitlines() if "1x2x3 → 4x5x6" in line]
    assert ["no liquidity" in line for line in lines] == [True, False]
    assert ["paid" in line for line in lines] == [False, True]


CHANNEL = {"channel_id": "cc", "short_channel_id": "1x2x3", "peer_id": "02", "htlcs": []}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"state": "CHANNELD_NORMAL", "peer_connected": False}, "the peer to come back"),
        ({"state": "CHANNELD_SHUTTING_DOWN", "peer_connected": True}, "the peer's signature"),
        ({"state": "CHANNELD_SHUTTING_DOWN", "peer_connected": True, "htlcs": [1, 2]}, "2 payments to leave"),
        ({"state": "ONCHAIN", "peer_connected": True}, "the node's answer"),
        ({"state": "CHANNELD_NORMAL", "peer_connected": False, "short_channel_id": "9x9x9"}, "the node's answer"),
    ],
)
def test_a_close_says_what_it_waits_for(changes, says):
    closing = Closing(lambda: [CHANNEL | changes], "1x2x3", 172_800)
    assert f"waiting for {says}" in closing.line().plain
    assert "closing alone in 47:59:5" in closing.line().plain or "48:00:00" in closing.line().plain
    assert "Ctrl-C" in Closing(list, "1x2x3", 0).line().plain


def test_a_node_that_does_not_answer_for_a_moment_ends_no_wait():
    def gone():
        raise ConnectionLost("the node hung up")

    assert "the node's answer" in Closing(gone, "1x2x3", 0).line().plain


def test_states_are_said_in_words_and_names_that_are_needed_are_whole():
    said = shown("listpeers", {"peers": [{"id": "02" * 33, "connected": True}]})
    assert "02" * 33 in said
    channel = {"short_channel_id": "1x2x3", "peer_id": "03" * 33, "state": "CHANNELD_NORMAL"}
    said = shown("listpeerchannels", {"channels": [channel]})
    assert "open" in said and "CHANNELD" not in said and "03" * 33 not in said


def test_places_and_parts_are_lines():
    place = {"type": "ipv6", "address": "::1", "port": 9735}
    said = shown("getinfo", {"id": "02", "address": [], "binding": [place], "numbers": {"one": 1}})
    assert "[::1]:9735" in said
    assert [line.split() for line in said.splitlines()][-2:] == [["numbers"], ["one", "1"]]
    assert ["address", "none"] in [line.split() for line in said.splitlines()]


def test_what_is_too_wide_for_a_table_is_a_line_for_each_value_and_ids_stay_whole():
    row = {"id": "02" * 33, "connected": True, "num_channels": 1, "netaddr": ["127.0.0.1:45093"]}
    wide, narrow = (shown("listpeers", {"peers": [row, row]}, width) for width in (120, 80))
    assert "id " + "02" * 33 in " ".join(narrow.split())
    assert narrow.count("127.0.0.1:45093") == 2 and len(narrow.splitlines()) > len(wide.splitlines())
    assert all(len(line) <= 120 for line in wide.splitlines())


def test_help_of_one_command_lists_its_parameters():
    row = {"command": "pay", "description": "Pay an invoice.", "schema": schema_of(REGISTRY.get("pay"))}
    said = shown("help", {"help": [row]})
    assert "bolt11" in said and "needed" in said and "seconds to go on trying" in said


def test_a_payment_is_told_in_the_few_lines_that_matter():
    said = shown("pay", {"payment_preimage": "aa", "parts": 1, "amount_msat": 5_000_000, "status": "complete"})
    assert "5,000 sat" in said and "parts" not in said
