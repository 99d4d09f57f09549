"""A network that compiles in a second: the real one with a trunk of two convolutions.

Everything that tests of the training step are about stays the real thing: prediction layers,
discriminator, the task axis and which variables tasks own.
"""

import dataclasses
import functools

import golden_cases
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from networks import on_device

from astmt_jax.config import DiscriminatorConfig, ModelConfig, OptimizerConfig
from astmt_jax.models import layers
from astmt_jax.models.decoder import ModulatedConv
from astmt_jax.models.network import Network
from astmt_jax.models.normalization import BatchNorm
from astmt_jax.models.resnet import RESNET
from astmt_jax.pipeline.layout import Layout
from astmt_jax.runtime.sharding import Placement
from astmt_jax.tasks.task import Task, channels_by_name
from astmt_jax.training.objective import Objective
from astmt_jax.training.optimizer import Optimizer
from astmt_jax.training.schedules import poly_schedule, reversal_schedule
from astmt_jax.training.state import TrainState
from astmt_jax.training.train_step import TrainStep
from astmt_jax.training.trained_tasks import TrainedTasks
from astmt_jax.training.update import Ingredients, Update

CHANNELS = {"semseg": 5, "human_parts": 7, "normals": 3}
PAIR = {"semseg": 5, "normals": 3}

SHARED = {
    "decoder_norm": "shared",
    "decoder_se": False,
    "encoder_adapters": False,
    "decoder_adapters": False,
}


class TinyTrunk(nnx.Module):
    """Shared convolution and batch norm, then one convolution with all the modulation of tasks."""

    def __init__(self, config: ModelConfig):
        self.stem = layers.Conv(3, 8, 3, stride=4, dtype=config.compute_dtype)
        self.norm = BatchNorm(8, "shared")
        self.refine = ModulatedConv(
            8, config.decoder_width, 3, se_reduction=16, config=config, family=RESNET
        )

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        """(B, H, W, 3) -> (B, H/4, W/4, decoder_width)."""
        x = jax.nn.relu(self.norm(self.stem(images), train=train))
        return self.refine(x, train=train)


class TinyNetwork(Network):
    """`Network` with the tiny trunk."""

    def _new_trunk(self) -> TinyTrunk:
        return TinyTrunk(self.config)


class Steps:
    """Both updates of a network, made of the same ingredients."""

    def __init__(self, ingredients: Ingredients):
        self.ingredients = ingredients
        self.network = ingredients.network
        self.objective = ingredients.objective
        self.optimizer = ingredients.optimizer
        self.alpha = ingredients.alpha
        self.init = TrainStep(ingredients, "joint").init

    @functools.cached_property
    def per_task_update(self) -> Update:
        return TrainStep(self.ingredients, "per_task").update

    @functools.cached_property
    def joint_update(self) -> Update:
        return TrainStep(self.ingredients, "joint").update


def tiny_step(
    dtype: str = "float32",
    tasks: dict[str, int] = CHANNELS,
    discriminator_weight: float = 0.3,
    placement: Placement | None = None,
    **model,
) -> Steps:
    """Updates of a tiny network; `tasks` maps names to channels, `model` has its settings."""
    discriminator = DiscriminatorConfig(weight=discriminator_weight, depth=1, kernel=3)
    records = tuple(
        golden_cases.task_record(name, channels, 0.95) for name, channels in tasks.items()
    )
    config = ModelConfig(decoder_width=32, dtype=dtype, **model)
    network = TinyNetwork(config, channels_by_name(records), discriminator)
    return step_of(network, records, discriminator_weight, placement)


def step_of(
    network: Network,
    tasks: tuple[Task, ...],
    discriminator_weight: float = 0.3,
    placement: Placement | None = None,
) -> Steps:
    """Updates of a network, with short schedules."""
    optimizer = OptimizerConfig(learning_rate=0.01)
    return Steps(
        Ingredients(
            Objective(network, tasks, discriminator_weight),
            Optimizer(optimizer, len(tasks)),
            poly_schedule(optimizer, steps_per_epoch=5, epochs=4),
            reversal_schedule(steps_per_epoch=5, epochs=4),
            placement=placement,
        )
    )


def in_parts(step: Steps, accumulate: int, placement: Placement | None = None) -> Steps:
    """The same updates, which take the batch in parts."""
    given = dataclasses.replace(step.ingredients, accumulate=accumulate, placement=placement)
    return Steps(given)


def of_layout(step: Steps, layout: Layout) -> Steps:
    """The same updates, of batches in which tasks have images of their own."""
    return Steps(dataclasses.replace(step.ingredients, layout=layout))


def training_only(step: Steps, names: list[str]) -> Steps:
    """Updates that train what these tasks own, and leave everything else alone."""
    tasks = TrainedTasks(step.network, names)
    records = tuple(task for task in step.objective.tasks if task.name in names)
    objective = Objective(tasks.alone, records, 0.0)
    given = dataclasses.replace(step.ingredients, objective=objective, trained_tasks=tasks)
    return Steps(given)


def random_state(step: Steps, seed: int = 0) -> TrainState:
    """State at step 0 with random values everywhere, so that nothing is equal by chance.

    In the dtype that the network computes in, at least float32. Nothing is compiled.
    """
    random = np.random.default_rng(seed)
    dtype = jnp.promote_types(step.network.config.compute_dtype, jnp.float32)

    def draw(path, leaf):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.zeros(leaf.shape, leaf.dtype)
        positive = getattr(path[-1], "key", None) in ("scale", "var")
        values = (
            random.uniform(0.5, 1.5, leaf.shape) if positive else random.normal(0, 0.2, leaf.shape)
        )
        return on_device(values, dtype)

    return jax.tree.map_with_path(draw, jax.eval_shape(step.init, jax.random.key(seed)))


def random_batch(step: Steps, size: int = 32, batch: int = 2, ignored=(), seed: int = 0):
    """Images and labels of the network's tasks; those of the tasks in `ignored` are all 255."""
    images, labels = golden_cases.data(seed, batch, size, step.network.channels)
    for name in ignored:
        labels[name] = np.full_like(labels[name], 255)
    dtype = jnp.promote_types(step.network.config.compute_dtype, jnp.float32)
    return {
        "image": on_device(images, dtype),
        "labels": {name: on_device(label, dtype) for name, label in labels.items()},
    }


def copied(tree):
    """NumPy copies, which outlive the donation of the arrays."""
    return jax.tree.map(lambda x: np.array(x, copy=True), tree)
