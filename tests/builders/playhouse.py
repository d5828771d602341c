"""The demo's chapters one at a time: each is played after those before it, less those that have failed.

So a chapter fails by itself: it can be asked for alone, and one that fails takes no other with it, unless that one
stands on what it should have done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from demo.story import Chapter, Story


class Playhouse:
    """A stage that goes on from chapter to chapter, and a new one where that cannot be."""

    def __init__(self, chapters: Sequence[Chapter], raised: Callable[[], Story]) -> None:
        self._chapters = chapters
        self._raised = raised
        """Gives a story on a stage with nobody on it yet."""
        self._story: Story | None = None
        self._played: list[int] = []
        self._failed: list[int] = []

    @property
    def story(self) -> Story | None:
        """The one that is on, if any."""
        return self._story

    def play(self, number: int) -> None:
        """Play a chapter, after what it stands on.

        Raises:
            BaseException: it did not go as it must, or one before it did not, that went well when it was tried.
        """
        before = [each for each in range(number) if each not in self._failed]
        if self._story is None or self._played != before[: len(self._played)]:
            self.clear()
            self._story, self._played = self._raised(), []
        for each in (*before[len(self._played) :], number):
            self._play_one(self._story, each)

    def clear(self) -> None:
        """Clear the stage.

        Raises:
            Deviation: somebody did not stop, or ended with an error.
        """
        story, self._story = self._story, None
        if story is not None:
            story.stage.close()

    def _play_one(self, story: Story, number: int) -> None:
        try:
            self._chapters[number].play(story)
        except BaseException as wrong:
            if self._failed:
                titles = ", ".join(self._chapters[each].TITLE for each in self._failed)
                wrong.add_note(f"These chapters have failed before, and were left out: {titles}.")
            self._failed.append(number)
            self._story = None
            # What is left of it is stopped, and the logs are kept.
            story.stage.__exit__(type(wrong), wrong, wrong.__traceback__)
            raise
        self._played.append(number)
