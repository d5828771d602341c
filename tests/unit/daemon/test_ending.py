"""A part that does not end is named, with where it waits, and left behind."""

import asyncio
import contextlib

import pytest
import structlog

from fulmen.daemon.ending import ends


def run(step):
    async def main():
        with structlog.testing.capture_logs() as said:
            return await ends("peers", step, 0.05), said

    return asyncio.run(main())


async def deaf_once():
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def quick():
    await asyncio.sleep(0)


async def broken():
    raise ValueError("a bug")


def test_a_part_that_ends_says_nothing():
    assert run(quick()) == (True, [])


def test_a_part_that_hangs_is_named_with_the_line_it_waits_at():
    ended, (said,) = run(deaf_once())
    assert not ended
    assert (said["log_level"], said["part"]) == ("critical", "peers")
    assert any(place.startswith("deaf_once:") and "Event.wait:" in place for place in said["tasks"])


def test_what_a_part_raises_is_raised():
    with pytest.raises(ValueError, match="a bug"):
        run(broken())
