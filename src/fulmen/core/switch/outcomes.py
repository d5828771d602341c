"""What becomes of an HTLC, downstream or at our invoice, goes upstream in the same step.

BOLT 2, "Forwarding HTLCs": claimed as soon as the preimage is known, failed only when it can no longer be paid.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.faults import InvariantBroken
from fulmen.core.base.machine import Step, Story, Topic
from fulmen.core.base.outer import Notify
from fulmen.core.commitments.htlcs import (
    Failed,
    Fulfilled,
    HtlcRemoved,
    circuit_address,
)
from fulmen.core.crypto.hashes import sha256
from fulmen.core.onion.errors import MAX_REASON_SIZE, wrap
from fulmen.core.onion.failures import (
    PermanentChannelFailure,
    TemporaryChannelFailure,
    bad_onion,
    decode_failure,
)
from fulmen.core.switch.circuit import (
    Circuit,
    CircuitFulfilled,
    CircuitLost,
    CircuitRemoved,
    Phase,
    Verdict,
)
from fulmen.core.switch.verdicts import claim, fail_with, give_back_with, our_verdict, shared_secret
from fulmen.core.switch.words import AcceptHtlc, RejectHtlc

outcomes = Topic()


@outcomes.on(Fulfilled)
def on_fulfilled(circuit: Circuit, event: Fulfilled, env: Env) -> Step[Circuit]:
    """The HTLC was paid downstream: claim it upstream in the same batch (law 5).

    Raises:
        InvariantBroken: the preimage is not that of this HTLC; the channel should have refused it.
    """
    step = Step(circuit)
    htlc = circuit.htlc
    if circuit.phase is Phase.FULFILLED or htlc is None:
        return step
    if sha256(event.preimage) != htlc.payment_hash:
        raise InvariantBroken("a preimage does not fit the HTLC that it is said to pay", key=circuit.key)
    if circuit.phase is Phase.FAILED or circuit.removed:
        # Law 10: a preimage after a failure is recorded as a loss, and claimed if the failure has not left yet.
        step.fact(CircuitLost(event.preimage, event.key, env.wall))
        about = {"incoming": str(circuit.key), "outgoing": str(event.key), "lost_msat": htlc.amount_msat}
        step.act(Story(circuit_address(circuit.key), "paid downstream after it had been failed upstream", about))
        return step.act(claim(step.state), Notify("loss", about))
    step.fact(CircuitFulfilled(htlc, event.preimage, event.key, env.wall))
    return step.act(claim(step.state), _forwarded(step.state))


@outcomes.on(Failed)
def on_failed(circuit: Circuit, event: Failed, env: Env) -> Step[Circuit]:
    """The HTLC can no longer be paid downstream: give it back upstream, with our layer on the failure."""
    step = Step(circuit)
    if not circuit.offers(event.ref):
        return step
    assert circuit.htlc is not None
    secret = shared_secret(circuit, env)
    if event.on_chain:
        # BOLT 5 leaves the code open; nobody further down said anything, and that channel is gone.
        verdict = our_verdict(secret, PermanentChannelFailure())
        return give_back_with(step, circuit.htlc, verdict, env, event.key, on_chain=True)
    if event.failure_code:
        # BOLT 2: "MUST return an error in the `update_fail_htlc` sent to the link which originally sent the HTLC,
        # using the `failure_code` given and setting the data to `sha256_of_onion`."
        failure = bad_onion(event.failure_code, event.sha256_of_onion)
        return fail_with(step, circuit.htlc, secret, failure, env, event.key)
    if len(event.reason) > MAX_REASON_SIZE:
        return fail_with(step, circuit.htlc, secret, TemporaryChannelFailure(), env, event.key)
    verdict = Verdict("failed downstream", wrap(secret, event.reason))
    return give_back_with(step, circuit.htlc, verdict, env, event.key)


@outcomes.on(AcceptHtlc)
def on_accept_htlc(circuit: Circuit, event: AcceptHtlc, env: Env) -> Step[Circuit]:
    """The invoice takes the HTLC."""
    step = Step(circuit)
    if circuit.phase is not Phase.RECEIVING:
        return step
    assert circuit.htlc is not None
    step.fact(CircuitFulfilled(circuit.htlc, event.preimage, None, env.wall))
    return step.act(claim(step.state))


@outcomes.on(RejectHtlc)
def on_reject_htlc(circuit: Circuit, event: RejectHtlc, env: Env) -> Step[Circuit]:
    """The invoice does not take the HTLC."""
    step = Step(circuit)
    if circuit.phase is not Phase.RECEIVING:
        return step
    assert circuit.htlc is not None
    return fail_with(step, circuit.htlc, shared_secret(circuit, env), decode_failure(event.message), env)


@outcomes.on(HtlcRemoved)
def on_htlc_removed(circuit: Circuit, _event: HtlcRemoved, _env: Env) -> Step[Circuit]:
    """Upstream it is gone for good. A circuit that never decided anything leaves no trace."""
    if circuit.removed or circuit.phase is Phase.NEW:
        return Step(circuit)
    return Step(circuit).fact(CircuitRemoved())


def _forwarded(circuit: Circuit) -> Notify:
    htlc, forward = circuit.htlc, circuit.forward
    assert htlc is not None and forward is not None
    about = {
        "incoming": str(circuit.key),
        "outgoing": str(circuit.outgoing),
        "payment_hash": htlc.payment_hash.hex(),
        "fee_msat": htlc.amount_msat - forward.amount_msat,
    }
    return Notify("forward", about)
