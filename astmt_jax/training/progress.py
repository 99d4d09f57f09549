"""What a long training run tells on the terminal."""

import time
from collections.abc import Mapping

from rich.text import Text

from astmt_jax.runtime.console import CONSOLE, format_duration


class Progress:
    """Lines with the losses, the speed and the time left.

    Args:
      first_step: batches seen before.
      num_steps: batches of the whole training.
      batch_size: images a batch.
    """

    def __init__(self, first_step: int, num_steps: int, batch_size: int):
        self._num_steps = num_steps
        self._batch_size = batch_size
        self._step = first_step
        self._time = time.perf_counter()

    def restart(self, step: int) -> None:
        """Leaves out of the speed what came before `step`: the program's compilation."""
        self._step, self._time = step, time.perf_counter()

    def report(self, step: int, losses: Mapping[str, float]) -> float:
        """Prints one line for the batches since the last; returns their images a second."""
        now = time.perf_counter()
        seconds = (now - self._time) / max(step - self._step, 1)
        self._step, self._time = step, now
        speed = self._batch_size / seconds
        shown = "  ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        left = format_duration(seconds * (self._num_steps - step))
        width = len(str(self._num_steps))
        line = Text(f"step {step:{width}}/{self._num_steps}  {speed:.1f} images/s  {left} left  ")
        CONSOLE.print(line.append(shown, "dim"))
        return speed
