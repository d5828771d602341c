"""A mutual close ends: once all is drained the fee is agreed on, and both signatures make the transaction.

BOLT 2, "Legacy Closing Negotiation: `closing_signed`"; BOLT 3, "Closing Transaction". How it begins is in `shutdown`.
"""

from __future__ import annotations

from fulmen.core.base.env import Env
from fulmen.core.base.machine import Step, Topic
from fulmen.core.base.mount import Check, CheckFailed
from fulmen.core.base.outer import Notify, Send
from fulmen.core.base.units import FEERATE_FLOOR_PER_KW, Sat, fee_for_weight, sat_floor
from fulmen.core.bitcoin.transaction import Tx, parse_tx
from fulmen.core.channel.dance import UNSIGNED, owes_commitment
from fulmen.core.channel.ending import closed, tell_closers
from fulmen.core.channel.facts import CloseAgreed, Negotiated
from fulmen.core.channel.faults import BadClosingSignature, ClosingDust, ClosingFeeOutOfRange, UnexpectedMessage
from fulmen.core.channel.scripts import dust_limit_of
from fulmen.core.channel.state import Agreed, Channel, Link, Phase
from fulmen.core.signer.checks import CheckClosing, disputed
from fulmen.core.signer.requests import SignClosing
from fulmen.core.transactions.closing import ClosesToNothing, FeeAboveBalance, closing_weight, legacy_closing_tx
from fulmen.core.wire.messages.closing import ClosingSigned, FeeRange, Shutdown

negotiation = Topic()
late = Topic()

FEE_SPREAD = 4
"""The funder accepts a closing fee from its floor up to this many times its estimate."""

NO_FEE = Sat(0)


def drained(channel: Channel) -> bool:
    """Both sent `shutdown`, no HTLC is left anywhere, and nothing is owed: the fee can be negotiated."""
    if channel.phase is not Phase.SHUTDOWN or channel.shutdown_sent is None or channel.shutdown_received is None:
        return False
    if not channel.shutdown_on_this_link or not channel.their_shutdown_on_this_link:
        return False
    if channel.link is not Link.READY or channel.remote_next is not None or owes_commitment(channel):
        return False
    if channel.remote_log.next_index > channel.local.remote_upto:
        return False
    commitments = (channel.local, channel.remote, channel.local_pending, channel.remote_pending)
    return not any(one.totals.offered_count or one.totals.received_count for one in commitments)


def perhaps_negotiate(channel: Channel, env: Env) -> Step[Channel]:
    """As the funder, make the first offer once all is drained.

    "The funding node: after `shutdown` has been received, AND no HTLCs remain in either commitment transaction:
    SHOULD send a `closing_signed` message."
    """
    if not drained(channel) or not channel.terms.is_opener or channel.negotiation.our_fee_sat is not None:
        return Step(channel)
    low, fee, high = fee_limits(channel, env)
    return _offer(channel, fee, low, high)


def fee_limits(channel: Channel, env: Env) -> tuple[Sat, Sat, Sat]:
    """What we would pay or accept for a mutual close: least, wanted, most."""
    scripts = _scripts(channel)
    weight = closing_weight(*scripts)
    floor_per_kw = max(env.feerates.floor_per_kw, FEERATE_FLOOR_PER_KW)
    ours_per_kw = channel.closing_feerate_per_kw
    # The mempool may ask for more by now than when the owner named a feerate, and no peer agrees to less.
    feerate = env.feerates.closing_per_kw if ours_per_kw is None else max(ours_per_kw, floor_per_kw)
    # The key holder signs nothing beyond the cap, whatever was agreed, and reckons with the outputs that are there: the
    # peer may leave its own out.
    cap = fee_for_weight(env.policy.feerates.cap_per_kw, min(closing_weight(script) for script in scripts))
    fee = min(fee_for_weight(feerate, weight), cap)
    floor = fee_for_weight(floor_per_kw, weight)
    opener_msat = channel.local.totals.local_msat if channel.terms.is_opener else channel.local.totals.remote_msat
    most = sat_floor(opener_msat)
    if channel.terms.is_opener:
        ceiling = Sat(min(FEE_SPREAD * fee, cap)) if ours_per_kw is None else fee
        return min(floor, fee, most), min(fee, most), min(ceiling, most)
    return min(floor, most), min(fee, most), most


