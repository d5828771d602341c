"""Other machines need scripts of ours from the first moment on."""

from __future__ import annotations

from tests.builders.env import an_env
from tests.builders.wallets import ACCOUNTS, our_script, step_of

from fulmen.core.base.funds import AskScript, ScriptGiven, WalletView
from fulmen.core.base.machine import Address, Tell
from fulmen.core.base.outer import WantScriptWatch
from fulmen.core.bitcoin.accounts import KeyPath
from fulmen.core.node import Node
from fulmen.core.wallet.machine import ADDRESS, mount
from fulmen.core.wallet.state import Wallet

ASKER = Address("onchain", b"c" * 32)


def test_a_script_is_given_once_and_the_same_request_gets_it_again() -> None:
    first = step_of(Wallet(ACCOUNTS), AskScript(b"one", ASKER))
    again = step_of(first.state, AskScript(b"one", ASKER))
    other = step_of(again.state, AskScript(b"two", ASKER))
    assert first.actions == again.actions == [Tell(ASKER, ScriptGiven(b"one", our_script(KeyPath(86, 1, 0))))]
    assert again.facts == []
    assert other.actions == [Tell(ASKER, ScriptGiven(b"two", our_script(KeyPath(86, 1, 1))))]


def test_a_wallet_that_nothing_happened_to_watches_and_shows_itself() -> None:
    node = Node((mount(ACCOUNTS),), an_env, verify=lambda _checks: None)
    batch = node.resume()
    assert all(isinstance(want, WantScriptWatch) and address == ADDRESS for address, want in batch.wants.added)
    assert len(batch.wants.added) == 80
    assert isinstance(node.views["wallet"], WalletView)
