"""The backbones by name; a new family is one module beside this one, and its lines in the table."""

from astmt_jax.config import ModelConfig
from astmt_jax.models.efficientnet_lite import EFFICIENTNET_LITE
from astmt_jax.models.family import Backbone
from astmt_jax.models.mobilenet import MOBILENET_V2
from astmt_jax.models.resnet import RESNET
from astmt_jax.plugins import Registry
from astmt_jax.records import check_choice

_OWN = {
    "resnet14": Backbone(RESNET, (1, 1, 1, 1)),  # not in the paper: for laptops
    "resnet26": Backbone(RESNET, (2, 2, 2, 2)),
    "resnet50": Backbone(RESNET, (3, 4, 6, 3)),
    "resnet101": Backbone(RESNET, (3, 4, 23, 3)),
    "mobilenetv2": Backbone(MOBILENET_V2, (1, 2, 3, 4, 3, 3, 1)),
    "efficientnet_lite0": Backbone(EFFICIENTNET_LITE, (1, 2, 2, 3, 3, 4, 1)),  # nor is this one
}
BACKBONES: Registry[Backbone] = Registry("backbone", Backbone, _OWN)
"""Name -> record: our own, and those of plugins."""

ADAPTERS = ("encoder_adapters", "decoder_adapters")
"""Fields of `ModelConfig` that families without adapters do not have."""


def add_backbone(name: str, backbone: Backbone) -> None:
    """Adds a backbone, for plugins; a `plugins.PluginError` if it is none, or its name is taken."""
    BACKBONES.add(name, backbone)


def find(config: ModelConfig) -> Backbone:
    """The backbone that the settings name.

    Raises:
      ValueError: there is none of that name, of that width, or with adapters, in one sentence.
    """
    check_choice("model.backbone", config.backbone, BACKBONES)
    backbone = BACKBONES[config.backbone]
    family = backbone.family
    narrowest = family.narrowest * config.width_multiplier
    # Squeeze-and-excitation leaves a quarter of the narrowest layer's channels.
    if narrowest < 4 or narrowest % 4:
        raise ValueError(
            f"model.width_multiplier is {config.width_multiplier}, which gives the narrowest "
            f"layers {narrowest:g} channels, but that must be a positive multiple of 4 "
            f"(1.0 gives {family.narrowest})."
        )
    for field in ADAPTERS:
        if getattr(config, field) and not family.has_adapters:
            raise ValueError(
                f"model.{field} is True, but {config.backbone} has no adapters: set it to False."
            )
    return backbone
