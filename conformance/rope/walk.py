"""Every rotary class of the installed transformers, with every configuration it gets.

The class makes cos and sin, an attention of the model rotates queries and keys with
them, and attnax does the same from the configuration alone.
"""

import torch

from . import configs
from .attentions import attentions, rotations
from .compare import DISAGREED, Observation, Result
from .rotary import cos_sin_of, positions_of
from .skeletons import skeleton

TEXT = (0, 1, 2, 5, 31, 127, 513, 1000, 3, 7, 64, 999, 40)
# Classes that no longer do in transformers 5.23 what the released model and 4.57 do.
LOST = {"PhimoeRotaryEmbedding": lambda rotary, length: _with_length(rotary, length)}
# Layer types whose attentions get no cos and sin from the model.
WITHHELD = {
    "MuseGlimmerTextConfig": ("full_attention",),
    "MuseSparkTextConfig": ("full_attention",),
}


def observe(subject, config=None, raw=None, label=None, line=TEXT):
    """Yields what each attention of a subject does to its queries and keys.

    Where something fails, it yields a line that disagrees instead. The configuration is
    the default one, unless `config` is given with the `raw` dict that attnax reads.
    """
    names = {
        "family": subject.source.family,
        "name": subject.name or subject.user.__name__,
        "config": label or configs.label(subject.config_class),
        "layer_type": None,
    }
    failed = lambda error: Result(**names, status=DISAGREED, note=short(error))
    try:
        config = config or configs.default(subject.config_class)
        model = skeleton(subject.user, config)
    except Exception as error:
        yield failed(error)
        return
    rotary = None
    if subject.name is not None:
        rotary = next(m for m in model.modules() if type(m).__name__ == subject.name)
        config = rotary.config
        if subject.name in LOST:
            LOST[subject.name](rotary, max(line) + 1)
    raw = raw or configs.as_dict(config)
    for layer_type, module in attentions(subject.source, model, config):
        names["layer_type"] = layer_type
        try:
            seen = _seen(subject, rotary, layer_type, module, line)
            yield Observation(**names, raw=raw, **seen)
        except Exception as error:
            yield failed(error)


def _with_length(rotary, length):
    """Passes the length by which LongRoPE chooses its factors."""
    by_length = rotary.rope_init_fn
    rotary.rope_init_fn = lambda config: by_length(config, seq_len=length)


def _seen(subject, rotary, layer_type, module, line):
    torch.manual_seed(0)
    given, positions = positions_of(rotary, line)
    cos_sin = cos_sin_of(rotary, given, layer_type)
    settings = {"count": len(positions)}
    made = rotations(subject.source, module, cos_sin, given, len(line), **settings)
    functions = "/".join(dict.fromkeys(function for function, _, _ in made))
    return {
        "positions": positions.numpy(),
        "made": made,
        "note": f"{type(module).__name__}: {functions or 'does not rotate'}",
        "layer": getattr(module, "layer_idx", None),
        "withheld": layer_type in WITHHELD.get(subject.config_class.__name__, ()),
    }


def short(error):
    """The text of an error in one line."""
    text = " ".join(str(error).split())
    return f"fails: {type(error).__name__}: {text[:150]}"
