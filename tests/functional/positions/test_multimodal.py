import dataclasses

import jax
import numpy as np
import pytest
from helpers import assert_same_bits, jitted, refused
from hypothesis import given, settings
from hypothesis import strategies as st

import attnax.functional as F
from attnax.functional._positions.multimodal.faults import check_known
from attnax.interop import multimodal_rule_from_hf
from conformance.embeddings.records import load
from conformance.positions.batches import IMAGE, SOUND, VIDEO, random_batch

GOLDEN = load("multimodal_positions")
# Those of the golden values, so that each is compiled once.
RULES = {
    "qwen2_vl": F.MultimodalRule(2),
    "qwen2_5_vl": F.MultimodalRule(2, positions_per_second=4),
    "qwen3_vl": F.MultimodalRule(2, separate_frames=True),
    "ernie4_5_vl_moe": F.MultimodalRule(2, temporal_merge_size=2),
    "glm_image": F.MultimodalRule(1),
    "qwen2_5_omni_thinker": F.MultimodalRule(
        2, positions_per_second=25, advance="position"
    ),
}
NAMES = ("mask", "image_grids", "video_grids")
REFUSED = -(2**31)
positions_of = jitted(F.multimodal_positions)


def arguments(rule, batch):
    """The arguments after the rule; types of all tokens come first."""
    given = {name: batch[name] for name in NAMES}
    if rule.positions_per_second is not None:
        given["seconds_per_grid"] = batch["seconds_per_grid"]
    return batch["token_types"], given


def of(rule, batch):
    types, given = arguments(rule, batch)
    return [np.asarray(array) for array in positions_of(rule, types, **given)]


def count(rule, batch):
    """Token by token, with a queue of the places of the patches to come."""
    positions = np.zeros((*batch["mask"].shape, 3), np.int64)
    deltas = []
    grids = {
        kind: [grid for grid in batch[f"{name}_grids"].tolist() if any(grid)]
        for kind, name in ((IMAGE, "image"), (VIDEO, "video"))
    }
    seconds = list(batch["seconds_per_grid"])
    for row, mask in enumerate(batch["mask"]):
        following, start, places = 0, 0, {IMAGE: [], VIDEO: []}
        for token in np.flatnonzero(mask):
            kind = int(batch["token_types"][row, token])
            if kind not in places:
                positions[row, token] = following
                following += 1
                continue
            if not places[kind]:
                second = seconds.pop(0) if kind == VIDEO else 1.0
                places[kind] = places_in(rule, kind, grids[kind].pop(0), second)
            place, first, length = places[kind].pop(0)
            start = following if first else start
            positions[row, token] = start + np.array(place)
            following = start + length
        deltas.append(positions[row].max(initial=-1) + 1 - mask.sum())
    return positions, np.array(deltas)


def places_in(rule, kind, grid, second):
    """(time, row, column), whether counting starts there, and the steps after it."""
    frames, rows, columns = grid
    frames //= rule.temporal_merge_size if kind == VIDEO else 1
    rows, columns = rows // rule.merge_size, columns // rule.merge_size
    apart = rule.separate_frames and kind == VIDEO
    times = [time_of(rule, kind, frame, second) for frame in range(frames)]
    times = [0] * frames if apart else times
    length = max(rows, columns)
    if rule.advance == "position":
        length = max(length, times[-1] + 1)
    return [
        ((time, row, column), (row, column) == (0, 0) and (apart or frame == 0), length)
        for frame, time in enumerate(times)
        for row in range(rows)
        for column in range(columns)
    ]


def time_of(rule, kind, frame, second):
    """Products in float32, one after the other, in the order of each code."""
    if rule.positions_per_second is None:
        return frame
    if rule.advance == "position":
        return int(
            np.float32(frame)
            * np.float32(second)
            * np.float32(rule.positions_per_second)
        )
    rate = np.float32(rule.positions_per_second if kind == VIDEO else 1)
    return int(np.float32(frame) * (rate * np.float32(second)))


@pytest.mark.parametrize("record", GOLDEN, ids=lambda record: record.name)
def test_golden_values_of_transformers(record):
    rule = multimodal_rule_from_hf(record.options)
    assert rule in RULES.values()
    positions, delta = of(rule, record.arrays)
    mask = record.arrays["mask"]
    np.testing.assert_array_equal(positions[mask], record.arrays["positions"][mask])
    np.testing.assert_array_equal(delta, record.arrays["delta"])
    assert not positions[~mask].any()


