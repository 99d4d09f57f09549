"""Services beside TensorBoard: stand-ins for their packages, and these where they are installed."""

import contextlib
import importlib.machinery
import json
import sys
import types

import numpy as np
import pytest
from settings import assert_one_sentence, settings

from astmt_jax.config import from_config_dict
from astmt_jax.runtime.interruption import EXIT_CODE, Interrupted
from astmt_jax.runtime.quiet_clu import metric_writers
from astmt_jax.training import trackers
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.trackers import IDS_FILE, TrackerError, check_installed, started

PICTURE = np.full((1, 4, 6, 3), 7, np.uint8)


def module(name, **contents):
    """A package that seems to be installed."""
    made = types.ModuleType(name)
    made.__spec__ = importlib.machinery.ModuleSpec(name, None)
    vars(made).update(contents)
    return made


class FakeRun:
    """A run of Weights & Biases; notes what it gets."""

    def __init__(self, log, arguments):
        self.id = arguments["id"] or f"run{len(log)}"
        self.config = types.SimpleNamespace(update=lambda values, **_: log.append(values))
        self._log = log
        self._count = 0

    def define_metric(self, name, step_metric=None):
        self._log.append((name, step_metric))

    def log(self, values, step=None):
        if step is None or step >= self._count:  # the service passes over what comes too late
            self._log.append(values)
            self._count = self._count + 1 if step is None else step

    def finish(self, exit_code=0):
        self._log.append(("ended", exit_code))


@pytest.fixture
def wandb(monkeypatch):
    """A stand-in for the package; the list of what it was told."""
    log = []

    def init(**arguments):
        log.append(arguments)
        return FakeRun(log, arguments)

    fake = module("wandb", init=init, Settings=dict, Image=lambda pixels: pixels.shape)
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return log


class FakeClient:
    """A client of MLflow; what it is told goes to the class, as to a server."""

    log: list

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        return f"number of {name}"

    def create_run(self, experiment, run_name):
        self.log.append((experiment, run_name))
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id="id1"))

    def update_run(self, id, status):
        self.log.append((id, status))

    def get_run(self, id):
        return types.SimpleNamespace(data=types.SimpleNamespace(params={"seed": "0"}))

    def log_batch(self, id, metrics=(), params=()):
        self.log.append([*((it.key, it.value, it.step) for it in metrics), *params])

    def log_image(self, id, image, key, step):
        self.log.append((key, image.shape, step))

    def set_terminated(self, id, status):
        self.log.append((id, status))


@pytest.fixture
def mlflow(monkeypatch):
    log = FakeClient.log = []

    def metric(key, value, timestamp, step):
        return types.SimpleNamespace(key=key, value=value, step=step)

    entities = module("mlflow.entities", Metric=metric, Param=lambda key, value: (key, value))
    monkeypatch.setitem(sys.modules, "mlflow", module("mlflow", MlflowClient=FakeClient))
    monkeypatch.setitem(sys.modules, "mlflow.entities", entities)
    return log


def report(writers):
    """What a short run writes, through CLU's own composition of writers."""
    together = metric_writers.AsyncMultiWriter(writers)
    together.write_hparams({"seed": 0, "train.epochs": 3})
    together.write_scalars(5, {"loss/depth": np.float32(1.5)})
    together.write_images(5, {"panels": PICTURE})
    together.flush()
    together.close()


def test_weights_and_biases_get_it_all(wandb, tmp_path, monkeypatch):
    monkeypatch.delenv("WANDB_PROJECT", raising=False)
    report(started(["wandb"], tmp_path))
    begun, *axes, hparams, scalars, images, end = wandb
    assert (begun["project"], begun["name"]) == ("astmt_jax", tmp_path.name)
    assert (begun["dir"], begun["id"]) == (str(tmp_path), None)
    assert axes == [("step", None), ("*", "step")]
    assert hparams == {"seed": 0, "train.epochs": 3}
    assert scalars == {"step": 5, "loss/depth": 1.5}
    assert images == {"step": 5, "panels": (4, 6, 3)}
    assert end == ("ended", 0)


def test_scores_of_an_earlier_step_arrive(wandb, tmp_path):
    """Those at the end of a run, of its best checkpoint, which need not be the last."""
    (writer,) = started(["wandb"], tmp_path)
    writer.write_scalars(20, {"loss/depth": 1.0})
    writer.write_scalars(10, {"eval/depth_rmse": 2.0})
    assert wandb[-1] == {"step": 10, "eval/depth_rmse": 2.0}


