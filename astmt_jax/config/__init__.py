"""Every setting: frozen, checked records. All other rooms take them from here."""

from astmt_jax.config.evaluation import (
    CHOICES,
    DEFAULT,
    EVALUATION_PROTOCOLS,
    LIMITS,
    EvaluationConfig,
)
from astmt_jax.config.experiment import (
    DATA_DIR,
    FREE_TO_CHANGE,
    Config,
    DatasetConfig,
    check_field,
    complete,
    differences,
    from_config_dict,
    from_recorded,
    is_free_to_change,
    with_stride_in,
    with_trained_tasks,
)
from astmt_jax.config.model import (
    STRIDES_IN,
    DiscriminatorConfig,
    ModelConfig,
    check_discriminator,
)
from astmt_jax.config.training import (
    NORMALIZATIONS,
    AugmentationConfig,
    OptimizerConfig,
    TrainConfig,
)

__all__ = [
    "CHOICES",
    "DATA_DIR",
    "DEFAULT",
    "EVALUATION_PROTOCOLS",
    "FREE_TO_CHANGE",
    "LIMITS",
    "NORMALIZATIONS",
    "STRIDES_IN",
    "AugmentationConfig",
    "Config",
    "DatasetConfig",
    "DiscriminatorConfig",
    "EvaluationConfig",
    "ModelConfig",
    "OptimizerConfig",
    "TrainConfig",
    "check_discriminator",
    "check_field",
    "complete",
    "differences",
    "from_config_dict",
    "from_recorded",
    "is_free_to_change",
    "with_stride_in",
    "with_trained_tasks",
]
