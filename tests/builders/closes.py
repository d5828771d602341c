"""What tests of closes have in common: who closes, in which format, and where the money must be in the end."""

from __future__ import annotations

import pytest
from tests.builders.court import Court
from tests.builders.onchain import NAMES, Plan

from fulmen.core.commitments.building import build
from fulmen.core.commitments.commitment import LOCAL
from fulmen.core.transactions.commitment import Role
from fulmen.core.transactions.formats import ANCHORS_ZERO_FEE_HTLC, STATIC_REMOTEKEY

FORMATS = (ANCHORS_ZERO_FEE_HTLC.name, STATIC_REMOTEKEY.name)
either = pytest.mark.parametrize("closer", NAMES)
both_formats = pytest.mark.parametrize("format", FORMATS)


def check_money(court: Court, closer: str, taken_by: dict[int, str]) -> None:
    """Each end has what the commitment gave it and the HTLCs that it took, less the fees that it paid itself."""
    commitment = build(court.view(closer, LOCAL))
    other = court.other(closer)
    expected = {closer: 0, other: 0, "nobody": 0}
    for output in commitment.outputs:
        if output.role is Role.TO_LOCAL:
            expected[closer] += output.amount_sat
        elif output.role is Role.TO_REMOTE:
            expected[other] += output.amount_sat
        elif output.role in (Role.LOCAL_ANCHOR, Role.REMOTE_ANCHOR):
            expected[court.taker_of(commitment.tx.outpoint(output.vout))] += output.amount_sat
        elif output.key is not None:
            expected[taken_by[output.key.id]] += output.amount_sat
    del expected["nobody"]
    assert {name: court.gain_of(name) for name in NAMES} == expected


def closed(closer: str, plan: Plan) -> Court:
    """The commitment of one end is in a block."""
    court = Court(plan)
    court.close_by(closer)
    court.mine()
    return court
