"""The chains we know, as values: what differs between mainnet, the test networks and other chains.

Sources: Bitcoin Core's chainparams (hashes, prefixes, ports, limits), Litecoin's likewise, BOLT 0 (chain_hash),
BOLT 11 (prefixes), SLIP 44 (coin types), Core Lightning's chainparams (default ports).
"""

from __future__ import annotations

from fulmen.core.base.faults import Refused
from fulmen.core.base.ids import ChainHash
from fulmen.core.base.record import Record
from fulmen.core.base.units import BlockHeight, Sat

COIN = Sat(100_000_000)


class NetworkUnknown(Refused):
    """No chain of that name or hash is known here."""


class Network(Record):
    """One chain's constants."""

    name: str
    chain_hash: ChainHash
    """The genesis block's hash, internal byte order."""
    hrp: str
    """Human-readable part of segwit addresses (BIP 173)."""
    bolt11_prefix: str
    p2pkh_version: int
    p2sh_versions: tuple[int, ...]
    """Base58 versions of P2SH addresses that are read; the first is the one that is written."""
    secret_version: int
    bip32_public: bytes
    bip32_private: bytes
    coin_type: int
    """The second level of BIP 44 paths, hardened."""
    pow_limit_bits: int
    halving_interval: int
    chain_port: int
    rpc_port: int
    lightning_port: int
    scrypt_proof_of_work: bool = False
    is_real: bool = False
    """Its coins are worth money."""
    is_regtest: bool = False
    """Whoever runs it finds its blocks at will: coins out of nothing, which nobody else ever sees."""
    segwit_height: BlockHeight = BlockHeight(0)
    """From here on a block commits to its witnesses (BIP 141); miners did it in their own ways before."""

    def subsidy(self, height: BlockHeight) -> Sat:
        """What a block of this height mints, without fees."""
        halvings = height // self.halving_interval
        return Sat(50 * COIN >> halvings) if halvings < 64 else Sat(0)


def _chain_hash(shown: str) -> ChainHash:
    return ChainHash(bytes.fromhex(shown)[::-1])


MAINNET = Network(
    name="bitcoin",
    chain_hash=_chain_hash("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"),
    hrp="bc",
    bolt11_prefix="lnbc",
    p2pkh_version=0x00,
    p2sh_versions=(0x05,),
    secret_version=0x80,
    bip32_public=bytes.fromhex("0488b21e"),
    bip32_private=bytes.fromhex("0488ade4"),
    coin_type=0,
    pow_limit_bits=0x1D00FFFF,
    halving_interval=210_000,
    chain_port=8333,
    rpc_port=8332,
    lightning_port=9735,
    is_real=True,
    segwit_height=BlockHeight(481_824),
)
TESTNET = MAINNET.but(
    name="testnet",
    chain_hash=_chain_hash("000000000933ea01ad0ee984209779baaec3ced90fa3f408719526f8d77f4943"),
    hrp="tb",
    bolt11_prefix="lntb",
    p2pkh_version=0x6F,
    p2sh_versions=(0xC4,),
    secret_version=0xEF,
    bip32_public=bytes.fromhex("043587cf"),
    bip32_private=bytes.fromhex("04358394"),
    coin_type=1,
    chain_port=18333,
    rpc_port=18332,
    lightning_port=19735,
    is_real=False,
    segwit_height=BlockHeight(834_624),
)
TESTNET4 = TESTNET.but(
    name="testnet4",
    chain_hash=_chain_hash("00000000da84f2bafbbc53dee25a72ae507ff4914b867c565be350b0da8bf043"),
    chain_port=48333,
    rpc_port=48332,
    lightning_port=49735,
    segwit_height=BlockHeight(1),
)
SIGNET = TESTNET.but(
    name="signet",
    chain_hash=_chain_hash("00000008819873e925422c1ff0f99f7cc9bbb232af63a077a480a3633bee1ef6"),
    bolt11_prefix="lntbs",
    pow_limit_bits=0x1E0377AE,
    chain_port=38333,
    rpc_port=38332,
    lightning_port=39735,
    segwit_height=BlockHeight(1),
)
REGTEST = TESTNET.but(
    name="regtest",
    chain_hash=_chain_hash("0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"),
    hrp="bcrt",
    bolt11_prefix="lnbcrt",
    pow_limit_bits=0x207FFFFF,
    halving_interval=150,
    chain_port=18444,
    rpc_port=18443,
    lightning_port=19846,
    is_regtest=True,
    segwit_height=BlockHeight(0),
)
LITECOIN_REGTEST = REGTEST.but(
    name="litecoin-regtest",
    chain_hash=_chain_hash("530827f38f93b43ed12af0b3ad25a288dc02ed74d6d7857862df51fc56c416f9"),
    hrp="rltc",
    bolt11_prefix="lnrltc",
    p2sh_versions=(0x3A, 0xC4),
    chain_port=19444,
    rpc_port=19443,
    scrypt_proof_of_work=True,
)
NETWORKS = (MAINNET, TESTNET, TESTNET4, SIGNET, REGTEST, LITECOIN_REGTEST)


def network_named(name: str) -> Network:
    """The network of this name (`mainnet` is understood too).

    Raises:
        NetworkUnknown
    """
    wanted = "bitcoin" if name == "mainnet" else name
    for network in NETWORKS:
        if network.name == wanted:
            return network
    raise NetworkUnknown(asked=name, known=", ".join(network.name for network in NETWORKS))


def network_of_chain(chain_hash: bytes) -> Network:
    """The network with this genesis block.

    Raises:
        NetworkUnknown
    """
    for network in NETWORKS:
        if network.chain_hash == chain_hash:
            return network
    raise NetworkUnknown(chain_hash=chain_hash)