@pytest.mark.parametrize("name", RULES)
@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_positions_are_counted_token_by_token(name, seed):
    rule = RULES[name]
    batch = random_batch(np.random.default_rng(seed), rule, range(SOUND + 1))
    expected, deltas = count(rule, batch)
    positions, delta = of(rule, batch)
    assert positions.dtype == delta.dtype == np.int32
    np.testing.assert_array_equal(positions, expected)
    np.testing.assert_array_equal(delta, deltas)


def drawn(rule, seed=0):
    return random_batch(np.random.default_rng(seed), rule, range(SOUND + 1))


RULE = RULES["qwen2_5_vl"]


def by_sequence(batch):
    """The batch with the grids of each sequence, in place of those of the batch."""
    per_token = {IMAGE: 1, VIDEO: 1}
    out = {name: np.zeros((3, 24, 3), np.int32) for name in NAMES[1:]}
    seconds = np.zeros((3, 24), np.float32)
    used = dict.fromkeys(per_token, 0)
    for row in range(3):
        for kind, name in ((IMAGE, "image_grids"), (VIDEO, "video_grids")):
            left = np.sum(batch["mask"][row] & (batch["token_types"][row] == kind))
            index = 0
            while left > 0:
                grid = batch[name][used[kind]]
                # A row of zeros is skipped wherever it stands.
                out[name][row, 2 * index + 1] = grid
                if kind == VIDEO:
                    seconds[row, 2 * index + 1] = batch["seconds_per_grid"][used[kind]]
                left -= np.prod(grid // [1, 2, 2])
                used[kind], index = used[kind] + 1, index + 1
    return {**batch, **out, "seconds_per_grid": seconds}


def test_grids_of_each_sequence_and_every_map_over_the_batch():
    batch = drawn(RULE, 3)
    types, given = arguments(RULE, by_sequence(batch))

    @jax.jit
    def both(types, given):
        whole = F.multimodal_positions(RULE, types, **given)
        one = lambda types, given: F.multimodal_positions(RULE, types, **given)
        return whole, jax.vmap(one)(types, given)

    for result in both(types, given):
        for actual, expected in zip(result, of(RULE, batch), strict=True):
            assert_same_bits(actual, expected)


def sequence(types, image_grids=(), video_grids=(), seconds=()):
    """A batch whose second sequence has these tokens; the others are all padding."""
    batch = {name: np.zeros_like(array) for name, array in drawn(RULE).items()}
    batch["token_types"][1, : len(types)], batch["mask"][1, : len(types)] = types, True
    batch["image_grids"][: len(image_grids)] = np.reshape(image_grids, (-1, 3))
    batch["video_grids"][: len(video_grids)] = np.reshape(video_grids, (-1, 3))
    batch["seconds_per_grid"][: len(seconds)] = seconds
    return batch


# Rules by which nothing in a sequence has a larger number than the text after it.
@pytest.mark.parametrize("name", ("qwen2_5_omni_thinker", "qwen3_vl"))
def test_decoding_goes_on_where_the_prompt_ends(name):
    """Text after a prompt has the number of tokens so far plus the delta."""
    rule = RULES[name]
    batch = drawn(rule, 5)
    whole, _ = of(rule, batch)
    for row, mask in enumerate(batch["mask"]):
        # The prompt ends behind the last patch, and what follows is decoded.
        tokens = np.flatnonzero(mask)
        types = batch["token_types"][row, tokens]
        end = np.flatnonzero((types == IMAGE) | (types == VIDEO))[-1] + 1
        prompt = {**batch, "mask": batch["mask"].copy()}
        prompt["mask"][row, tokens[end:]] = False
        positions, delta = of(rule, prompt)
        before, after = tokens[:end], tokens[end:]
        np.testing.assert_array_equal(positions[row, before], whole[row, before])
        steps = np.arange(end, len(tokens)) + delta[row]
        expected = np.repeat(steps[:, None], 3, axis=1)
        np.testing.assert_array_equal(whole[row, after], expected)


def test_text_alone_is_counted_as_by_its_mask():
    batch = sequence([0, 3, 3, 0, 0])
    batch["mask"][0, ::3] = True
    positions, delta = of(RULE, batch)
    expected = np.where(batch["mask"], F.positions_from_mask(batch["mask"]), 0)
    np.testing.assert_array_equal(positions, np.repeat(expected[..., None], 3, axis=-1))
    assert delta.tolist() == [0, 0, 0]


def test_images_side_by_side_and_a_grid_that_is_left_over():
    grids = [[1, 4, 2], [0, 0, 0], [1, 4, 4], [1, 2, 2]]
    positions, delta = of(RULE, sequence([1, 1, 1, 1, 1, 1, 0], grids))
    expected = [[0, 0, 0], [0, 1, 0], [2, 2, 2], [2, 2, 3], [2, 3, 2], [2, 3, 3]]
    assert positions[1, :7].tolist() == [*expected, [4, 4, 4]]
    assert delta.tolist() == [0, -2, 0]


def test_frames_of_an_image_are_one_position_apart():
    positions, _ = of(RULE, sequence([1, 1, 0], [[2, 2, 2]]))
    assert positions[1, :3].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 1]]


