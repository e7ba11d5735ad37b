"""A progress bar with images per second and time left; lines in place of a bar where nobody watches a terminal."""

import sys
import time

from tqdm import tqdm

_LINE_SECONDS = 15.0


class Progress:
    """Shows how many images of a run are done.

    Args:
        total: Images of the whole run.
        shown: False keeps silent.
    """

    def __init__(self, total: int, shown: bool = True) -> None:
        self.shown = shown
        self.label = ""
        self.terminal = sys.stderr.isatty()
        self.last_line = time.monotonic()
        self.bar = tqdm(
            total=total, unit="img", smoothing=0.1, dynamic_ncols=True, disable=not (shown and self.terminal)
        )
        self.total = total
        self.done = 0
        self.scored = 0
        self.started = time.monotonic()

    def start(self, label: str) -> None:
        """Names the cell that comes next."""
        self.label = label
        self.bar.set_description(label)

    def advance(self, count: int) -> None:
        """Counts images that were scored."""
        self.done += count
        self.scored += count
        self.bar.update(count)
        now = time.monotonic()
        if self.shown and not self.terminal and now - self.last_line > _LINE_SECONDS:
            self.last_line = now
            speed = self.scored / (now - self.started)
            left = (self.total - self.done) / speed
            print(
                f"{self.done:,}/{self.total:,} images, {speed:.1f} img/s, {left:.0f} s left: {self.label}", flush=True
            )

    def skip(self, count: int) -> None:
        """Takes images off the total whose cell was finished before: they need no time."""
        self.done += count
        self.bar.total -= count
        self.bar.refresh()

    def say(self, line: str) -> None:
        """Prints a line without tearing the bar."""
        if self.shown:
            # Names of files may hold bytes that are no text.
            tqdm.write(line.encode(errors="backslashreplace").decode(), file=sys.stderr)

    def close(self) -> None:
        """Ends the bar."""
        self.bar.close()
