"""Empty batches and sequences: every function takes them, forward and back."""

import functools
import inspect

import host
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import slow
from public_calls import (
    FUSED,
    LEARNED,
    PATCH,
    PER_LAYER,
    QUANTIZED,
    TEXT,
    TOKEN,
    VISION,
)

import attnax
import attnax.functional as F

INV_FREQ = F.default_inv_freq(8)
RESAMPLING = F.Resampling("bicubic", antialias=False)
HASHING = F.qwen4_exp_hashings(1, vocab_size=9, eos_id=1, min_rows=40)[0]
ROWS = np.ones((2, 4), np.float32)
MIXED = F.MixedRopeParams(np.ones((2, 3, 4), np.float32))
# Every layout, with channels that do not rotate on either side.
ROPES = {
    "half": F.Rope(INV_FREQ),
    "interleaved": F.Rope(INV_FREQ[:3], "interleaved", rotary_start=1),
    "to_half": F.Rope(INV_FREQ, "interleaved_to_half", rotary_start="trailing"),
    "blocks": F.Rope(INV_FREQ, axis_of_pair=(0, 0, 1, 1), num_blocks=2),
}
# Nothing of either is drawn from an array.
STATIC = {
    *("init_fused_embedding", "init_per_layer_embedding", "fused_row_offsets"),
    *("init_learned_positional_embedding", "init_mixed_rope", "init_patch_embedding"),
    *("init_text_embedding", "init_token_embedding", "init_vision_embedding"),
    *("alternating_axes", "axial_rope", "channel_permutation", "chunked_axes"),
    *("context_parallel_indices", "context_parallel_permutation"),
    *(name for name in dir(F) if name.endswith(("_inv_freq", "hashing", "hashings"))),
    *("image_size_for_max_patches", "longrope_attention_factor"),
    *(
        "normalized_coordinates",
        "patch_grid",
        "positions_from_grid",
        "rope_cos_sin_table",
    ),
    *("stack_ropes", "strided_axes", "yarn_attention_factor", "yarn_softmax_factor"),
    # It takes functions, and selects rows.
    "row_value_and_grad",
    # Weights and tables; no batch, no sequence.
    *("freeze_rows", "pad_vocabulary", "quantize_table"),
    *("resize_optimizer_state", "resize_vocabulary"),
    *("patch_kernel_from_weight", "patch_weight_from_kernel", "permute_qk"),
    *("resize_patch_kernel", "resize_patch_weight", "resize_positions"),
    # A Python list of images, which holds one at least.
    "pack_patches",
    "table_on_host",
}