def test_what_follows_a_video_longer_than_its_sides():
    """As in transformers 5, text has numbers of frames; as trained, it comes after."""
    last = {}
    for name in ("qwen2_5_vl", "qwen2_5_omni_thinker"):
        second = 1 / RULES[name].positions_per_second
        batch = sequence([0, 2, 2, 2, 2, 2, 0, 0], (), [[5, 2, 2]], [second])
        positions, delta = of(RULES[name], batch)
        assert positions[1, 1:6, 0].tolist() == [1, 2, 3, 4, 5]
        last[RULES[name].advance] = positions[1, 7].tolist(), int(delta[1])
    assert last == {"side": ([3, 3, 3], -2), "position": ([7, 7, 7], 0)}


@pytest.mark.parametrize("advance", ("side", "position"))
def test_known_seconds_are_rounded_as_traced_ones_are(advance):
    """XLA may not join factors that it knows."""
    rule = F.MultimodalRule(2, positions_per_second=25, advance=advance)
    seconds = np.float32((0.3, 0.7, 0.04))
    types, grids = np.full(300, 2), np.array([[100, 2, 2]] * 3)

    @jax.jit
    def positions(types):
        given = {"video_grids": grids, "seconds_per_grid": seconds}
        return F.multimodal_positions(rule, types, **given)[0]

    times = np.asarray(positions(types))[:, 0].reshape(3, 100)
    expected = [[time_of(rule, VIDEO, i, s) for i in range(100)] for s in seconds]
    np.testing.assert_array_equal(times - times[:, :1], expected)
    # Another order of the products rounds otherwise.
    other = dataclasses.replace(
        rule, advance="side" if advance == "position" else "position"
    )
    others = [[time_of(other, VIDEO, i, s) for i in range(100)] for s in seconds]
    assert others != expected