def _scripts(channel: Channel) -> tuple[bytes, bytes]:
    assert channel.shutdown_sent is not None and channel.shutdown_received is not None
    return channel.shutdown_sent, channel.shutdown_received


def _offer(channel: Channel, fee: Sat, low: Sat, high: Sat) -> Step[Channel]:
    tx = closing_tx(channel, fee)
    progress = channel.negotiation.but(our_fee_sat=fee, our_min_sat=low, our_max_sat=high)
    return Step(channel).fact(Negotiated(progress)).act(_send_closing_signed(channel, tx, fee, low, high))


def _send_closing_signed(channel: Channel, tx: Tx, fee: Sat, low: Sat, high: Sat) -> Send:
    message = ClosingSigned(channel.terms.channel_id, fee, UNSIGNED, FeeRange(low, high))
    return Send(channel.terms.node_id, message, (sign_closing(channel, tx, high),))


def sign_closing(channel: Channel, tx: Tx, highest_fee_sat: Sat = NO_FEE) -> SignClosing:
    """The request for our signature on a closing transaction, with what allows it."""
    terms = channel.terms
    return SignClosing(
        terms.key_index,
        tx.serialize(),
        channel.funding.amount_sat,
        terms.local.basepoints.funding_pubkey,
        terms.remote.basepoints.funding_pubkey,
        channel.shutdown_sent or b"",
        channel.shutdown_path,
        highest_fee_sat,
    )


def closing_tx(channel: Channel, fee: Sat, *, without_ours: bool = False, without_theirs: bool = False) -> Tx:
    """The closing transaction at a fee, with all outputs above our dust limit, or with one side's left out.

    Raises:
        FeeAboveBalance, ClosesToNothing: there is no such transaction.
    """
    terms, totals = channel.terms, channel.local.totals
    ours, theirs = _scripts(channel)
    opener, accepter = (totals.local_msat, ours), (totals.remote_msat, theirs)
    if not terms.is_opener:
        opener, accepter = accepter, opener
    return legacy_closing_tx(
        channel.funding.outpoint,
        *opener,
        *accepter,
        fee,
        terms.local.dust_limit_sat,
        without_opener=without_ours if terms.is_opener else without_theirs,
        without_accepter=without_theirs if terms.is_opener else without_ours,
    )


def variants(channel: Channel, fee: Sat) -> tuple[Tx, ...]:
    """The transactions a peer may have signed at a fee: the one we would, and those it may leave an output out of.

    "if the `signature` is not valid for either variant of closing transaction". The peer may give up its own output
    (BOLT 3: "MAY eliminate its own output"); ours it may leave out only where that is dust to it, or it could burn all
    that we have in the channel as fee.
    """
    leave_out: list[dict[str, bool]] = [{}, {"without_theirs": True}]
    totals, terms = channel.local.totals, channel.terms
    ours = sat_floor(totals.local_msat) - (fee if terms.is_opener else 0)
    # "MUST remove any output below its own `dust_limit_satoshis`."
    if ours < terms.remote.dust_limit_sat:
        leave_out.append({"without_ours": True})
    found: list[Tx] = []
    for left_out in leave_out:
        try:
            tx = closing_tx(channel, fee, **left_out)
        except (FeeAboveBalance, ClosesToNothing):
            continue
        if tx not in found:
            found.append(tx)
    return tuple(found)


def closing_checks(channel: Channel, msg: ClosingSigned) -> tuple[Check, ...]:
    """The signature has to fit one of the variants."""
    if not drained(channel) or not _affordable(channel, msg.fee_satoshis):
        return ()
    requests = tuple(sign_closing(channel, tx) for tx in variants(channel, msg.fee_satoshis))
    return (CheckClosing(requests, msg.signature),)


