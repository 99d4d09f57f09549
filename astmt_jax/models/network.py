"""The network: a trunk written for one task, run for one task or for all of them.

What each task owns (`TaskParam`, `TaskStat`) is stored stacked, with a leading axis of one entry a
task. Running one task takes a slice; running all is `jax.vmap` over that axis with everything else
broadcast, so that the shared convolutions see one batch of T * B images and whatever does not
depend on the task is computed once. Prediction layers differ in width, so they are a dict of small
layers behind the trunk.
"""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from astmt_jax.models import layers
from astmt_jax.models.config import DiscriminatorConfig, ModelConfig
from astmt_jax.models.decoder import DeepLabDecoder
from astmt_jax.models.discriminator import Discriminator
from astmt_jax.models.resnet import ResNet
from astmt_jax.tasks import Task

VARIABLE_TYPES = (
    layers.TaskParam,
    layers.TaskStat,
    layers.FrozenParam,
    nnx.Param,
    nnx.BatchStat,
)  # subclasses before their bases; exhaustive, so that a stray variable raises


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Params:
    """Trained variables, as nested dicts of arrays.

    Attributes:
      shared: used by every task.
      task: owned by each task; leading axis T, or none in the view of one task.
      heads: prediction layers by task name.
      discriminator: empty without a discriminator.
    """

    shared: dict
    task: dict
    heads: dict[str, dict]
    discriminator: dict


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Stats:
    """Variables that the optimizer does not train, as nested dicts of arrays.

    Attributes:
      shared: running statistics of shared batch norms.
      task: running statistics owned by each task; leading axis T, or none in one task's view.
      frozen: weights that are loaded but never trained.
    """

    shared: dict
    task: dict
    frozen: dict


def one_task(variables: Params | Stats, index: int | jax.Array) -> Params | Stats:
    """The view of one task: its slice of `task`; `index` may be traced."""
    return dataclasses.replace(variables, task=jax.tree.map(lambda x: x[index], variables.task))


class Trunk(nnx.Module):
    """Encoder and decoder: images to the features that the prediction layer reads."""

    def __init__(self, config: ModelConfig):
        self.encoder = ResNet(config)
        self.decoder = DeepLabDecoder(self.encoder.low_channels, self.encoder.high_channels, config)

    def __call__(self, images: jax.Array, *, train: bool) -> jax.Array:
        low, high = self.encoder(images, train=train)
        return self.decoder(low, high, train=train)


