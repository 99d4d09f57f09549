"""Means of what the training steps measured, read without stalling the devices."""

from collections.abc import Mapping

import jax
import numpy as np

Means = dict[str, float]


class Averages:
    """Means of the metrics since they were last taken, checked to be finite one step late.

    Waiting for a step's metrics would stall the device, so those of the step before are read while
    the next one runs.

    Args:
      names: of the tasks.
    """

    def __init__(self, names: tuple[str, ...]):
        self._names = names
        self._pending: tuple[int, Mapping] | None = None
        self._sums: dict[str, np.ndarray] = {}
        self._count = 0

    def add(self, step: int, metrics: Mapping) -> None:
        """Takes the device metrics of the batch that led to `step`.

        Each is (T,), or a list of T scalars, of the tasks, or () of all of them together.

        Raises:
          FloatingPointError: a metric of the batch before is not finite.
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
            values = np.asarray(jax.device_get(values), np.float64)
            if not np.isfinite(values).all():
                raise FloatingPointError(
                    f"The {key.replace('_', ' ')}{self._whose(values)} is {values.min()} at step "
                    f"{step}: training stops here. The last checkpoint is intact; a smaller "
                    "config.optimizer.learning_rate is the usual remedy."
                )
            self._sums[key] = self._sums.get(key, 0.0) + values
        self._count += 1

    def _whose(self, values: np.ndarray) -> str:
        if not values.ndim:
            return ""
        return f" of task {self._names[int(np.argmin(np.isfinite(values)))]}"

    def take(self) -> tuple[dict[str, Means], Means]:
        """Means since the last call, by metric: of each task by its name, and of all together."""
        self.flush()
        means = {key: (values / self._count).tolist() for key, values in self._sums.items()}
        self._sums, self._count = {}, 0
        by_task = {
            key: dict(zip(self._names, mean, strict=True))
            for key, mean in means.items()
            if isinstance(mean, list)
        }
        return by_task, {key: mean for key, mean in means.items() if key not in by_task}