@pytest.mark.parametrize(
    ("error", "code", "status"),
    [
        (None, 0, "FINISHED"),
        (FloatingPointError, 1, "FAILED"),
        (Interrupted, EXIT_CODE, "KILLED"),
    ],
)
def test_services_are_told_how_a_run_ended(wandb, mlflow, tmp_path, error, code, status):
    config = from_config_dict(settings(tasks=("depth",), train__trackers=("wandb", "mlflow")))
    with contextlib.suppress(*filter(None, [error])), Dashboard(tmp_path, config, ()):
        if error is not None:
            raise error
    assert wandb[-1] == ("ended", code)
    assert mlflow[-1] == ("id1", status)


def test_mlflow_gets_it_all(mlflow, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "mine")
    report(started(["mlflow"], tmp_path))
    begun, hparams, scalars, images, end = mlflow
    assert begun == ("number of mine", tmp_path.name)
    assert hparams == [("train.epochs", "3")]  # the seed is there already, and must not change
    assert scalars == [("loss/depth", 1.5, 5)]
    assert images == ("panels", (4, 6, 3), 5)
    assert end == ("id1", "FINISHED")


def test_a_run_that_goes_on_goes_on_at_the_services(wandb, mlflow, tmp_path):
    report(started(["wandb", "mlflow"], tmp_path))
    first = json.loads((tmp_path / IDS_FILE).read_text())
    wandb.clear(), mlflow.clear()
    report(started(["wandb", "mlflow"], tmp_path))
    assert (wandb[0]["id"], wandb[0]["resume"]) == (first["wandb"], "allow")
    assert mlflow[0] == (first["mlflow"], "RUNNING")
    assert json.loads((tmp_path / IDS_FILE).read_text()) == first


def test_a_service_that_fails_on_the_way_ends_nothing(wandb, tmp_path, monkeypatch, capsys):
    """It is said once, and the others get it all."""
    calls = []

    def fail(self, values):
        calls.append(values["step"])
        raise ConnectionError("the server is gone")

    monkeypatch.setattr(FakeRun, "log", fail)
    report(started(["wandb"], tmp_path))
    assert calls == [5]
    told = capsys.readouterr().out
    assert told.count("Warning: wandb takes no more of this run (the server is gone)") == 1


def test_a_service_that_cannot_be_started_is_told_in_one_sentence(wandb, tmp_path, monkeypatch):
    def init(**arguments):
        raise RuntimeError("No key.\nSee the manual.")

    monkeypatch.setattr(sys.modules["wandb"], "init", init)
    with pytest.raises(
        TrackerError, match=r"names wandb, which cannot be started \(No key"
    ) as error:
        started(["wandb"], tmp_path)
    assert_one_sentence(str(error.value))
    assert not (tmp_path / IDS_FILE).exists()


def test_what_is_not_installed_is_told_in_one_sentence(monkeypatch):
    monkeypatch.setattr(trackers.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TrackerError, match="package mlflow is not installed: pip install") as error:
        check_installed(["mlflow"])
    assert_one_sentence(str(error.value))
    with pytest.raises(TrackerError, match=r"trackers is .visdom., but must be one of: wandb"):
        check_installed(["visdom"])


def test_weights_and_biases_itself_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="needs the extra [trackers]")
    monkeypatch.setenv("WANDB_MODE", "offline")
    for _ in range(2):
        (writer,) = started(["wandb"], tmp_path)
        report([writer])
        assert not writer._is_gone
    files = [path for path in tmp_path.rglob(f"run-{writer.id}.wandb") if path.stat().st_size]
    assert len({path.parent for path in files if not path.parent.is_symlink()}) == 2
    assert list(tmp_path.rglob("media/images/panels_*.png"))


def test_mlflow_itself_in_a_folder(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="needs the extra [trackers]")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
    for _ in range(2):
        (writer,) = started(["mlflow"], tmp_path)
        report([writer])
        assert not writer._is_gone
    client = mlflow.MlflowClient()
    run = client.get_run(writer.id)
    assert run.data.params == {"seed": "0", "train.epochs": "3"}
    assert run.data.metrics == {"loss/depth": 1.5}
    assert [point.step for point in client.get_metric_history(writer.id, "loss/depth")] == [5, 5]
    assert run.info.status == "FINISHED"
    assert any("panels" in artifact.path for artifact in client.list_artifacts(writer.id, "images"))
