"""What a long training run tells on the terminal."""

import time

import jax
import numpy as np

from astmt_jax.runtime.console import CONSOLE, format_duration


class Progress:
    """Lines with the losses, the speed and the time left.

    Args:
      first_step: batches that lie behind.
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

    def report(self, step: int, losses: dict[str, float]) -> float:
        """Prints one line for the batches since the last; returns their images a second."""
        now = time.perf_counter()
        seconds = (now - self._time) / max(step - self._step, 1)
        self._step, self._time = step, now
        speed = self._batch_size / seconds
        shown = "  ".join(f"{name} {loss:.3f}" for name, loss in losses.items())
        left = format_duration(seconds * (self._num_steps - step))
        width = len(str(self._num_steps))
        CONSOLE.print(
            f"step {step:{width}}/{self._num_steps}  {speed:.1f} images/s  {left} left  "
            f"[dim]{shown}[/dim]"
        )
        return speed


class LossAverage:
    """Means of the losses since they were last taken, checked to be finite one step late.

    Waiting for a step's losses would stall the device, so those of the step before are read while
    the next one runs.
    """

    def __init__(self, names: tuple[str, ...]):
        self._names = names
        self._pending: tuple[int, dict] | None = None
        self._sums: dict[str, np.ndarray] = {}
        self._count = 0

    def add(self, step: int, metrics: dict) -> None:
        """Takes the device metrics of the batch that led to `step`.

        Raises:
          FloatingPointError: a loss of the batch before is not finite.
        """
        self.flush()
        self._pending = step, metrics

    def flush(self) -> None:
        """Reads the pending metrics; raises FloatingPointError naming the task and the step."""
        if self._pending is None:
            return
        step, metrics = self._pending
        self._pending = None
        for key, values in metrics.items():
            values = np.array([float(value) for value in jax.device_get(values)])
            if not np.isfinite(values).all():
                name = self._names[int(np.argmin(np.isfinite(values)))]
                raise FloatingPointError(
                    f"The {key.replace('_', ' ')} of task {name} is {values.min()} at step {step}: "
                    "training stops here. The last checkpoint is intact; a smaller "
                    "config.optimizer.learning_rate is the usual remedy."
                )
            self._sums[key] = self._sums.get(key, 0.0) + values
        self._count += 1

    def take(self) -> dict[str, dict[str, float]]:
        """Means by metric and task since the last call."""
        self.flush()
        means = {
            key: dict(zip(self._names, (values / self._count).tolist(), strict=True))
            for key, values in self._sums.items()
        }
        self._sums, self._count = {}, 0
        return means
