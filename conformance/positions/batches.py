"""Random batches of text, images, videos and sound, with padding."""

import numpy as np

# Of every batch, so that few programs are compiled.
BATCH, LENGTH, NUM_GRIDS = 3, 64, 24
# The types of tokens, which stand for their ids too, and the ids of other tokens.
TEXT, IMAGE, VIDEO, SOUND, START, END, SOUND_START, SOUND_END, WORD = range(9)
_SECONDS = (0.1, 0.3, 0.7, 1, 1.7, 2.5)


def random_batch(rng, rule, kinds):
    """Sequences of random layouts, and their grids one after another.

    The first piece of a sequence is an image, which some code of others needs.
    """
    ids = np.full((BATCH, LENGTH), WORD, np.int32)
    mask = np.zeros((BATCH, LENGTH), bool)
    grids = {IMAGE: [], VIDEO: []}
    for row in range(BATCH):
        tokens = _random_sequence(rng, rule, kinds, grids)
        places = np.sort(rng.permutation(LENGTH)[: len(tokens)])
        if rng.random() < 0.7:  # padding at the ends, not anywhere
            start = rng.integers(LENGTH - len(tokens) + 1)
            places = start + np.arange(len(tokens))
        ids[row, places], mask[row, places] = tokens, True
    num_videos = len(grids[VIDEO])
    seconds = np.zeros(NUM_GRIDS, np.float32)
    seconds[:num_videos] = rng.choice(_SECONDS, num_videos)
    return {
        "token_ids": ids,
        "token_types": np.where((ids <= SOUND) & mask, ids, TEXT),
        "mask": mask,
        "image_grids": _padded(grids[IMAGE]),
        "video_grids": _padded(grids[VIDEO]),
        "seconds_per_grid": seconds,
    }


def _random_sequence(rng, rule, kinds, grids):
    """The ids of a sequence, whose grids go to the others."""
    tokens, kind = [], IMAGE
    while True:
        sizes = rng.integers(1, 5, 3)
        sizes[0] = sizes[0] if kind == VIDEO else 1
        piece = _piece(rng, rule, kind, *sizes.tolist())
        if len(tokens) + len(piece) > LENGTH - 4:
            return tokens
        tokens += piece
        if kind in grids:
            frames = rule.temporal_merge_size if kind == VIDEO else 1
            grids[kind].append(sizes * (frames, rule.merge_size, rule.merge_size))
        kind = int(rng.choice(kinds))


def _piece(rng, rule, kind, frames, rows, columns):
    """The ids of some text, of an image, of a video or of sound."""
    words = [WORD] * int(rng.integers(4))
    if kind == TEXT:
        return [WORD, *words]
    if kind == SOUND:
        sound = [SOUND] * int(rng.integers(1, 9))
        return [*words, SOUND_START, *sound, SOUND_END]
    if kind == VIDEO and rule.separate_frames:
        return [*words, *[START, *[kind] * (rows * columns), END] * frames]
    return [*words, START, *[kind] * (frames * rows * columns), END]


def _padded(grids):
    """Grids with rows of zeros after them."""
    array = np.zeros((NUM_GRIDS, 3), np.int32)
    array[: len(grids)] = np.reshape(grids, (-1, 3))
    return array
