"""Compares positions of text, images and videos with the code of transformers.

    python -m conformance.positions                     # every model type
    python -m conformance.positions --only qwen3_vl     # one of them
    python -m conformance.positions --golden            # writes tests/golden

Needs `pip install -e ".[conformance]"`. The exit status is 1 if anything disagrees.
"""

import sys
from importlib.metadata import version

import numpy as np
from tqdm import tqdm

import attnax.functional as F
from attnax.interop import multimodal_rule_from_hf
from attnax.interop._options.multimodal import MULTIMODAL

from ..embeddings.records import Record, save
from ..embeddings.report import arguments
from .batches import END, IMAGE, SOUND, START, TEXT, VIDEO, WORD, random_batch
from .sources import GLM_IMAGE, OMNI, config_of, model_of, owner_of, theirs

CONFIGS, BATCHES, GOLDEN_BATCHES = 4, 12, 2
NAMES = [name for name in MULTIMODAL if name != "qwen2_5_omni"]  # it has the thinker
# Settings to draw from, of the vision part and of the whole config.
_MERGE = {"spatial_merge_size": (1, 2, 3)}
_VISION = {
    "qwen2_5_vl": _MERGE | {"tokens_per_second": (2, 4, 25)},
    "ernie4_5_vl_moe": _MERGE | {"temporal_merge_size": (1, 2, 3)},
    GLM_IMAGE: {},
}
_WHOLE = {OMNI: {"position_id_per_seconds": (13, 25)}}


def main():
    args = arguments("python -m conformance.positions", __doc__, NAMES)
    lines, kept, wrong = [], [], 0
    for model_type in tqdm(args.only, unit="model type"):
        records = list(records_of(model_type))
        differ = sum(not agrees(record) for record in records)
        kept += records[:GOLDEN_BATCHES]
        lines.append((model_type, len(records), differ))
    if GLM_IMAGE in args.only:
        lines.append(("images that glm_image makes", *images_to_come()))
    if args.golden:
        save("multimodal_positions", kept)
    for name, count, differ in lines:
        print(f"{name}: {count - differ} of {count} agreed")
        wrong += differ
    print(f"\n{sum(count for _, count, _ in lines)} batches: {wrong} disagreed")
    return int(wrong > 0)


def records_of(model_type):
    """Positions and deltas by the code of a model type, of random batches."""
    rng = np.random.default_rng(sum(map(ord, model_type)))
    kinds = [TEXT, IMAGE] + [VIDEO] * (model_type != GLM_IMAGE)
    kinds += [SOUND] * (model_type == OMNI)
    for number in range(CONFIGS):
        settings = _drawn(rng, model_type) if number else {}
        config, options = config_of(model_type, settings), {"model_type": model_type}
        rule = multimodal_rule_from_hf({**options, **settings})
        if multimodal_rule_from_hf(config.to_dict()) != rule:
            raise SystemExit(f"the defaults of {model_type} are not those of its class")
        owner = owner_of(model_type).__name__
        source = f"transformers {version('transformers')} {owner}.get_rope_index"
        for index in range(BATCHES):
            batch = random_batch(rng, rule, kinds)
            batch |= theirs(model_type, config, batch)
            name = f"{model_type} {number} {index}"
            yield Record(name, source, {**options, **settings}, batch)


def agrees(record):
    """Whether attnax has the same positions at every token, and the same deltas."""
    rule, arrays = multimodal_rule_from_hf(record.options), record.arrays
    names = ["mask", "image_grids", "video_grids"]
    names += ["seconds_per_grid"] * (rule.positions_per_second is not None)
    positions, delta = F.multimodal_positions(
        rule, arrays["token_types"], **{name: arrays[name] for name in names}
    )
    mask = arrays["mask"]
    same = np.array_equal(np.asarray(positions)[mask], arrays["positions"][mask])
    return same and np.array_equal(delta, arrays["delta"])


def images_to_come():
    """How often images that GLM-Image makes were compared, and how often they differ.

    Its prompt has the grids of images to come after those in it, the last one first.
    """
    import torch

    rng, differ, config = np.random.default_rng(0), 0, config_of(GLM_IMAGE, {})
    rule = multimodal_rule_from_hf({"model_type": GLM_IMAGE})
    for _ in range(BATCHES):
        sizes = [rng.integers(1, 5, (rng.integers(least, 4), 2)) for least in (0, 1)]
        grids, to_come = ([(1, *size) for size in part.tolist()] for part in sizes)
        prompt, later = [WORD, WORD], []
        for _, rows, columns in grids:
            prompt += [START, *[IMAGE] * (rows * columns), END, WORD]
        for _, rows, columns in to_come:
            later += [IMAGE] * (rows * columns)
        # Of one shape in all calls: 6 images of at most 16 tokens.
        types = np.array(
            [kind if kind == IMAGE else TEXT for kind in [*prompt, *later]]
        )
        types = np.pad(types, (0, 120 - len(types)))
        padded = np.pad(grids + to_come, ((0, 6 - len(grids + to_come)), (0, 0)))
        positions, _ = F.multimodal_positions(rule, types, image_grids=padded)
        positions = positions[len(prompt) : len(prompt) + len(later) + 1]
        model, known = model_of(GLM_IMAGE, config), torch.tensor(grids + to_come[::-1])
        count = torch.tensor([len(known)])
        model.get_rope_index(torch.tensor([prompt]), known, count)
        expected = model._cached_decode_position_ids[0].numpy().T
        differ += not np.array_equal(positions, expected)
    return BATCHES, differ


def _drawn(rng, model_type):
    """Settings that are drawn."""
    draw = lambda choices: {key: int(rng.choice(few)) for key, few in choices.items()}
    vision = draw(_VISION.get(model_type, _MERGE))
    return {"vision_config": vision, **draw(_WHOLE.get(model_type, {}))}


if __name__ == "__main__":
    sys.exit(main())
