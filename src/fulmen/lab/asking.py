"""A call that takes its time, in a thread of its own: who asks goes on with the play, and hears the answer later."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from fulmen.api.client import RpcClient
from fulmen.core.base.faults import Fault


class Asking(threading.Thread):
    """One call to a node, over a connection of its own; `join` it, then look at `answer` and `wrong`."""

    def __init__(self, caller: Callable[[], RpcClient], method: str, params: Mapping[str, Any]) -> None:
        super().__init__(daemon=True)
        self._caller = caller
        self._method = method
        self._params = dict(params)
        self.answer: dict[str, Any] = {}
        self.wrong = ""
        """Why it was refused, or came to nothing."""
        self.start()

    def run(self) -> None:
        """Ask; a refusal is kept, and so is the death of the node."""
        try:
            with self._caller() as caller:
                self.answer = caller.call(self._method, self._params)
        except Fault as fault:
            self.wrong = fault.message
