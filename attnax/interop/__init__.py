"""Configurations, checkpoints and conventions of other libraries.

`rope_from_hf` makes the rotary embedding of a model from its Hugging Face
`config.json`, `ropes_by_length_from_hf` its ropes for rows of several lengths, and
`config_parts` lists the parts of the model that have one.
`params_from_checkpoint` reads the embedding of a model from a checkpoint, and
`checkpoint_from_params` writes it. `position_bias_from_hf` makes the position biases of
the layers of a model from its config, `position_bias_parts` lists its parts that have
some, and `position_bias_params_from_checkpoint` reads their parameters. `resampling`,
`sinusoid_options` and `grid_sinusoid_options` return the options with which released
models resize positions and make sinusoids. `multimodal_rule_from_hf` returns how a
model counts positions past images and videos.
"""

from ._checkpoints.api import checkpoint_from_params as checkpoint_from_params
from ._checkpoints.api import params_from_checkpoint as params_from_checkpoint
from ._checkpoints.position_biases import (
    position_bias_params_from_checkpoint as position_bias_params_from_checkpoint,
)
from ._checkpoints.record import EmbeddingCheckpoint as EmbeddingCheckpoint
from ._config.by_length import ropes_by_length_from_hf as ropes_by_length_from_hf
from ._config.rope import config_parts as config_parts
from ._config.rope import rope_from_hf as rope_from_hf
from ._config.rope import ropes_from_hf as ropes_from_hf
from ._position_biases.api import position_bias_from_hf as position_bias_from_hf
from ._position_biases.api import position_bias_parts as position_bias_parts
from ._position_biases.record import BiasTerm as BiasTerm
from ._position_biases.record import LayerBias as LayerBias
from ._position_biases.record import ModelBiases as ModelBiases
from ._options.grid_sinusoids import grid_sinusoid_options as grid_sinusoid_options
from ._options.multimodal import multimodal_rule_from_hf as multimodal_rule_from_hf
from ._options.resampling import resampling as resampling
from ._options.sinusoids import sinusoid_options as sinusoid_options
