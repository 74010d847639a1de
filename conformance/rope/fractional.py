"""Classes whose angles are no multiples of integer positions, or are no rotations.

`rope_from_hf` refuses each of them. Where attnax has something else for it, that is
compared, and where there is nothing to rotate by, that is shown.
"""

import math

import jax.numpy as jnp
import numpy as np
import torch

import attnax.functional as F
from attnax.interop import rope_from_hf

from . import configs
from .attentions import rotations
from .compare import AGREED, DISAGREED, NOT_APPLICABLE, excess
from .coordinates import rows_first
from .irregular import result
from .recorder import as_numpy
from .skeletons import bounded, skeleton
from .sources import source_of


def refusal(config, *, without=None):
    """Status and note for a configuration that must be refused.

    `without` is the key of a language model to leave out, whose rope would be meant.
    """
    raw = configs.as_dict(config)
    raw.pop(without, None)
    try:
        rope = rope_from_hf(raw, seq_len=1)
    except ValueError as error:
        return NOT_APPLICABLE, str(error)
    return DISAGREED, f"must be refused, but is {rope}"


def _close(actual, expected, tolerance, name):
    """Status and note for two arrays."""
    error = float(np.abs(np.asarray(actual) - np.asarray(expected)).max())
    status = AGREED if error <= tolerance else DISAGREED
    return status, f"{name} {error / tolerance:.2g}"


DINOV3 = {
    "DINOv3ViTConfig": ("DINOv3ViTRopePositionEmbedding", "DINOv3ViTAttention"),
    "Sapiens2Config": ("Sapiens2RopePositionEmbedding", "Sapiens2Attention"),
    "EomtDinov3Config": ("EomtDinov3RotaryEmbedding", "EomtDinov3Attention"),
}


def dinov3():
    """Normalized coordinates of 5 x 7 patches after one token that does not rotate."""
    for config_name, (name, attention) in DINOV3.items():
        config = configs.classes()[config_name]()
        source = source_of(config.model_type)
        yield result(source, name, config, *refusal(config))
        patch = np.broadcast_to(config.patch_size, 2)
        rotary = skeleton(getattr(source.module, name), config)
        cos_sin = rotary(torch.zeros(1, 3, *(int(5 * patch[0]), int(7 * patch[1]))))
        module = skeleton(getattr(source.module, attention), config)
        made = rotations(source, module, cos_sin, None, 1 + 5 * 7)
        status, note = _normalized(config, made)
        yield result(source, name, config, status, note)


def _normalized(config, made):
    base = getattr(config, "rope_theta", None) or config.rope_parameters["rope_theta"]
    coordinates = F.normalized_coordinates((5, 7))
    _, before, after = made[0]
    before, after = as_numpy(before), as_numpy(after)
    cos, sin = F.normalized_cos_sin(coordinates, before.shape[-1], base=base)
    rotated = F.apply_rope(jnp.asarray(before[1:]), cos, sin)
    # An angle below 7 of a few float32 roundings, and the class token as it was.
    tolerance = 7 * 4e-7 + 2e-6
    actual = np.concatenate([before[:1], rotated])
    return _close(actual, after, tolerance, "normalized_cos_sin on 5 x 7:")


def sam3():
    """Layers without windows: the grid of a window, stretched over the image."""
    source = source_of("sam3")
    config = configs.classes()["Sam3ViTConfig"]()
    layer = skeleton(source.module.Sam3ViTLayer, config)
    positions = layer.position_ids[::397]
    cos_sin = layer.rotary_emb(torch.zeros(1), positions)
    made = rotations(source, layer.attention, cos_sin, None, len(positions))
    rope = rope_from_hf(configs.as_dict(config))
    rows = rows_first(config.model_type, as_numpy(positions))
    cos, sin = F.rotary_cos_sin(rope, rows, numerics="float32")
    status, note = _applied(made, cos, sin, rope.layout)
    note = f"thirds of positions: {note}"
    yield result(source, "Sam3ViTRotaryEmbedding", config, status, note)


def hunyuan_vl():
    """A rotation where all axes are equal, and elsewhere none: pairs change length."""
    source = source_of("hunyuan_vl")
    parameters = {
        "rope_type": "dynamic",
        "factor": 1.0,
        "alpha": 1000.0,
        "rope_theta": 10_000.0,
        "mrope_section": [16, 16, 16, 16],
    }
    more = {"head_dim": 128, "rope_parameters": parameters}
    config = configs.classes()["HunYuanVLTextConfig"](**more)
    name = "HunYuanVLRotaryEmbedding"
    yield result(source, name, config, *refusal(config), more=more)
    rotary = skeleton(getattr(source.module, name), config)
    module = skeleton(source.module.HunYuanVLDenseV1Attention, config)
    line = torch.tensor([0, 1, 2, 5, 31, 127, 513, 1000, 3, 7, 64, 999, 40])
    equal = torch.stack([line] * 4)[:, None]
    made = rotations(source, module, rotary(torch.zeros(1), equal), None, len(line))
    inv_freq = F.ntk_inv_freq(128, parameters["rope_theta"], factor=parameters["alpha"])
    _, before, after = made[0]
    error = excess(F.Rope(inv_freq), line, before, after)
    status = AGREED if error <= 1 else DISAGREED
    note = f"equal axes, ntk_inv_freq: {error:.2g}"
    yield result(source, name, config, status, note, more=more)
    axes = torch.stack([line.roll(i) for i in range(4)])[:, None]
    made = rotations(source, module, rotary(torch.zeros(1), axes), None, len(line))
    yield result(source, name, config, *_no_rotation(made), more=more)


