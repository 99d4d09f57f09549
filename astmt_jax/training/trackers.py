"""Services that track experiments beside TensorBoard, where their packages are installed.

Each is an adapter to CLU's interface of writers. Where it sends what it gets is the service's own
business: its environment variables (WANDB_MODE, MLFLOW_TRACKING_URI, ...) are as its manual says.
"""

import abc
import importlib
import importlib.util
import os
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np

from astmt_jax.files import documents, storage
from astmt_jax.files.messages import one_line
from astmt_jax.records import check_choice
from astmt_jax.runtime.console import CONSOLE
from astmt_jax.runtime.interruption import EXIT_CODE, Interrupted
from astmt_jax.runtime.quiet_clu import metric_writers

IDS_FILE = "trackers.json"
"""In a run's folder: the services' own names of it, by which a run that goes on goes on there."""
PROJECT = "astmt_jax"
"""Where runs go, unless WANDB_PROJECT or MLFLOW_EXPERIMENT_NAME says otherwise."""

Status = Literal["FINISHED", "FAILED", "KILLED"]
"""How a run ends, in MLflow's words; one that was asked to stop is killed."""


class TrackerError(ValueError):
    """A service cannot be used; says why, and what to do, in one sentence."""


class Tracker(metric_writers.MetricWriter, abc.ABC):
    """A service as CLU's writer of scalars, images and settings; the rest it leaves out.

    What it cannot write, as when its server is gone, ends no training: that is said once, and
    nothing more is sent.

    Args:
      name: of the run.
      workdir: its folder.
      id: of the run at the service, from an earlier start; None begins a new one.

    Attributes:
      id: of the run at the service.
      status: as which `close` ends it.
    """

    package: str
    id: str
    status: Status = "FINISHED"

    @abc.abstractmethod
    def __init__(self, name: str, workdir: pathlib.Path, id: str | None):
        self._is_gone = False

    @abc.abstractmethod
    def _scalars(self, step: int, scalars: Mapping[str, float]) -> None: ...

    @abc.abstractmethod
    def _images(self, step: int, images: Mapping[str, np.ndarray]) -> None: ...

    @abc.abstractmethod
    def _settings(self, settings: Mapping[str, Any]) -> None: ...

    @abc.abstractmethod
    def _close(self) -> None: ...

    def write_scalars(self, step: int, scalars: Mapping[str, Any]) -> None:
        numbers = {name: float(value) for name, value in scalars.items()}
        self._careful(self._scalars, step, numbers)

    def write_images(self, step: int, images: Mapping[str, Any]) -> None:
        """Of several images under one name, (N, H, W, 3), the first."""
        single = {name: np.asarray(image) for name, image in images.items()}
        single = {name: it[0] if it.ndim == 4 else it for name, it in single.items()}
        self._careful(self._images, step, single)

    def write_hparams(self, hparams: Mapping[str, Any]) -> None:
        self._careful(self._settings, hparams)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self._careful(self._close)

    def _careful(self, function: Callable[..., None], *arguments: Any) -> None:
        if self._is_gone:
            return
        try:
            function(*arguments)
        except Exception as error:  # each service raises what it likes
            self._is_gone = True
            CONSOLE.print(
                f"Warning: {self.package} takes no more of this run ({one_line(error, 120)}): "
                "training goes on, and TensorBoard has it all."
            )

    def write_summaries(self, step: int, values: Any, metadata: Any = None) -> None: ...
    def write_videos(self, step: int, videos: Any) -> None: ...
    def write_audios(self, step: int, audios: Any, *, sample_rate: int) -> None: ...
    def write_texts(self, step: int, texts: Any) -> None: ...
    def write_histograms(self, step: int, arrays: Any, num_buckets: Any = None) -> None: ...