def calls(batch, seq_len):
    """`(name, function, arrays)` for every function that takes arrays."""
    size = (batch, seq_len)
    ids, mask = np.zeros(size, np.int32), np.zeros(size, bool)
    x, pairs = np.zeros((*size, 4), np.float32), np.zeros((*size, 2), np.int32)
    heads = np.zeros((*size, 3, 9), np.float32)
    images = np.zeros((*size, 4, 6, 1), np.float32)
    patches = np.zeros((*size, 4), np.float32)
    counts, grids = np.zeros(batch, np.int32), np.ones((batch, 2), np.int32)
    sizes = {"patch_size": 2, "table_grid": (2, 3)}

    yield "apply_token_embedding", scaled_tokens, (TOKEN, ids)
    yield "apply_token_unembedding", F.apply_token_unembedding, (TOKEN, x)
    on_host = F.table_on_host(np.ones((3, 4), np.float32))
    yield "fetch_host_rows", functools.partial(F.fetch_host_rows, on_host), (ids,)
    device = jax.memory.Space.Device  # that of the cotangents
    write = lambda *a: jax.device_put(F.write_host_rows(on_host, *a), device)
    yield "write_host_rows", write if host.WRITES else lambda *a: a, (ids, x)
    chunks = {"chunk_size": 2}
    for name in ("unembedding_cross_entropy", "unembedding_log_probs"):
        loss = functools.partial(getattr(F, name), ignored_id=-1, **chunks)
        yield name, loss, (TOKEN.weight, x, ids)
    argmax = functools.partial(F.unembedding_argmax, **chunks)
    yield "unembedding_argmax", argmax, (TOKEN.weight, x)
    top_k = functools.partial(F.unembedding_top_k, k=2, **chunks)
    yield "unembedding_top_k", top_k, (TOKEN.weight, x)
    flat = ids.reshape(-1), x.reshape(-1, 4)
    yield "select_rows", F.select_rows, (TOKEN.weight, ids)
    yield "row_gradient", lambda i, g: F.row_gradient(i, g, 5), (ids, x)
    of_rows = lambda function: lambda i, g: function(F.RowGradient(i, g))
    yield "dense_gradient", of_rows(lambda g: F.dense_gradient(g, 5)), flat
    sum_rows = of_rows(lambda g: F.sum_row_gradients(g, vocab_size=5))
    yield "sum_row_gradients", sum_rows, (ids, x)
    psum = of_rows(lambda g: F.psum_row_gradient(g, (), vocab_size=5))
    yield "psum_row_gradient", psum, flat
    local = of_rows(lambda g: F.local_row_gradient(g, 1, 3))
    yield "local_row_gradient", local, flat
    for name in ("update_rows", "update_rows_lazily"):
        yield name, lambda i, g, name=name: rows_updated(name, i, g), flat
    of_three = np.zeros((*size, 3), np.int32)
    for table in (FUSED, QUANTIZED):
        yield "apply_fused_embedding", F.apply_fused_embedding, (table, of_three)
    yield "apply_quantized_embedding", quantized, (ids,)
    yield "apply_per_layer_embedding", F.apply_per_layer_embedding, (PER_LAYER, ids, x)
    learned = F.apply_learned_positional_embedding
    yield "apply_learned_positional_embedding", learned, (LEARNED, x)
    yield "apply_learned_positional_embedding", learned, (LEARNED, x, ids)
    yield "apply_text_embedding", text, (TEXT, ids)
    yield "apply_text_embedding", lambda p, i: text(p, i, positions=i), (TEXT, ids)
    yield "apply_positional_encoding", F.apply_positional_encoding, (x,)
    yield "apply_positional_encoding", F.apply_positional_encoding, (x, ids)
    yield "apply_positional_encoding", start_at, (x, np.int32(3))
    for layout in ("interleaved", "sin_cos"):
        of = {"layout": layout}
        yield "sinusoids", lambda p, o=of: F.sinusoids(p, 4, **o), (ids,)
        yield "grid_sinusoids", lambda p, o=of: F.grid_sinusoids(p, 8, **o), (pairs,)
    for scale in (None, 1.0):
        detr = lambda m, s=scale: F.detr_sinusoids(m, 8, scale=s)
        yield "detr_sinusoids", detr, (mask,)
        yield "detr_sinusoids", detr, (np.zeros((*size, 3), bool),)
    fourier = F.gaussian_fourier_features
    yield "gaussian_fourier_features", fourier, (pairs / np.float32(2), ROWS)

    yield "positions_from_mask", F.positions_from_mask, (mask,)
    yield "positions_from_segment_ids", F.positions_from_segment_ids, (ids,)
    lengths = lambda n: F.positions_from_lengths(n, 7)
    yield "positions_from_lengths", lengths, (ids,)
    segments = lambda n: F.segment_ids_from_lengths(n, 7)
    yield "segment_ids_from_lengths", segments, (ids,)
    ends = np.zeros((batch, 3), np.int32)
    for name in ("positions", "segment_ids"):
        of_all = getattr(F, f"{name}_from_cumulative_lengths")
        yield of_all.__name__, lambda n, f=of_all: f(n, 7), (ends,)
        of_some = getattr(F, f"{name}_of_tokens")
        yield of_some.__name__, of_some, (ids, ends)
    documents = lambda n: F.document_zigzag_indices(n, 8, 2, 0)
    yield "document_zigzag_indices", documents, (ends,)
    yield "padded_positions", padded, (mask, counts)
    no_images = np.ones((batch, 0, 3), np.int32)
    for of_videos in ({}, {"video_grids": no_images}):
        yield "multimodal_positions", multimodal, (ids, no_images, of_videos)
    ngrams = {"hashing": HASHING, "segment_ids": ids}
    for name in ("ngram_context", "ngram_row_ids", "ngram_signs"):
        of_ngrams = functools.partial(getattr(F, name), **ngrams)
        yield name, of_ngrams, (ids,)
    yield "query_temperature", temperature, (ids,)

    by_length = F.RopesByLength([ROPES["half"]], (8,))
    of_rows = lambda n: F.rope_by_length(by_length, n)[:2]
    yield "rope_by_length", of_rows, (counts,)
    rotated_rows = lambda n, x, p: F.rotate(F.rope_by_length(by_length, n), x, p)
    yield "rope_by_length", rotated_rows, (counts, heads, ids)
    yield "rope_cos_sin", lambda p: F.rope_cos_sin(p, INV_FREQ), (ids,)
    yield "rope_cos_sin", cos_sin_of_axes, (pairs,)
    yield "rope_cos_sin_from_positions", cos_sin_from_positions, (ids,)
    yield "xpos_cos_sin", lambda p: F.xpos_cos_sin(p, INV_FREQ), (ids,)
    normalized = lambda c: F.normalized_cos_sin(c, 8)
    yield "normalized_cos_sin", normalized, (pairs / np.float32(2),)
    for layout in ("half", "interleaved"):
        turn = lambda x, c, o=layout: F.apply_rope(x, c, c, layout=o)
        cos = np.zeros((*size, 1, 4), np.float32)
        yield "apply_rope", turn, (heads, cos)
        yield "apply_rope", turn, (heads.astype(jnp.bfloat16), cos)
    for rope in ROPES.values():
        positions = ids if rope.axis_of_pair is None else pairs
        cos = np.zeros((*size, rope.rotary_pairs), np.float32)
        for name, turn, array in (
            ("rotary_cos_sin", lambda p, r=rope: F.rotary_cos_sin(r, p), positions),
            ("rotate", lambda x, p, r=rope: F.rotate(r, x, p), positions),
            ("rerotate", lambda x, p, r=rope: F.rerotate(r, x, p), positions),
            ("apply_rotary", lambda x, c, r=rope: turned(r, x, c), cos),
        ):
            if name == "rotary_cos_sin":
                yield name, turn, (array,)
                continue
            for x_of_rope in (heads, heads[:, :, :0], heads.astype(jnp.bfloat16)):
                yield name, turn, (x_of_rope, array)
    corners = pairs.astype(np.float32)
    yield "apply_mixed_rope", F.apply_mixed_rope, (MIXED, heads[..., :8], corners)

    yield "insert_tokens", F.insert_tokens, (x, ROWS)
    yield "insert_tokens", F.insert_tokens, (x, ROWS[:0])
    yield "patchify", lambda image: F.patchify(image, 2), (images,)
    chw = lambda image: F.patchify(image, 2, patch_order="CHW")
    yield "patchify", chw, (images,)
    cut = np.zeros((*size, 6, 4), np.float32)
    yield "unpatchify", lambda p: F.unpatchify(p, (4, 6), 2), (cut,)
    yield "pad_image", lambda image: F.pad_image(image, 4), (images,)
    embed = lambda p, image: F.apply_patch_embedding(p, image, patch_size=2)
    yield "apply_patch_embedding", embed, (PATCH, images)
    yield "apply_patch_projection", F.apply_patch_projection, (PATCH, patches)
    vision = lambda p, i, m: F.apply_vision_embedding(p, i, **sizes, masked=m)
    yield "apply_vision_embedding", vision, (VISION, images, np.zeros((*size, 6), bool))
    arrays = patches, pairs, mask, grids
    yield "apply_packed_vision_embedding", packed, (VISION, *arrays)
    unpack = lambda p, c, m: F.unpack_patches(F.PackedPatches(p, c, m, grids), 2)
    if seq_len:  # or the grids would not fit
        yield "unpack_patches", unpack, arrays[:3]
    for antialias in (True, False):
        at = lambda t, *a, aa=antialias: resized_at(t, *a, antialias=aa)
        yield "resize_positions_at", at, (VISION.positions.weight[:6], *arrays[1:])


