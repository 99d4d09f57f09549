"""The network: a trunk written for one task, run for one task or for all of them.

What each task owns (`TaskParam`, `TaskStat`) is stored stacked, with a leading axis of one entry a
task. Running one task takes a slice; running all is `jax.vmap` over that axis with everything else
broadcast, so that the shared convolutions see one batch of T * B images and whatever does not
depend on the task is computed once. Prediction layers differ in width, so they are a dict of small
layers after the trunk.
"""

import dataclasses
from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx

from astmt_jax.config import DiscriminatorConfig, ModelConfig, check_discriminator
from astmt_jax.models import families, layers
from astmt_jax.models.decoder import DeepLabDecoder, PredictionLayer
from astmt_jax.models.discriminator import Discriminator
from astmt_jax.models.family import Backbone, Encoder
from astmt_jax.models.freezing import freeze_shared
from astmt_jax.models.initialization import INITIAL_DEVIATIONS, draw_initial
from astmt_jax.models.rematerialization import REMATERIALIZATIONS
from astmt_jax.models.uber import EncoderFeatures, UberHead
from astmt_jax.models.variables import (
    FrozenParam,
    Params,
    Stats,
    TaskParam,
    TaskStat,
    one_task,
    slice_of_task,
)
from astmt_jax.records import check_choice

# Of each decoder, what belongs to the trunk and what each task has of its own.
DECODERS = {"deeplab": (DeepLabDecoder, PredictionLayer), "uber": (EncoderFeatures, UberHead)}
VARIABLE_TYPES = (
    TaskParam,
    TaskStat,
    FrozenParam,
    nnx.Param,
    nnx.BatchStat,
)  # subclasses before their bases; exhaustive, so that a stray variable raises


class Trunk(nnx.Module):
    """Encoder and decoder: images to the features that the heads read.

    These are one array (B, H/4, W/4, decoder_width); with the 'uber' decoder, which is part of the
    heads, they are the encoder's low- and high-level features.
    """

    def __init__(self, config: ModelConfig, backbone: Backbone):
        self.encoder: Encoder = backbone.family.encoder(config, backbone.blocks)
        self.decoder = DECODERS[config.decoder][0](config, backbone.family)

    def __call__(self, images: jax.Array, *, train: bool):
        low, high = self.encoder(images, train=train)
        return self.decoder(low, high, train=train)


