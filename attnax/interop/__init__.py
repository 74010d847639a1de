"""Foreign configurations and checkpoints.

`rope_from_hf` reads the rotary embedding of a model from its Hugging Face
`config.json`.
"""

from ._hf_rope import rope_from_hf as rope_from_hf
from ._hf_rope import ropes_from_hf as ropes_from_hf
from ._resize_options import resize_options as resize_options
from ._sinusoid_options import grid_sinusoid_options as grid_sinusoid_options
from ._sinusoid_options import sinusoid_options as sinusoid_options