class Network:
    """Static description of a network; its variables are passed to every method.

    Args:
      config: architecture.
      tasks: in the order of the task axis.
      discriminator: its settings; None or weight 0 leaves it out.
    """

    def __init__(
        self,
        config: ModelConfig,
        tasks: tuple[Task, ...],
        discriminator: DiscriminatorConfig | None = None,
    ):
        self.config = config
        self.tasks = tasks
        self.names = tuple(task.name for task in tasks)
        self._trunk_graph = nnx.graphdef(nnx.eval_shape(self._new_trunk))
        self._head_graphs = {
            task.name: nnx.graphdef(nnx.eval_shape(partial(self._new_head, task))) for task in tasks
        }
        self._discriminator_config = None
        if discriminator is not None and discriminator.weight > 0 and len(tasks) > 1:
            self._discriminator_config = discriminator
            self._discriminator_graph = nnx.graphdef(nnx.eval_shape(self._new_discriminator))

    @property
    def has_discriminator(self) -> bool:
        """Whether gradients of several tasks are told apart; one task has nothing to tell."""
        return self._discriminator_config is not None

    def _new_trunk(self) -> Trunk:
        return Trunk(self.config)

    def _new_head(self, task: Task) -> layers.Conv:
        return layers.Conv(
            self.config.decoder_width,
            task.channels,
            1,
            use_bias=True,
            dtype=self.config.compute_dtype,
        )

    def _new_discriminator(self) -> Discriminator:
        # The gradients it reads are float32 at least, whatever the network computes in.
        dtype = jnp.promote_types(self.config.compute_dtype, jnp.float32)
        return Discriminator(
            self.config.decoder_width, len(self.tasks), self._discriminator_config, dtype
        )

    def init(self, key: jax.Array) -> tuple[Params, Stats]:
        """Initial variables in float32; `key` is a typed PRNG key."""
        task, task_stats, frozen, shared, shared_stats = nnx.split(
            self._new_trunk(), *VARIABLE_TYPES
        )[1:]
        heads = {record.name: nnx.state(self._new_head(record)) for record in self.tasks}
        discriminator = nnx.state(self._new_discriminator()) if self.has_discriminator else {}
        single = (shared, shared_stats, frozen, heads, discriminator)
        is_variable = lambda x: isinstance(x, nnx.Variable)  # noqa: E731
        variables, structure = jax.tree.flatten((single, (task, task_stats)), is_leaf=is_variable)
        num_single = len(jax.tree.leaves(single, is_leaf=is_variable))
        copies = [
            None if index < num_single else len(self.tasks) for index in range(len(variables))
        ]
        values = layers.draw_initial(variables, copies, key, self.config.conv_init)
        (shared, shared_stats, frozen, heads, discriminator), (task, task_stats) = jax.tree.map(
            nnx.to_pure_dict,
            structure.unflatten(values),
            is_leaf=lambda x: isinstance(x, nnx.State),
        )
        return (
            Params(shared=shared, task=task, heads=heads, discriminator=discriminator),
            Stats(shared=shared_stats, task=task_stats, frozen=frozen),
        )

    def task_features(
        self, params: Params, stats: Stats, images: jax.Array, *, train: bool
    ) -> tuple[jax.Array, Stats]:
        """Runs the trunk for one task, given as its view (see `one_task`).

        Args:
          params: view of one task.
          stats: view of one task.
          images: (B, H, W, 3) float32, scaled as the network was trained.
          train: use the batch's statistics and record them.

        Returns:
          Features (B, H/4, W/4, decoder_width) and the statistics after this batch.
        """
        trunk = nnx.merge(
            self._trunk_graph, params.task, stats.task, stats.frozen, params.shared, stats.shared
        )
        features = trunk(images, train=train)
        _, _, task, _, _, shared = nnx.split(trunk, *VARIABLE_TYPES)
        return features, dataclasses.replace(
            stats, task=nnx.to_pure_dict(task), shared=nnx.to_pure_dict(shared)
        )

    def features(
        self, params: Params, stats: Stats, images: jax.Array, *, train: bool
    ) -> tuple[jax.Array, Stats]:
        """Runs the trunk for all tasks at once.

        Returns:
          Features (T, B, H/4, W/4, decoder_width) and what each task alone would have left as
          statistics: `shared` has a leading task axis here, too.
        """

        def run(task_params, task_stats):
            return self.task_features(
                dataclasses.replace(params, task=task_params),
                dataclasses.replace(stats, task=task_stats),
                images,
                train=train,
            )

        features, new = jax.vmap(run, axis_size=len(self.tasks))(params.task, stats.task)
        return features, dataclasses.replace(new, frozen=stats.frozen)

    def logits(
        self, name: str, head: dict, features: jax.Array, size: tuple[int, int]
    ) -> jax.Array:
        """Prediction layer of task `name`: features (B, h, w, C) -> logits (B, *size, channels)."""
        prediction = nnx.merge(self._head_graphs[name], head)(features)
        return layers.resize_bilinear(prediction, size)

    def discriminate(self, discriminator: dict, gradients: jax.Array) -> jax.Array:
        """Unit-length gradients (B, h, w, C) -> logits over tasks (B, h, w, T)."""
        return nnx.merge(self._discriminator_graph, discriminator)(gradients)

    def predict(self, params: Params, stats: Stats, images: jax.Array, name: str) -> jax.Array:
        """Logits (B, H, W, channels) of one task, with running statistics."""
        index = self.names.index(name)
        features, _ = self.task_features(
            one_task(params, index), one_task(stats, index), images, train=False
        )
        return self.logits(name, params.heads[name], features, images.shape[1:3])

    def predict_all(self, params: Params, stats: Stats, images: jax.Array) -> dict[str, jax.Array]:
        """Logits (B, H, W, channels) of every task by name, with running statistics."""
        features, _ = self.features(params, stats, images, train=False)
        return {
            name: self.logits(name, params.heads[name], features[index], images.shape[1:3])
            for index, name in enumerate(self.names)
        }


def parameter_count(variables) -> int:
    """Number of scalars in a tree of arrays (or of their shapes)."""
    return sum(leaf.size for leaf in jax.tree.leaves(variables))
