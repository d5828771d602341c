"""The daemons that the scenarios of one column share: a chain, nodes of ours, nodes of theirs, and channels between.

Whoever is asked for is started on the spot, with coins, and stays up for the scenarios that follow. A scenario that
wants somebody in another state (killed, restarted in another way) brings it back, or asks for somebody of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

from fulmen.lab.chains import ChainDaemon
from fulmen.lab.members import Order
from fulmen.lab.programs import Process
from fulmen.lab.waiting import Deviation, until
from interop.chain_proxy import ChainProxy
from interop.peers.peer import Can, Options, Peer
from interop.ports import Ports
from interop.proxy import Proxy
from interop.us import Us

ALICE, CAROL = "alice", "carol"
COINS = 4
COIN_SAT = 200_000_000
CAPACITY_SAT = 4_000_000
MOST_BLOCKS = 60
LAST_LINES = 25
NEVER_SAID = ("Traceback", '"event": "frozen"')
"""What the log of a node of ours must not have: it fell over, or holds a machine still that it cannot go on with."""

MakeChain = Callable[[Path, Ports], ChainDaemon]
MakePeer = Callable[[str, Path, Ports, ChainDaemon, Options | None], Peer]
Anybody = Us | Peer
Begun = TypeVar("Begun")


class Lab:
    """All that runs, in one directory."""

    def __init__(self, home: Path, ports: Ports, make_chain: MakeChain, make_peer: MakePeer | None) -> None:
        self.home = home
        self.ports = ports
        self._make_peer = make_peer
        self.chain = make_chain(home / "chain", ports)
        self._ours: dict[str, Us] = {}
        self._theirs: dict[str, Peer] = {}
        self._standing: dict[tuple[str, str], str] = {}
        self._proxies: list[Proxy] = []
        self._staying: list[Proxy] = []
        self._begun: dict[str, object] = {}
        self._asleep: list[Anybody] = []
        self._others: list[Process] = []
        self._chain_proxies: dict[str, ChainProxy] = {}
        self.differed = False
        """Whether the scenario of now has seen its peer do what its row says that it does differently."""

    # ---- who is there --------------------------------------------------------------------------

    def open(self) -> None:
        """Start the chain."""
        self.chain.open()

    def our(
        self, name: str, settings: dict[str, str] | None = None, *, coins: bool = True, front: str = Us.front
    ) -> Us:
        """A node of ours; started, with coins, when it is first asked for. `front` is the module that it runs."""
        if name not in self._ours:
            node = self._ours[name] = Us(name, self.home / name, self.chain, settings)
            node.front = front
            node.start()
            if coins:
                self.give(node)
        self._wake(self._ours[name])
        return self._ours[name]

    def their(self, name: str, options: Options | None = None, *, coins: bool = True) -> Peer:
        """A node of theirs; started, with coins, when it is first asked for."""
        if name not in self._theirs:
            assert self._make_peer is not None
            peer = self._theirs[name] = self._make_peer(name, self.home / name, self.ports, self.chain, options)
            peer.start()
            if coins:
                self.give(peer)
        self._wake(self._theirs[name])
        return self._theirs[name]

    def rest(self) -> None:
        """Between rooms: whoever has no standing channel sleeps until it is asked for; each block is work for all."""
        standing = {name for pair in self._standing for name in pair} | {ALICE, CAROL}
        idle = [each for each in self._awake() if each.name not in standing]
        self._asleep += idle
        _all_at_once([each.stop for each in idle])

    def _awake(self) -> list[Anybody]:
        return [
            *(node for node in self._ours.values() if node.program.alive and not node.frozen),
            *(peer for peer in self._theirs.values() if peer.process.alive),
        ]

    def _wake(self, whom: Anybody) -> None:
        if whom in self._asleep:
            self._asleep.remove(whom)
            whom.start()
            whom.caught_up(self.chain.height)

    @property
    def us(self) -> Us:
        """The node of ours that most scenarios are about."""
        return self.our(ALICE)

    @property
    def them(self) -> Peer:
        """The node of theirs that most scenarios are about."""
        return self.their(CAROL)

    def saw_it_differ(self) -> None:
        """The scenario has seen the other side do what `differs` says of it."""
        self.differed = True

    def join(self, process: Process) -> None:
        """A process of a scenario's own is stopped with the rest, and its log is shown with theirs."""
        self._others.append(process)

    # ---- the chain -----------------------------------------------------------------------------

    def give(self, whom: Anybody) -> None:
        """Some confirmed coins of two bitcoins each."""
        made = [_address(whom) for _ in range(COINS)]
        before = _coins_sat(whom)
        self.chain.mine_with(self.chain.give(dict.fromkeys(made, COIN_SAT)))
        wanted = before + COIN_SAT * len(set(made))
        until(lambda: _coins_sat(whom) >= wanted, f"{whom} has {wanted} sat on chain", 60)
        self.caught_up()

    def mine(self, blocks: int = 1) -> None:
        """Find blocks, and wait until everybody has read them."""
        self.chain.mine(blocks)
        self.caught_up()

    def mine_until(self, holds: Callable[[], bool], what: str) -> None:
        """Find blocks, one by one, until something holds."""
        for _ in range(MOST_BLOCKS):
            if holds():
                return
            self.mine()
        raise AssertionError(f"{MOST_BLOCKS} blocks later it is not so: {what}")

    def caught_up(self) -> None:
        """Wait until everybody who runs has read the chain."""
        height = self.chain.height
        _all_at_once([partial(each.caught_up, height) for each in self._awake()])

    # ---- channels ------------------------------------------------------------------------------

    def connect(self, one: Anybody, other: Anybody) -> None:
        """Be connected, both by their own word."""
        if isinstance(one, Us):
            one.call("connect", id=other.address)
        else:
            one.connect(other.address)
        until(lambda: self.connected(one, other), f"{one} and {other} are connected")

    def connected(self, one: Anybody, other: Anybody) -> bool:
        """Whether both say so."""
        return other.id in _peers(one) and one.id in _peers(other)

    def channel(self, opener: Anybody, other: Anybody, order: Order | None = None, *, blocks: int = 6) -> str:
        """Open a channel, bury it, and wait until both can use it; its outpoint."""
        self.connect(opener, other)
        outpoint = opener.open(other.id, order or Order(CAPACITY_SAT, CAPACITY_SAT // 2))
        self.bury(outpoint, opener, other, blocks=blocks)
        return outpoint

    def bury(self, outpoint: str, *ends: Anybody, blocks: int = 6) -> None:
        """Confirm a funding, and wait until both ends can use the channel."""
        self.chain.mine_with(outpoint.partition(":")[0])
        self.mine(blocks - 1)
        self.await_usable(outpoint, *ends)

    def await_usable(self, outpoint: str, *ends: Anybody) -> None:
        """Wait until all these ends can use a channel."""
        for end in ends:
            end.await_channel(outpoint) if isinstance(end, Us) else end.await_usable(outpoint)

    def standing(self, one: Anybody, other: Anybody) -> str:
        """A channel between two that stays from scenario to scenario, half on each side; public where both can."""
        key = (one.name, other.name)
        outpoint = self._standing.get(key) or self._standing.get(key[::-1])
        if outpoint is None or not self._open_at(outpoint, one, other):
            announce = all(isinstance(end, Us) or Can.ANNOUNCED in end.can for end in (one, other))
            order = Order(CAPACITY_SAT, CAPACITY_SAT // 2, announce=announce)
            outpoint = self._standing[key] = self.channel(one, other, order)
        self.await_usable(outpoint, one, other)
        return outpoint

    def _open_at(self, outpoint: str, *ends: Anybody) -> bool:
        return all(
            end.at(outpoint).get("state") == "CHANNELD_NORMAL" if isinstance(end, Us) else end.has(outpoint)
            for end in ends
        )

    def scid(self, outpoint: str) -> str:
        """Where the chain has a funding, as BLOCKxTXxOUT."""
        txid, _, vout = outpoint.partition(":")
        block = self.chain.call("getblock", self.chain.transaction(txid)["blockhash"], 1)
        return f"{block['height']}x{block['tx'].index(txid)}x{vout}"

    def quiet(self, outpoint: str, us: Us, them: Peer) -> None:
        """Wait until no HTLC is in a channel, by both."""
        until(
            lambda: not us.at(outpoint).get("htlcs") and not them.pending(outpoint),
            f"no payment is under way between {us} and {them}",
        )

    def proxy(self, target_port: int, *, stays: bool = False) -> Proxy:
        """A proxy in front of a port, closed at the end of the scenario, or with the rest of the lab."""
        proxy = Proxy(self.ports.take(), target_port)
        (self._staying if stays else self._proxies).append(proxy)
        return proxy

    def begun(self, what: str, begin: Callable[[], Begun]) -> Begun:
        """What takes its time by itself: begun by whoever asks first, and looked at by a later scenario of the room."""
        if what not in self._begun:
            self._begun[what] = begin()
        return cast(Begun, self._begun[what])

    def chain_proxy(self, whose: str) -> ChainProxy:
        """A proxy in front of the chain's RPC; whoever was given it leans on it, so it stays to the end."""
        if whose not in self._chain_proxies:
            self._chain_proxies[whose] = ChainProxy(self.ports.take(), self.chain.port)
        return self._chain_proxies[whose]

    # ---- the end -------------------------------------------------------------------------------

    def processes(self) -> Iterator[Process]:
        """All of them."""
        for node in self._ours.values():
            yield node.program
        for peer in self._theirs.values():
            yield peer.process
            yield from peer.others
        yield self.chain.process
        yield from self._others

    def tidy(self) -> None:
        """After each scenario: close its proxies, and see that nobody of ours fell over.

        Raises:
            Deviation: somebody said something that must never be said.
        """
        while self._proxies:
            self._proxies.pop().close()
        for node in self._ours.values():
            said = node.program.log.read_text(encoding="utf-8", errors="replace")
            for never in NEVER_SAID:
                if never in said:
                    raise Deviation(f"{node} says {never} in {node.program.log}")

    def tails(self) -> str:
        """The ends of all logs."""
        parts = []
        for process in self.processes():
            if process.log.exists():
                lines = process.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
                parts.append("\n".join([f"--- {process.name} ({process.log})", *lines]))
        return "\n".join(parts)

    def close(self) -> None:
        """Stop all, nodes before the chain; whoever does not stop is killed."""
        for proxy in self._proxies + self._staying:
            proxy.close()
        running = [process for process in self.processes() if process.alive]
        for process in running:
            if process is not self.chain.process:
                process.ask_to_stop()
        for process in running:
            try:
                process.stop()
            except Deviation:
                process.kill()
        while self._chain_proxies:
            self._chain_proxies.popitem()[1].close()


def _all_at_once(calls: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor(max(1, len(calls))) as pool:
        for called in [pool.submit(call) for call in calls]:
            called.result()


def _peers(whom: Anybody) -> list[str]:
    if isinstance(whom, Us):
        return [peer["id"] for peer in whom.call("listpeers")["peers"] if peer["connected"]]
    return whom.peers()


def _address(whom: Anybody) -> str:
    return str(whom.call("newaddr")["bech32"]) if isinstance(whom, Us) else whom.new_address()


def _coins_sat(whom: Anybody) -> int:
    return whom.spendable_sat if isinstance(whom, Us) else whom.coins_sat()
