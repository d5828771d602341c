"""Real money: which networks have it, and what to say before the node touches it."""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.bitcoin.networks import Network

RISKS = """\
The coins of this network are real, and this software is young.
  * A channel is a hot wallet: its keys are on this machine, and whoever gets in can spend.
  * Only the newest state of a channel is safe to publish. Never start a copy or an old backup of the data directory:
    the peer may take everything in the channel.
  * The node has to come online regularly, or a peer may settle HTLCs against us.
  * The seed alone does not bring channels back; the data directory does.
Start with accept_the_risks = true when you have read this, and use only what you can lose."""


class MainnetNotYet(Refused):
    """This version refuses mainnet: what defends coins against cheats, crashes and fee spikes is not proven yet, and it
    could lose money."""


class RisksNotAccepted(Refused):
    """The coins of this network are real, and nobody has said that the risks are known."""


def refuse_mainnet(network: Network) -> None:
    """Not yet, whatever is accepted.

    Raises:
        MainnetNotYet.
    """
    if network.is_real and network.name == "bitcoin":
        raise MainnetNotYet


def check(network: Network, accept_the_risks: bool) -> None:
    """Refuse to start where money could be lost without anybody having agreed to it.

    Raises:
        MainnetNotYet, RisksNotAccepted
    """
    refuse_mainnet(network)
    if network.is_real and not accept_the_risks:
        raise RisksNotAccepted(RISKS, network=network.name)
