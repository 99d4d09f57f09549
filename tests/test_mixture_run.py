"""The program on a mixture of two datasets: stopped and gone on, evaluated, reported."""

import json
import pprint
import signal

import pytest
from forked_programs import FOREVER, TRAINING_IMPORTS, programs, training_environment
from settings import settings

from astmt_jax.runtime.interruption import EXIT_CODE

SCENES = {"image_size": 64, "num_train": 12, "num_val": 3}
DATASETS = {
    "day": {"dataset": "scenes", "tasks": ("depth",), "options": SCENES},
    "night": {
        "dataset": "scenes",
        "tasks": ("semseg", "flat=sal"),
        "options": SCENES | {"seed": 1, "num_train": 8},
        "eval_split": "val[:2]",
    },
}
VALUES = settings(
    dataset__name="mixture",
    dataset__options={"datasets": DATASETS},
    tasks=("depth", "semseg", "flat"),
    model__width_multiplier=0.0625,
    train__image_size=64,
    train__batch_size=4,
    train__epochs=2,
    train__log_every_steps=1,
    train__update_rule="per_task",
)
NUM_STEPS = 6
CONFIG = f"""
from astmt_jax.config import complete

def get_config(variant=""):
    return complete({pprint.pformat(VALUES)})
"""


@pytest.mark.slow
def test_a_mixture_is_trained_stopped_and_goes_on(tmp_path):
    """Byte for byte; each task is scored on the images of its own dataset."""
    (tmp_path / "mixture.py").write_text(CONFIG)
    environment = training_environment(tmp_path)

    def command(workdir):
        return [
            "astmt_jax.main",
            f"--config={tmp_path / 'mixture.py'}",
            f"--config.dataset.data_dir={tmp_path / 'data'}",
            f"--workdir={tmp_path / workdir}",
        ]

    with programs(tmp_path, environment, *TRAINING_IMPORTS) as forked:
        whole = forked.start(*command("whole"))
        output, errors = whole.communicate(timeout=FOREVER)
        assert whole.returncode == 0, errors
        assert f"20 images, {NUM_STEPS} steps" in output
        stopped = forked.start(*command("stopped"))
        stopped.wait_for("step 2/")
        stopped.send_signal(signal.SIGTERM)
        stopped.communicate(timeout=FOREVER)
        assert stopped.returncode == EXIT_CODE
        again = forked.start(*command("stopped"))
        output, errors = again.communicate(timeout=FOREVER)
        assert again.returncode == 0, errors
        assert "Going on from the checkpoint of step" in output
    documents = [(tmp_path / name / "results.json").read_bytes() for name in ("whole", "stopped")]
    assert documents[0] == documents[1]
    found = json.loads(documents[0])
    assert (found["dataset"], found["split"], found["images"]) == ("scenes", "evaluation", 5)
    assert set(found["results"]) == {"depth", "semseg", "flat"}
