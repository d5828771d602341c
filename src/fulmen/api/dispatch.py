"""From a call to its answer: find the command, check the permission, read the parameters, run it.

Whatever goes wrong becomes a `Fault` with a sentence; a bug of ours is logged whole and told in one line.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog

from fulmen.api.errors import NotPermitted
from fulmen.api.handle import NodeHandle
from fulmen.api.params import read_params
from fulmen.api.registry import EVERYTHING, REGISTRY, Permission, Registry
from fulmen.core.base.faults import Fault, InvariantBroken

log = structlog.get_logger(__name__)


class Dispatcher:
    """Answers calls against one node."""

    def __init__(self, node: NodeHandle, registry: Registry = REGISTRY) -> None:
        self._node = node
        self._registry = registry

    async def call(
        self, method: str, params: object = None, *, granted: frozenset[Permission] = EVERYTHING
    ) -> dict[str, Any]:
        """The answer as plain JSON values.

        Raises:
            Fault: the call was refused, or failed.
        """
        command = self._registry.get(method)
        if command.permission not in granted:
            raise NotPermitted(
                f"`{method}` needs the permission {command.permission.value!r}, which this caller lacks."
            )
        request = read_params(command, params)
        try:
            answer = await command.run(self._node, request)
        except Fault:
            raise
        except Exception as bug:
            log.exception("a command failed by a bug of ours", command=method)
            raise InvariantBroken(f"`{method}` failed by a bug of ours; the log says where.") from bug
        plain: dict[str, Any] = msgspec.to_builtins(answer, str_keys=True)
        return plain
