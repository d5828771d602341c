"""How a circuit gives its HTLC back, or claims it: what is told upstream, now and again after every reconnect.

BOLT 4, "Returning Errors".
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.ids import HtlcKey
from fulmen.core.base.machine import Event, Step, Tell, to_channel
from fulmen.core.base.outer import Notify
from fulmen.core.base.units import Msat
from fulmen.core.commitments.htlcs import (
    FailHtlc,
    FailMalformedHtlc,
    FulfillHtlc,
    Htlc,
)
from fulmen.core.onion.errors import fail
from fulmen.core.onion.failures import (
    Failure,
    encode_failure,
)
from fulmen.core.switch.circuit import (
    Circuit,
    CircuitFailed,
    Verdict,
)


def fail_with(
    step: Step[Circuit], htlc: Htlc, secret: bytes, failure: Failure, env: Env, outgoing: HtlcKey | None = None
) -> Step[Circuit]:
    """Fail with a message of ours."""
    return give_back_with(step, htlc, our_verdict(secret, failure), env, outgoing)


def our_verdict(secret: bytes, failure: Failure) -> Verdict:
    """A message of ours, wrapped for the origin."""
    return Verdict(failure.name, fail(secret, encode_failure(failure)))


def give_back_with(
    step: Step[Circuit],
    htlc: Htlc,
    verdict: Verdict,
    env: Env,
    outgoing: HtlcKey | None = None,
    *,
    on_chain: bool = False,
) -> Step[Circuit]:
    """Fail; `outgoing` is the HTLC that failed downstream, if there was one; `on_chain`, if the chain said so."""
    step.fact(CircuitFailed(htlc, verdict, outgoing, env.wall, on_chain))
    about = {
        "incoming": str(htlc.key),
        "channel_id": htlc.key.channel_id.hex(),
        "payment_hash": htlc.payment_hash.hex(),
        "failure": verdict.name,
    }
    return step.act(give_back(step.state), Notify("htlc failed", about))


def claim(circuit: Circuit) -> Tell:
    """Tell the channel upstream the preimage, and what of the HTLC we keep."""
    return to_channel(circuit.key.channel_id, FulfillHtlc(circuit.key, circuit.preimage, _fee_msat(circuit)))


def _fee_msat(circuit: Circuit) -> Msat:
    htlc, forward = circuit.htlc, circuit.forward
    if htlc is None or forward is None or circuit.lost:
        return Msat(0)
    return Msat(htlc.amount_msat - forward.amount_msat)


def give_back(circuit: Circuit) -> Tell:
    """Tell the channel upstream the failure."""
    verdict = circuit.verdict
    assert verdict is not None
    if verdict.failure_code:
        event: Event = FailMalformedHtlc(circuit.key, verdict.sha256_of_onion, verdict.failure_code)
    else:
        event = FailHtlc(circuit.key, verdict.reason)
    return to_channel(circuit.key.channel_id, event)


def shared_secret(circuit: Circuit, env: Env) -> bytes:
    """What we share with the origin: it wraps failures, and is not stored."""
    return env.ecdh(circuit.ephemeral_key)