def rows_updated(name, ids, rows):
    gradient, sgd = F.RowGradient(ids, rows), optax.sgd(0.1)
    state = sgd.init(TOKEN.weight)
    return getattr(F, name)(sgd, gradient, state, TOKEN.weight)


def scaled_tokens(params, ids):
    options = {"scale": 2.0, "padding_id": 0, "mask_padding": True}
    return F.apply_token_embedding(params, ids, **options)


def quantized(ids):
    return F.apply_quantized_embedding(QUANTIZED, ids)


def text(params, ids, positions=None):
    arrays = {"token_type_ids": ids, "positions": positions}
    return F.apply_text_embedding(params, ids, **arrays)


def start_at(x, start):
    return F.apply_positional_encoding(x, start=start)


def padded(mask, past):
    names = {"first_position": 2, "padding_position": 1}
    return F.padded_positions(mask, past=past, **names)


def multimodal(ids, grids, of_videos):
    rule = F.MultimodalRule(1)
    return F.multimodal_positions(rule, ids, image_grids=grids, **of_videos)


def temperature(positions):
    return F.query_temperature(positions, beta=0.1, original_max_len=4)


def cos_sin_of_axes(positions):
    return F.rope_cos_sin(positions, INV_FREQ, axis_of_pair=(0, 1, 0, 1))


