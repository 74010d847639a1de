"""What `get_rope_index` of transformers returns, of classes without their weights."""

import functools
import importlib
import inspect
import itertools
from types import SimpleNamespace

import numpy as np

from .batches import END, IMAGE, SOUND, SOUND_START, START, VIDEO

OMNI, GLM_IMAGE = "qwen2_5_omni_thinker", "glm_image"
# The ids that some code looks for, in the config.
_IDS = {
    GLM_IMAGE: {"image_start_token_id": START, "image_end_token_id": END},
    OMNI: {
        "image_token_index": IMAGE,
        "video_token_index": VIDEO,
        "audio_token_index": SOUND,
        "audio_start_token_id": SOUND_START,
        "vision_start_token_id": START,
    },
}


def config_of(model_type, settings):
    """A config with some settings, and the ids that the code looks for."""
    from transformers import CONFIG_MAPPING

    config = CONFIG_MAPPING[model_type](**settings)
    for key, value in _IDS.get(model_type, {}).items():
        setattr(config, key, value)
    return config


def owner_of(model_type):
    """The class of a model type that has `get_rope_index`."""
    folder = model_type.removesuffix("_thinker")
    module = importlib.import_module(f"transformers.models.{folder}.modeling_{folder}")
    classes = vars(module).values()
    return next(c for c in classes if "get_rope_index" in getattr(c, "__dict__", {}))


def model_of(model_type, config):
    """An object with the config and the functions of positions of a model."""
    model = SimpleNamespace(config=config)
    if model_type == OMNI:
        model.spatial_merge_size = config.vision_config.spatial_merge_size
    for name, function in inspect.getmembers(owner_of(model_type), inspect.isfunction):
        if name.startswith("get_"):
            setattr(model, name, functools.partial(function, model))
    return model


def theirs(model_type, config, batch):
    """Positions `(batch, seq_len, 3)` and the delta of each sequence, as arrays."""
    given = _arguments(model_type, batch)
    positions, delta = model_of(model_type, config).get_rope_index(**given)
    positions = positions.movedim(0, -1).numpy().astype(np.int32)
    delta = delta[:, 0].numpy().astype(np.int32)
    if model_type == GLM_IMAGE:  # its delta is 0: it keeps the positions to come
        mask = batch["mask"]
        largest = np.where(mask[..., None], positions, -1).max((1, 2))
        delta = (largest + 1 - mask.sum(-1)).astype(np.int32)
    return {"positions": positions, "delta": delta}


def _arguments(model_type, batch):
    import torch

    tensors = {name: torch.tensor(array) for name, array in batch.items()}
    for name in ("token_ids", "image_grids", "video_grids"):
        tensors[name] = tensors[name].long()
    # Rows of zeros are padding of attnax alone.
    images, videos = (
        tensors[name][tensors[name].sum(-1) > 0]
        for name in ("image_grids", "video_grids")
    )
    seconds = tensors["seconds_per_grid"][: len(videos)]
    given = {
        "input_ids": tensors["token_ids"],
        "attention_mask": tensors["mask"].long(),
        "image_grid_thw": images,
    }
    if model_type == GLM_IMAGE:
        starts = (tensors["token_ids"] == START) & tensors["mask"]
        return given | {"images_per_sample": starts.sum(-1)}
    given["video_grid_thw"] = videos
    if model_type == OMNI:
        lengths = torch.tensor(_audio_lengths(batch))
        return given | {"audio_seqlens": lengths, "second_per_grids": seconds}
    if model_type == "qwen2_5_vl":
        given["second_per_grid_ts"] = seconds
    return given | {"mm_token_type_ids": tensors["token_types"]}


def _audio_lengths(batch):
    """Lengths of sounds, 4 for each token: ((4n - 1) // 2 - 1) // 2 + 1 is n."""
    runs = itertools.groupby(batch["token_ids"][batch["mask"]].tolist())
    return [4 * len(list(run)) for kind, run in runs if kind == SOUND]
