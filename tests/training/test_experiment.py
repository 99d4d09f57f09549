"""An experiment is refused before anything starts where a table lacks a name of its settings."""

import pytest
from settings import assert_one_sentence, settings

from astmt_jax.config import from_config_dict
from astmt_jax.training.experiment import Experiment

REFUSED = {
    "update": ({"train__update_rule": "sideways"}, ["train.update_rule", "per_task, joint"]),
    "optimizer": ({"optimizer__name": "adam"}, ["optimizer.name", "'adam'", "sgd, adamw"]),
    "schedule": ({"optimizer__schedule": "cosine"}, ["optimizer.schedule", "'cosine'", "poly"]),
}


@pytest.mark.parametrize(("changes", "words"), REFUSED.values(), ids=REFUSED)
def test_unknown_names_are_refused(changes, words):
    with pytest.raises(ValueError, match=words[0]) as caught:
        Experiment(from_config_dict(settings(**changes)))
    assert_one_sentence(str(caught.value))
    assert [word for word in words if word not in str(caught.value)] == []