class WeightsAndBiases(Tracker):
    """Weights & Biases: https://docs.wandb.ai; `WANDB_MODE=offline` writes to the folder only."""

    package = "wandb"

    def __init__(self, name: str, workdir: pathlib.Path, id: str | None):
        super().__init__(name, workdir, id)
        self._wandb = importlib.import_module("wandb")
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            dir=str(workdir),
            id=id,
            resume="allow",
            settings=self._wandb.Settings(console="off", silent=True),
        )
        # The service's own count never goes back, as the step does to that of the best checkpoint.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        self.id = self._run.id

    def _scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        self._run.log({**scalars, "step": step})

    def _images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        shown = {name: self._wandb.Image(image) for name, image in images.items()}
        self._run.log({**shown, "step": step})

    def _settings(self, settings: Mapping[str, Any]) -> None:
        self._run.config.update(dict(settings), allow_val_change=True)

    def _close(self) -> None:
        codes = {"FINISHED": 0, "FAILED": 1, "KILLED": EXIT_CODE}
        self._run.finish(exit_code=codes[self.status])


class MLflow(Tracker):
    """MLflow: https://mlflow.org; `MLFLOW_TRACKING_URI` says where to."""

    package = "mlflow"

    def __init__(self, name: str, workdir: pathlib.Path, id: str | None):
        super().__init__(name, workdir, id)
        entities = importlib.import_module("mlflow.entities")
        self._metric, self._param = entities.Metric, entities.Param
        self._client = importlib.import_module("mlflow").MlflowClient()
        if id is None:
            experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
            known = self._client.get_experiment_by_name(experiment)
            number = known.experiment_id if known else self._client.create_experiment(experiment)
            id = self._client.create_run(number, run_name=name).info.run_id
        else:
            self._client.update_run(id, status="RUNNING")
        self.id = id

    def _scalars(self, step: int, scalars: Mapping[str, float]) -> None:
        now = round(1000 * time.time())
        metrics = [self._metric(name, value, now, step) for name, value in scalars.items()]
        self._client.log_batch(self.id, metrics=metrics)

    def _images(self, step: int, images: Mapping[str, np.ndarray]) -> None:
        for name, image in images.items():
            self._client.log_image(self.id, image, key=name, step=step)

    def _settings(self, settings: Mapping[str, Any]) -> None:
        begun = self._client.get_run(self.id).data.params  # cannot be changed afterwards
        params = [
            self._param(name, str(value)) for name, value in settings.items() if name not in begun
        ]
        self._client.log_batch(self.id, params=params)

    def _close(self) -> None:
        self._client.set_terminated(self.id, self.status)


TRACKERS: dict[str, type[Tracker]] = {"wandb": WeightsAndBiases, "mlflow": MLflow}
"""A name in `config.train.trackers` -> its adapter."""


def check_installed(names: Sequence[str]) -> None:
    """Checks that services are known and their packages installed.

    Raises:
      TrackerError: one is not; says how to install it.
    """
    for name in names:
        try:
            check_choice("train.trackers", name, TRACKERS)
        except ValueError as error:
            raise TrackerError(str(error)) from error
        package = TRACKERS[name].package
        if importlib.util.find_spec(package) is None:
            raise TrackerError(
                f"train.trackers names {name}, but the package {package} is not installed: "
                "pip install '.[trackers]' brings it."
            )


def started(names: Sequence[str], workdir: pathlib.Path) -> list[Tracker]:
    """The services' writers for the run in a folder, which goes on there where it began before.

    Raises:
      TrackerError: one cannot be started, as without a server or a key.
    """
    check_installed(names)
    ids, trackers = _read_ids(workdir / IDS_FILE), []
    for name in names:
        run_name = workdir.resolve().name
        try:
            tracker = TRACKERS[name](run_name, workdir, ids.get(name))
        except Exception as error:  # each service raises what it likes
            for tracker in trackers:
                tracker.status = "FAILED"
                tracker.close()
            raise TrackerError(
                f"train.trackers names {name}, which cannot be started "
                f"({one_line(error, 200)}): put that right, or leave it out."
            ) from error
        ids[name] = tracker.id
        trackers.append(tracker)
    if trackers:
        storage.write_json(workdir / IDS_FILE, ids)
    return trackers


def status_after(error: BaseException | None) -> Status:
    """How a run ends that ran into an error, or into none."""
    if error is None:
        return "FINISHED"
    return "KILLED" if isinstance(error, Interrupted | KeyboardInterrupt) else "FAILED"


def _read_ids(path: pathlib.Path) -> dict[str, str]:
    try:
        document = documents.read_document(path)
    except (FileNotFoundError, ValueError):
        return {}
    known = document.items() if isinstance(document, dict) else ()
    return {name: id for name, id in known if name in TRACKERS and isinstance(id, str)}