def _affordable(channel: Channel, fee: Sat) -> bool:
    totals = channel.local.totals
    opener = totals.local_msat if channel.terms.is_opener else totals.remote_msat
    return fee <= sat_floor(opener)


@negotiation.on(ClosingSigned)
def on_closing_signed(channel: Channel, msg: ClosingSigned, env: Env) -> Step[Channel]:
    """The peer offers a fee, with a signature that `checks` found good.

    Raises:
        UnexpectedMessage, ClosingFeeOutOfRange, ClosingDust: the peer broke BOLT 2.
    """
    if not drained(channel):
        raise UnexpectedMessage(what="ClosingSigned", undrained=True)
    if not _affordable(channel, msg.fee_satoshis):
        raise ClosingFeeOutOfRange(fee_satoshis=msg.fee_satoshis)
    progress = channel.negotiation
    if progress.our_fee_sat == msg.fee_satoshis:
        return _agree(channel, msg, env)
    low, fee, high = fee_limits(channel, env)
    if msg.fee_range is not None:
        return _answer_range(channel, msg, env, low, fee, high)
    return _answer_halving(channel, msg, env, low, fee, high)


def _answer_range(channel: Channel, msg: ClosingSigned, env: Env, low: Sat, fee: Sat, high: Sat) -> Step[Channel]:
    assert msg.fee_range is not None
    least = max(low, msg.fee_range.min_fee_satoshis)
    most = min(high, msg.fee_range.max_fee_satoshis)
    # "if there is no overlap between that and its own `fee_range`: SHOULD send a warning"
    if least > most:
        raise ClosingFeeOutOfRange(fee_satoshis=msg.fee_satoshis, low_sat=low, high_sat=high)
    if channel.terms.is_opener:
        # "if `fee_satoshis` is not in the overlap between the sent and received `fee_range`: MUST fail the channel"
        if not least <= msg.fee_satoshis <= most:
            raise ClosingFeeOutOfRange(fee_satoshis=msg.fee_satoshis, low_sat=least, high_sat=most)
        return _agree(channel, msg, env, say_so=True)
    # "if it has already sent a `closing_signed`: if `fee_satoshis` is not the same as the value it sent: MUST fail"
    if channel.negotiation.our_fee_sat is not None:
        raise ClosingFeeOutOfRange(fee_satoshis=msg.fee_satoshis, ours_sat=channel.negotiation.our_fee_sat)
    if least <= msg.fee_satoshis <= most:
        return _agree(channel, msg, env, say_so=True)
    # "otherwise: MUST propose a `fee_satoshis` in the overlap between received and (about-to-be) sent `fee_range`."
    return _offer(channel, Sat(min(max(fee, least), most)), low, high)