def cos_sin_from_positions(positions):
    return F.rope_cos_sin_from_positions(positions, 8, 1e4, 9)


def turned(rope, x, cos):
    return F.apply_rotary(rope, x, cos, cos)


def packed(params, patches, coordinates, mask, grids):
    options = {"table_grid": (2, 3), "resampling": RESAMPLING}
    arrays = patches, coordinates, mask, grids
    return F.apply_packed_vision_embedding(params, F.PackedPatches(*arrays), **options)


def resized_at(table, coordinates, mask, grids, antialias):
    resampling = F.Resampling("bicubic", antialias)
    return F.resize_positions_at(
        table, (2, 3), grids, coordinates, resampling, mask=mask
    )


def forward_and_back(function, *arrays):
    """The result, and the gradient of all floats that there are."""
    is_float = [jnp.issubdtype(a.dtype, jnp.floating) for a in jax.tree.leaves(arrays)]
    leaves, structure = jax.tree.flatten(arrays)

    def of_floats(*floats):
        floats = iter(floats)
        pairs = zip(leaves, is_float, strict=True)
        mixed = [next(floats) if real else leaf for leaf, real in pairs]
        return function(*jax.tree.unflatten(structure, mixed))

    floats = [leaf for leaf, real in zip(leaves, is_float, strict=True) if real]
    out, pullback = jax.vjp(of_floats, *floats)
    cotangents = [
        jnp.ones_like(leaf)
        if jnp.issubdtype(leaf.dtype, jnp.floating)
        else np.zeros(leaf.shape, jax.dtypes.float0)
        for leaf in jax.tree.leaves(out)
    ]
    return out, pullback(jax.tree.unflatten(jax.tree.structure(out), cotangents))


sizes_with_nothing = pytest.mark.parametrize("size", ((0, 3), (2, 0), *slow((0, 0))))


@sizes_with_nothing
def test_every_function_takes_empty_arrays(size):
    for name, function, arrays in calls(*size):
        try:
            jax.eval_shape(lambda *a, f=function: forward_and_back(f, *a), *arrays)
        except Exception as error:
            raise AssertionError(f"{name} of {size}: {error}") from error


def test_every_public_function_is_among_them():
    named = {name for name, _, _ in calls(1, 1)}
    public = {name for name in dir(F) if inspect.isfunction(getattr(F, name))}
    # Those have tests of their own, of every record.
    public -= {name for name in public if "._biases" in getattr(F, name).__module__}
    assert named | STATIC == public - {"jaxtyping"}
    assert not named & STATIC


def test_what_is_empty_is_compiled_too():
    """One program of all functions, and of no batch, which every backend has."""
    _, functions, arrays = zip(*calls(0, 3), strict=True)

    @jax.jit
    def of_all(*arrays):
        return [f(*a) for f, a in zip(functions, arrays, strict=True)]

    shapes = jax.eval_shape(of_all, *arrays)
    actual = jax.tree.leaves(of_all(*arrays))
    for leaf, shape in zip(actual, jax.tree.leaves(shapes), strict=True):
        assert leaf.shape == shape.shape
        assert not np.isnan(np.asarray(leaf, np.float32)).any()


def test_modules_take_empty_arrays():
    key = jax.random.key(0)
    x, ids = np.zeros((2, 0, 8), np.float32), np.zeros((2, 0), np.int32)
    heads, pairs = np.zeros((2, 0, 3, 8), np.float32), np.zeros((2, 0, 2), np.int32)
    image = np.zeros((0, 4, 6, 3), np.float32)
    sizes = {"image_size": (4, 6), "patch_size": 2, "num_channels": 3, "d_model": 8}
    rows = {"num_positions": 4, "key": key}
    for make, array in (
        (lambda: attnax.TokenEmbedding(5, 8, key=key), ids),
        (lambda: attnax.nn.FusedEmbedding((2, 3), 8, key=key), pairs),
        (lambda: attnax.PositionalEncoding(16, 8), x),
        (lambda: attnax.LearnedPositionalEmbedding(d_model=8, **rows), x),
        (lambda: attnax.nn.TextEmbedding(5, 8, **rows), ids),
        (lambda: attnax.PatchEmbedding(**sizes, key=key), image),
        (lambda: attnax.nn.VisionEmbedding(**sizes, key=key), image),
        (lambda: attnax.RotaryEmbedding(8, 16), heads),
        (lambda: attnax.RotaryEmbedding(8, 16, layout="interleaved"), heads),
    ):
        assert jax.eval_shape(lambda a, make=make: make()(a), array).size == 0