FAULTS = {
    "too few tokens": sequence([0, 1, 1, 1, 0], [[1, 4, 4]]),
    "too many": sequence([0, 1, 1, 1, 1, 1, 0], [[1, 4, 4]]),
    "no grid": sequence([0, 2, 0], [[1, 2, 2]]),
    "text inside": sequence([1, 1, 0, 1, 1], [[1, 4, 4]]),
    "one inside the other": sequence([2, 2, 1, 1, 2, 2], [[1, 2, 4]], [[1, 4, 4]]),
    "in turns": sequence([1, 2, 1, 2], [[1, 2, 4]], [[1, 2, 4]]),
    "an odd grid": sequence([1, 1], [[1, 2, 5]]),
    "an odd grid without tokens": sequence([1], [[1, 1, 2], [1, 2, 2]]),
    "a negative grid": sequence([1, 1], [[-1, -2, 4]]),
    "a grid of no rows": sequence([1], [[1, 0, 4], [1, 2, 2]]),
    "a huge grid": sequence([1, 1, 1, 1], [[2**30, 2**17, 2**17]]),
    # The product of 100 and 42949673 is 2**32 + 4.
    "a product that wraps": sequence([1, 1, 1, 1], [[1, 200, 85899346]]),
    "an unknown type": sequence([0, 4, 0]),
    "negative seconds": sequence([2, 2], (), [[2, 2, 2]], [-0.5]),
    "no number of seconds": sequence([2, 2], (), [[2, 2, 2]], [np.nan]),
    "endless seconds": sequence([2, 2], (), [[2, 2, 2]], [np.inf]),
    "times beyond float32": sequence([2, 2], (), [[2, 2, 2]], [1e7]),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_tokens_that_do_not_fit_traced_grids(fault):
    """The sequences before them are not touched, those behind them are refused too."""
    batch = {name: array.copy() for name, array in FAULTS[fault].items()}
    batch["mask"][0, :2] = batch["mask"][2, :2] = True
    positions, delta = of(RULE, batch)
    assert positions[0, :3].tolist() == [[0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert (positions[1:] == -1).all()
    assert delta.tolist() == [0, REFUSED, REFUSED]


def test_frames_of_their_own():
    """They may have text between them, but no frame is left out."""
    rule = RULES["qwen3_vl"]
    whole = sequence([2, 2, 0, 2, 2, 2, 2, 0], (), [[3, 2, 4]])
    positions, delta = of(rule, whole)
    assert positions[1, :8, 0].tolist() == [0, 0, 2, 3, 3, 5, 5, 7]
    assert delta.tolist() == [0, 0, 0]
    for types in ([2, 2, 0, 2, 2], [2, 0, 2, 2, 2, 2, 2], [2, 2, 2, 2, 2, 0]):
        positions, delta = of(rule, sequence(types, (), [[3, 2, 4]]))
        assert (positions[1:] == -1).all()
        assert delta.tolist() == [0, REFUSED, REFUSED]


@pytest.mark.slow
def test_sums_beyond_int32_are_refused():
    """A video of 2**24 + 1 positions, as often as int32 holds them, and once more."""
    rule = RULES["qwen2_5_omni_thinker"]
    delta = []
    for num_videos in (127, 128):
        _, of_these = positions_of(
            rule,
            np.where(np.arange(256) < 2 * num_videos, VIDEO, 0),
            video_grids=np.array([[2, 2, 2]] * 128),
            seconds_per_grid=np.full(128, 2**24 / 25, np.float32),
        )
        delta.append(int(of_these))
    assert delta == [127 * (2**24 + 1) - 2 * 127, REFUSED]


TYPES, GRID = np.array([[0, 1, 1, 0]]), np.array([[1, 2, 4]])


@pytest.mark.errors
@pytest.mark.parametrize(
    "change, message",
    (
        ({"rule": 2}, "rule is an int, but must be a MultimodalRule"),
        ({"token_types": 1}, r"token_types.shape=\(\) must be \(..., seq_len\)"),
        ({"token_types": [[0, 4]]}, r"token_types\[0, 1\]=4 must lie in \[0, 4\)"),
        ({"token_types": [0.0]}, "token_types.dtype=float64 must be integer"),
        (
            {"image_grids": None},
            r"the 2 image tokens from token_types\[0, 1\] on must have a row",
        ),
        (
            {"token_types": [[0, 1, 0, 1]]},
            r"the 1 image tokens from token_types\[0, 1\] on must be as many as those "
            r"of image_grids\[0\]=\[1, 2, 4\], 2\.",
        ),
        (
            {"image_grids": [[1, 2, 3]]},
            r"image_grids\[0\]=\[1, 2, 3\] must be \(frames, rows, columns\), all "
            r"positive, and multiples of \(1, 2, 2\)",
        ),
        ({"image_grids": [[0, 2, 2]]}, r"image_grids\[0\]=\[0, 2, 2\] must be"),
        ({"image_grids": [[1, -2, 2]]}, r"image_grids\[0, 1\]=-2 must lie in \[0, "),
        (
            {"image_grids": [1, 2, 4]},
            r"image_grids.shape=\(3,\) must be \(num_grids, 3",
        ),
        ({"image_grids": [[2, 4]]}, r"image_grids.shape=\(1, 2\) must be"),
        ({"image_grids": [[[1, 2, 4]]] * 2}, r"image_grids.shape=\(2, 1, 3\) must be"),
        (
            {"video_grids": [[[1, 2, 4]]]},
            r"image_grids.shape=\(1, 3\) and video_grids.shape=\(1, 1, 3\) must both",
        ),
        ({"mask": [1, 1, 1]}, r"mask.shape=\(3,\) must broadcast to \(1, 4\)"),
        ({"mask": [[1, 1, 2, 1]]}, r"mask\[0, 2\]=2 must be 0 or 1"),
        (
            {"seconds_per_grid": [1.0]},
            r"seconds_per_grid.shape=\(1,\) must be None, that of video_grids",
        ),
        (
            {"video_grids": [[1, 2, 2]], "seconds_per_grid": [-1.0]},
            r"seconds_per_grid\[0\]=-1.0 must be at least 0, and the last frame",
        ),
        (
            {"rule": F.MultimodalRule(2), "seconds_per_grid": [1.0]},
            "seconds_per_grid must be None for a rule with positions_per_second=None",
        ),
    ),
)
def test_arguments_that_do_not_fit_are_refused(change, message):
    given = {"rule": RULE, "token_types": TYPES, "image_grids": GRID, **change}
    with refused(f"multimodal_positions: {message}"):
        F.multimodal_positions(given.pop("rule"), given.pop("token_types"), **given)


@pytest.mark.errors
@pytest.mark.parametrize("known_types", (True, False))
def test_what_is_known_under_jit_is_checked(known_types):
    """Grids alone, or tokens and a mask with them."""
    types = np.array([[0, 1, 1, 0]])
    grids = [[1, 2, 4]] if known_types else [[1, 2, 3]]
    mask = np.array([[1, 1, 0, 1]])

    @jax.jit
    def positions(traced):
        given = types if known_types else traced
        return F.multimodal_positions(RULE, given, image_grids=grids, mask=mask)

    message = r"the 1 image tokens" if known_types else r"image_grids\[0\]=\[1, 2, 3\]"
    with pytest.raises(ValueError, match=f"^multimodal_positions: {message}"):
        jax.eval_shape(positions, types)


def test_one_frame_has_no_last_one_that_is_too_late():
    """As in a traced batch: its time is 0, however long a frame lasts."""
    rule = F.MultimodalRule(1, temporal_merge_size=2, positions_per_second=2)
    given = {"video_grids": [[2, 1, 1]], "seconds_per_grid": np.float32([1e7])}
    known = jax.jit(lambda: F.multimodal_positions(rule, [2, 0], **given)[0])
    assert known().tolist() == [[0, 0, 0], [1, 1, 1]]


@pytest.mark.errors
def test_faults_of_grids_of_each_sequence_are_named():
    types, grids = np.array([[0, 0], [0, 1]]), np.array([[[0] * 3], [[1, 2, 4]]])
    with refused(r"must be as many as those of image_grids\[1, 0\]=\[1, 2, 4\], 2"):
        F.multimodal_positions(RULE, types, image_grids=grids)


@pytest.mark.errors
def test_known_frames_are_counted_as_tokens_ask_for_them():
    """A list of all of them would not fit in memory."""
    rule = F.MultimodalRule(1, separate_frames=True)
    with refused(r"must hold every frame of video_grids\[0\]=\[1000000000000, 1, 1\]"):
        check_known(rule, np.array([2, 0]), None, {VIDEO: np.array([[10**12, 1, 1]])})


@pytest.mark.errors
def test_known_faults_are_named():
    rule = F.MultimodalRule(1, separate_frames=True)
    types, grids = np.array([[0, 2, 2, 0], [0, 0, 0, 0]]), [[3, 1, 1]]
    with refused(r"token_types\[0\] must hold every frame of video_grids\[0\]=\[3, 1"):
        F.multimodal_positions(rule, types, video_grids=grids)
    given = {"video_grids": [[2, 2, 2]], "seconds_per_grid": [1e7]}
    with refused(
        r"seconds_per_grid\[0\]=10000000.0 must be .* at most 2\*\*24 positions"
    ):
        F.multimodal_positions(RULE, np.array([[2, 2]]), **given)


@pytest.mark.errors
@pytest.mark.parametrize(
    "change, message",
    (
        ({"merge_size": 0}, r"merge_size=0 must be an integer in \[1, 2147483647\]"),
        ({"merge_size": 2**31}, "merge_size=2147483648 must be an integer in"),
        ({"temporal_merge_size": 1.5}, "temporal_merge_size=1.5 must be an integer"),
        ({"positions_per_second": 1e-46}, r"positions_per_second=1e-46 must be at le"),
        ({"separate_frames": 1}, "separate_frames=1 must be True or False"),
        ({"positions_per_second": 0}, "positions_per_second=0 must be finite and pos"),
        ({"advance": "max"}, "advance='max' must be 'side' or 'position'"),
        (
            {"separate_frames": True, "positions_per_second": 2},
            "positions_per_second=2.0 must be None with separate_frames=True",
        ),
    ),
)
def test_settings_of_a_rule_are_checked(change, message):
    with refused(f"MultimodalRule: {message}"):
        F.MultimodalRule(**{"merge_size": 2, **change})