class Network:
    """Static description of a network; its variables are passed to every method.

    Args:
      config: architecture.
      channels: task name -> number of logits a pixel, in the order of the task axis.
      discriminator: its settings; None or weight 0 leaves it out.
      shared_is_frozen: makes what tasks share of the trunk constants of training: its weights are
        in `Stats.frozen`, and `Params.shared` is empty (see `freeze_shared`).

    Raises:
      ValueError: there is no such network, in one sentence.
    """

    def __init__(
        self,
        config: ModelConfig,
        channels: Mapping[str, int],
        discriminator: DiscriminatorConfig | None = None,
        shared_is_frozen: bool = False,
    ):
        if discriminator is not None:
            check_discriminator(config, discriminator)
        check_choice("model.conv_init", config.conv_init, INITIAL_DEVIATIONS)
        check_choice("model.remat", config.remat, REMATERIALIZATIONS)
        if jax.dtypes.canonicalize_dtype(config.compute_dtype) != config.compute_dtype:
            raise ValueError(
                f"model.dtype is {config.dtype!r}, in which JAX computes only if the environment "
                "has JAX_ENABLE_X64=1."
            )
        self.backbone = families.find(config)
        self.config = config
        self.channels = dict(channels)
        self.names = tuple(channels)
        self._shared_is_frozen = shared_is_frozen
        self._trunk_graph = nnx.graphdef(nnx.eval_shape(self._declared_trunk))
        self._head_graphs = {
            name: nnx.graphdef(nnx.eval_shape(partial(self._new_head, name))) for name in channels
        }
        self._discriminator_config = None
        if discriminator is not None and discriminator.weight > 0 and len(channels) > 1:
            self._discriminator_config = discriminator
            new = partial(self._new_discriminator, discriminator)
            self._discriminator_graph = nnx.graphdef(nnx.eval_shape(new))

    @property
    def has_discriminator(self) -> bool:
        """Whether gradients of several tasks are told apart; one task has nothing to tell."""
        return self._discriminator_config is not None

    def fewest_positions(self, image_size: int) -> int:
        """Positions of a square image in the smallest map that a batch norm sees in training."""
        if DECODERS[self.config.decoder][0].pools:
            return 1
        return (image_size // self.config.output_stride) ** 2

    def _declared_trunk(self) -> Trunk:
        trunk = self._new_trunk()
        if self._shared_is_frozen:
            freeze_shared(trunk)
        return trunk

    def _new_trunk(self) -> Trunk:
        return Trunk(self.config, self.backbone)

    def _new_head(self, name: str) -> nnx.Module:
        head = DECODERS[self.config.decoder][1]
        return head(self.channels[name], self.config, self.backbone.family)

    def _new_discriminator(self, config: DiscriminatorConfig) -> Discriminator:
        # The gradients it reads are float32 at least, whatever the network computes in.
        dtype = jnp.promote_types(self.config.compute_dtype, jnp.float32)
        return Discriminator(self.config.decoder_width, len(self.names), config, dtype)

    def init(self, key: jax.Array) -> tuple[Params, Stats]:
        """Initial variables in float32; `key` is a typed PRNG key."""
        task, task_stats, frozen, shared, shared_stats = _declared(
            self._declared_trunk(), *VARIABLE_TYPES
        )
        heads, head_stats = {}, {}
        for name in self.names:
            heads[name], head_stats[name] = _declared(
                self._new_head(name), nnx.Param, nnx.BatchStat
            )
        discriminator = {}
        if self._discriminator_config is not None:
            new = self._new_discriminator(self._discriminator_config)
            (discriminator,) = _declared(new, nnx.Param)
        declared = (
            Params(shared=shared, task=task, heads=heads, discriminator=discriminator),
            Stats(shared=shared_stats, task=task_stats, heads=head_stats, frozen=frozen),
        )
        return draw_initial(declared, len(self.names), key, self.config.conv_init)

    def trunk(self, params: Params, stats: Stats) -> Trunk:
        """The trunk with the variables of one task's view (see `one_task`), as a module."""
        return nnx.merge(
            self._trunk_graph, params.task, stats.task, stats.frozen, params.shared, stats.shared
        )

    def task_features(self, params: Params, stats: Stats, images: jax.Array, *, train: bool):
        """Runs the trunk for one task, given as its view (see `one_task`).

        Args:
          params: view of one task.
          stats: view of one task.
          images: (B, H, W, 3) float32, scaled as the network was trained.
          train: use the batch's statistics and record them.

        Returns:
          The trunk's features (see `Trunk`), and the statistics after this batch.
        """
        trunk = self.trunk(params, stats)
        features = trunk(images, train=train)
        _, _, task, _, _, shared = nnx.split(trunk, *VARIABLE_TYPES)
        return features, dataclasses.replace(
            stats, task=nnx.to_pure_dict(task), shared=nnx.to_pure_dict(shared)
        )

    def features(self, params: Params, stats: Stats, images: jax.Array, *, train: bool):
        """Runs the trunk for all tasks at once.

        Returns:
          The trunk's features (see `Trunk`) with a leading task axis, and what each task alone
          would have left as statistics: `shared` has a leading task axis here, too.
        """

        def run(task_params, task_stats):
            features, new = self.task_features(
                dataclasses.replace(params, task=task_params),
                dataclasses.replace(stats, task=task_stats),
                images,
                train=train,
            )
            return features, new.task, new.shared

        features, task, shared = jax.vmap(run, axis_size=len(self.names))(params.task, stats.task)
        return features, dataclasses.replace(stats, task=task, shared=shared)

    def head_features(
        self, name: str, head: dict, head_stats: dict, features, *, train: bool
    ) -> tuple[jax.Array, dict]:
        """What the head of task `name` makes of the trunk's features before its prediction layer.

        Args:
          name: of the task.
          head: its parameters.
          head_stats: its statistics.
          features: the trunk's for this task.
          train: use the batch's statistics and record them.

        Returns:
          Features (B, h, w, C), with one decoder for all tasks the trunk's own, and the head's
          statistics after this batch.
        """
        module = nnx.merge(self._head_graphs[name], head, head_stats)
        features = module.features(features, train=train)
        return features, nnx.to_pure_dict(nnx.state(module, nnx.BatchStat))

    def logits(
        self, name: str, head: dict, head_stats: dict, features: jax.Array, size: tuple[int, ...]
    ) -> jax.Array:
        """Prediction layer of task `name`: its features (B, h, w, C) -> `(B, *size, channels)`."""
        prediction = nnx.merge(self._head_graphs[name], head, head_stats)(features)
        return layers.resize_bilinear(prediction, size)

    def discriminate(self, discriminator: dict, gradients: jax.Array) -> jax.Array:
        """Unit-length gradients (B, h, w, C) -> logits over tasks (B, h, w, T)."""
        return nnx.merge(self._discriminator_graph, discriminator)(gradients)

    def task_logits(self, params: Params, stats: Stats, images: jax.Array, name: str) -> jax.Array:
        """Logits (B, H, W, channels) of one task, with running statistics."""
        index = self.names.index(name)
        view = one_task(params, index), one_task(stats, index)
        features, _ = self.task_features(*view, images, train=False)
        return self.head_logits(features, name, params, stats, images.shape[1:3])

    def all_logits(self, params: Params, stats: Stats, images: jax.Array) -> dict[str, jax.Array]:
        """Logits (B, H, W, channels) of every task by name, with running statistics."""
        features, _ = self.features(params, stats, images, train=False)
        size = images.shape[1:3]
        return {
            name: self.head_logits(slice_of_task(features, index), name, params, stats, size)
            for index, name in enumerate(self.names)
        }

    def head_logits(
        self, features, name: str, params: Params, stats: Stats, size: tuple[int, ...]
    ) -> jax.Array:
        """Logits `(B, *size, channels)` that a task's head makes of the trunk's features."""
        head, head_stats = params.heads[name], stats.heads[name]
        features, _ = self.head_features(name, head, head_stats, features, train=False)
        return self.logits(name, head, head_stats, features, size)


def _declared(module: nnx.Module, *types: type[nnx.Variable]) -> list[dict]:
    """The variables of a module, which are of these types, as a nested dict for each type."""
    _, *states = nnx.split(module, *types)
    return [nnx.to_pure_dict(state, lambda variable: variable) for state in states]
