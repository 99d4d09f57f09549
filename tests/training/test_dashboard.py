"""TensorBoard's files: what every number is, and which scores settings are compared by."""

import numpy as np
import pytest
from settings import settings
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util import tensor_util

from astmt_jax.config import from_config_dict
from astmt_jax.datasets import registry
from astmt_jax.training.dashboard import Dashboard
from astmt_jax.training.tags import VALIDATION

CONFIG = from_config_dict(settings(tasks=("semseg", "depth")))
TASKS = registry.tasks_of(CONFIG)
RESULTS = {"semseg": {"mIoU": 0.25, "pixel_accuracy": 0.5}, "depth": {"rmse": 2.0}}
DROPS = {"semseg": 50.0, "depth": -10.0, "average": 20.0}


@pytest.fixture
def shown(tmp_path):
    """What TensorBoard reads of a run that was evaluated once."""
    with Dashboard(tmp_path, CONFIG, TASKS) as dashboard:
        dashboard.settings()
        strips = {"depth": np.zeros((4, 6, 3), np.uint8)}
        dashboard.evaluation(7, VALIDATION, RESULTS, DROPS, strips)
    accumulator = EventAccumulator(str(tmp_path), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def test_headline_metrics_stand_together_with_the_average_drop(shown):
    assert set(shown.PluginTagToContent("scalars")) == {
        "validation/semseg_mIoU",
        "validation/depth_rmse",
        "validation/average_drop",
        "validation_semseg/mIoU",
        "validation_semseg/pixel_accuracy",
        "validation_depth/rmse",
        "validation_drop/semseg",
        "validation_drop/depth",
    }
    (point,) = shown.Tensors("validation/average_drop")
    assert (point.step, tensor_util.make_ndarray(point.tensor_proto)) == (7, 20.0)
    assert set(shown.PluginTagToContent("images")) == {"validation_pictures/depth"}


def test_every_number_says_what_it_is(shown):
    told = {
        tag: shown.SummaryMetadata(tag).summary_description
        for tag in shown.PluginTagToContent("scalars")
    }
    assert all(told.values())
    assert told["validation/depth_rmse"] == (
        "RMSE of the task depth in m on dataset.validation_split; lower is better."
    )
    assert "mIoU of the task semseg as a fraction" in told["validation_semseg/mIoU"]
    assert "all tasks on average" in told["validation/average_drop"]


def test_settings_stand_beside_the_scores_of_the_reported_split(shown):
    """Those of all tasks of the dataset, as runs are compared by what one of them names."""
    found = shown.PluginTagToContent("hparams")
    experiment = metadata.parse_experiment_plugin_data(found[metadata.EXPERIMENT_TAG])
    scores = [metric.name.tag for metric in experiment.metric_infos]
    assert scores[:2] == ["eval/semseg_mIoU", "eval/depth_rmse"]
    assert len(scores) == 7
    assert all(metric.description for metric in experiment.metric_infos)
    columns = {info.name for info in experiment.hparam_infos}
    assert {"optimizer.learning_rate", "tasks", "dataset.options.image_size"} <= columns
    assert not {"dataset.data_dir", "train.best_by", "evaluation.quantize"} & columns
    start = metadata.parse_session_start_info_plugin_data(found[metadata.SESSION_START_INFO_TAG])
    assert start.hparams["optimizer.learning_rate"].number_value == 3e-3
    assert start.hparams["tasks"].string_value == "('semseg', 'depth')"