def vjepa2():
    """No rotation: the two channels of a pair turn by different frequencies."""
    source = source_of("vjepa2")
    config = configs.classes()["VJEPA2Config"]()
    name = "VJEPA2RopeAttention"
    yield result(source, name, config, *refusal(config))
    module = skeleton(source.module.VJEPA2RopeAttention, config)
    made = rotations(source, module, None, None, 600)
    yield result(source, name, config, *_no_rotation(made))


def _no_rotation(made):
    """Status and note: vectors must change their length by more than rounding."""
    _, before, after = made[0]
    lengths = [np.linalg.norm(as_numpy(x), axis=-1) for x in (before, after)]
    change = float(np.abs(lengths[1] / lengths[0] - 1).max())
    status = AGREED if change > 1e-3 else DISAGREED
    return status, f"no rotation: vectors change their length by up to {change:.0%}"


def lightglue():
    """Angles are learned from keypoints: cos and sin are theirs, pairs interleaved."""
    source = source_of("lightglue")
    config = configs.classes()["LightGlueConfig"]()
    name = "LightGluePositionalEncoder"
    yield result(source, name, config, *refusal(config))
    encoder = skeleton(getattr(source.module, name), config)
    with torch.no_grad():
        (cos_sin,) = encoder(bounded(1, 13, 2))
    module = skeleton(source.module.LightGlueAttention, config)
    made = rotations(source, module, cos_sin, None, 13)
    cos, sin = (as_numpy(t)[..., ::2] for t in cos_sin)
    yield result(source, name, config, *_applied(made, cos, sin, "interleaved"))


def esmfold2():
    """Coordinates of atoms and an index of their molecule, as four axes."""
    source = source_of("esmfold2")
    config = configs.classes()["EsmFold2AtomEncoderConfig"]()
    name = "EsmFold2RotaryEmbedding"
    yield result(source, name, config, *refusal(config))
    positions, molecules = 20 * bounded(1, 13, 3), torch.arange(13)[None] * 7
    rotary = skeleton(getattr(source.module, name), config)
    cos_sin = rotary(positions, molecules, torch.float32)
    whole = configs.classes()["EsmFold2Config"]()
    module = skeleton(source.module.EsmFold2AtomAttention, whole, config)
    made = rotations(source, module, cos_sin, None, 13)
    coordinates = [as_numpy(positions), as_numpy(molecules)[..., None]]
    inv_freq, axes = _atoms(config)
    cos, sin = F.rope_cos_sin(
        jnp.concatenate(coordinates, axis=-1),
        inv_freq,
        axis_of_pair=axes,
        numerics="float32",
    )
    yield result(source, name, config, *_applied(made, cos, sin, "half"))


def _atoms(config):
    """Frequencies and axes: three spatial, one of molecules, and pairs that rest."""
    spatial, molecules = (
        config.num_spatial_rope_pairs_per_axis,
        config.num_uid_rope_pairs,
    )
    powers = lambda base, count: [base ** -(i / count) for i in range(count)]
    turning = powers(config.spatial_rope_base_frequency, spatial) * 3
    turning += powers(config.uid_rope_base_frequency, molecules)
    pairs = config.head_dim // 2
    inv_freq = np.array(turning + [0.0] * (pairs - len(turning)))
    axes = [i // spatial for i in range(3 * spatial)]
    return inv_freq, axes + [3] * (pairs - len(axes))


def musicflamingo():
    """Time stamps times the window and times the step, as two axes."""
    source = source_of("musicflamingo")
    config = configs.classes()["MusicFlamingoConfig"]()
    name = "MusicFlamingoRotaryEmbedding"
    yield result(source, name, config, *refusal(config, without="text_config"))
    rotary = skeleton(getattr(source.module, name), config)
    steps, longest = torch.arange(13), config.max_position_embeddings
    times = torch.stack([steps * 0.04, 30 + steps * 0.04])
    cos_sin = rotary(times, seq_len=13)
    x = bounded(2, 13, 2 * cos_sin[0].shape[-1])
    made = [("", x, source.module.apply_rotary_time_emb(x, *cos_sin))]
    window = torch.round(times[:, :1] / (config.audio_frame_step * 4 * 13))
    windows = -2 * math.pi * times * window / longest
    moments = -2 * math.pi * times * 2 * math.pi * steps / longest
    inv_freq = np.tile(np.asarray(rotary.inv_freq, np.float64), 2)
    cos, sin = F.rope_cos_sin(
        jnp.asarray(np.stack([as_numpy(windows), as_numpy(moments)], -1)),
        inv_freq,
        axis_of_pair=np.repeat([0, 1], inv_freq.size // 2).tolist(),
        numerics="float32",
    )
    yield result(source, name, config, *_applied(made, cos, sin, "interleaved"))


def _applied(made, cos, sin, layout):
    """Status and note of a rotation by cos and sin, in units of 2e-5."""
    _, before, after = made[0]
    cos, sin = (jnp.asarray(t).reshape(*before.shape[:-1], -1) for t in (cos, sin))
    rotated = F.apply_rope(jnp.asarray(as_numpy(before)), cos, sin, layout=layout)
    size = max(1.0, float(before.abs().max()))
    # Both form products below 100 in float32.
    return _close(rotated, as_numpy(after), 2e-5 * size, "rope_cos_sin, apply_rope:")


CASES = (dinov3, sam3, hunyuan_vl, vjepa2, lightglue, esmfold2, musicflamingo)
