"""What tells one network from another."""

import pytest

from fulmen.core.bitcoin.networks import MAINNET, SIGNET, TESTNET, Network


@pytest.mark.parametrize(("network", "port"), [(MAINNET, 9735), (TESTNET, 19735), (SIGNET, 39735)])
def test_the_default_ports_are_those_of_bolt_1(network: Network, port: int) -> None:
    assert network.lightning_port == port
