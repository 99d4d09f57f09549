"""One training step: the update of a network's state by a batch, in one of several ways."""

import jax

from astmt_jax.records import check_choice
from astmt_jax.training.joint import JointUpdate
from astmt_jax.training.per_task import PerTaskUpdate
from astmt_jax.training.state import TrainState
from astmt_jax.training.update import Ingredients, Update

UPDATES: dict[str, type[Update]] = {"per_task": PerTaskUpdate, "joint": JointUpdate}
"""`config.train.update_rule` -> the update."""


class TrainStep:
    """The jitted update of one network.

    Args:
      ingredients: what it is made of.
      update_rule: a key of `UPDATES`.

    Attributes:
      ingredients: as given.
      update: `(state, batch) -> (state, metrics)`; see `update.Update`.

    Raises:
      ValueError: there is no such update.
    """

    def __init__(self, ingredients: Ingredients, update_rule: str):
        check_choice("train.update_rule", update_rule, UPDATES)
        self.ingredients = ingredients
        self.update = UPDATES[update_rule](ingredients)

    def init(self, key: jax.Array) -> TrainState:
        """State before the first step; `key` is a typed PRNG key."""
        return jax.jit(self.ingredients.initial_state)(key)