def _answer_halving(channel: Channel, msg: ClosingSigned, env: Env, low: Sat, fee: Sat, high: Sat) -> Step[Channel]:
    progress = channel.negotiation
    ours, before = progress.our_fee_sat, progress.their_fee_sat
    theirs = msg.fee_satoshis
    # "if `fee_satoshis` is not strictly between its last-sent `fee_satoshis` and its previously-received
    # `fee_satoshis`, UNLESS it has since reconnected"
    if ours is not None and before is not None and not min(ours, before) < theirs < max(ours, before):
        raise ClosingFeeOutOfRange(fee_satoshis=theirs, ours_sat=ours, before_sat=before)
    if low <= theirs <= high:
        return _agree(channel, msg, env, say_so=True)
    ours = fee if ours is None else ours
    # "MUST propose a value "strictly between" the received `fee_satoshis` and its previously-sent `fee_satoshis`."
    middle = Sat((ours + theirs) // 2)
    if middle in (ours, theirs):
        raise ClosingFeeOutOfRange(fee_satoshis=theirs, ours_sat=ours)
    step = Step(channel).fact(Negotiated(progress.but(their_fee_sat=theirs)))
    return step.then(lambda state: _offer(state, Sat(min(max(middle, low), high)), low, high))


def _agree(channel: Channel, msg: ClosingSigned, env: Env, *, say_so: bool = False) -> Step[Channel]:
    """Both have signed one transaction: remember it, publish it, and repeat the fee if the peer has not seen ours."""
    tx = _signed_variant(channel, msg)
    # "if one of the outputs in the closing transaction is below the dust limit for its `scriptpubkey`: MUST fail"
    for output in tx.outputs:
        if output.amount_sat < dust_limit_of(output.script_pubkey):
            raise ClosingDust(amount_sat=output.amount_sat)
    step = Step(channel)
    low, _, high = fee_limits(channel, env)
    if say_so:
        progress = channel.negotiation.but(our_fee_sat=msg.fee_satoshis)
        full = closing_tx(channel, msg.fee_satoshis)
        step.fact(Negotiated(progress))
        step.act(
            _send_closing_signed(
                channel, full, msg.fee_satoshis, min(low, msg.fee_satoshis), max(high, msg.fee_satoshis)
            )
        )
    highest = max(high, channel.negotiation.our_max_sat)
    step.fact(CloseAgreed(Agreed(tx.serialize(), msg.signature, highest, msg.fee_satoshis)))
    step.act(
        Notify("channel_close_agreed", {"channel_id": channel.terms.channel_id.hex(), "fee_sat": msg.fee_satoshis})
    )
    return step.then(lambda state: tell_closers(state, closed(state, env)))


@late.on(Shutdown)
def on_late_shutdown(channel: Channel, _msg: Shutdown, env: Env) -> Step[Channel]:
    """The peer is back after the close was agreed on, and may not know that it was: the funder speaks first."""
    return say_again(channel, env) if channel.terms.is_opener else Step(channel)


@late.on(ClosingSigned)
def on_late_closing_signed(channel: Channel, _msg: ClosingSigned, env: Env) -> Step[Channel]:
    """Whatever the peer offers now, the fee is agreed on. Its next word, once it agrees too, needs no answer."""
    return say_again(channel, env)


def say_again(channel: Channel, env: Env) -> Step[Channel]:
    """Sign what was agreed on once more, once per connection.

    "`closing_signed` also has no acknowledgment so must be retransmitted upon reconnection (though negotiation restarts
    on reconnection, so it needs not be an exact retransmission)."
    """
    if channel.link is not Link.READY or channel.negotiation.our_fee_sat is not None:
        return Step(channel)
    tx, agreed = agreed_tx(channel)
    low, _, high = fee_limits(channel, env)
    fee = agreed.fee_sat
    step = Step(channel).fact(Negotiated(channel.negotiation.but(our_fee_sat=fee)))
    message = ClosingSigned(channel.terms.channel_id, fee, UNSIGNED, FeeRange(min(low, fee), max(high, fee)))
    return step.act(Send(channel.terms.node_id, message, (sign_closing(channel, tx, agreed.highest_fee_sat),)))


def _signed_variant(channel: Channel, msg: ClosingSigned) -> Tx:
    """Which of the variants the peer's signature belongs to (one of them: `checks` said so)."""
    for tx in variants(channel, msg.fee_satoshis):
        if CheckClosing((sign_closing(channel, tx),), msg.signature).holds():
            return tx
    raise BadClosingSignature(fee_satoshis=msg.fee_satoshis)


def on_bad_signature(channel: Channel, event: CheckFailed, _env: Env) -> Step[Channel]:
    """The peer's closing signature is good for nothing we would publish."""
    raise BadClosingSignature(tx=disputed(event.check), channel_id=channel.terms.channel_id)


def agreed_tx(channel: Channel) -> tuple[Tx, Agreed]:
    """The mutual close that both signed."""
    assert channel.agreed is not None
    return parse_tx(channel.agreed.tx), channel.agreed
