"""What callers write in codes of its own: invoices and addresses. What is none is said as what it was to be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fulmen.api.errors import BadParameter, sentence_of
from fulmen.api.handle import NodeHandle
from fulmen.core.base.faults import Malformed
from fulmen.core.bitcoin.address import script_of
from fulmen.core.invoices import bolt11
from fulmen.core.invoices.invoice import Invoice


@contextmanager
def meant_as(what: str, parameter: str) -> Iterator[None]:
    """Whatever is malformed within is a wrong parameter; `rule` keeps the name of what it breaks."""
    try:
        yield
    except Malformed as wrong:
        raise BadParameter(f"This is no {what}. {sentence_of(wrong)}", parameter=parameter, rule=wrong.name) from None


def invoice_of(text: str, parameter: str) -> Invoice:
    """An invoice of anybody's.

    Raises:
        BadParameter
    """
    with meant_as("BOLT 11 invoice", parameter):
        return bolt11.decode(text)


def script_called(node: NodeHandle, address: str, parameter: str) -> bytes:
    """The script that an address of our chain stands for.

    Raises:
        BadParameter
    """
    with meant_as(f"address of {node.network.name}", parameter):
        return script_of(address, node.network)
