"""Every public function with symbolic sizes: `jax.export` traces and lowers it."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType
from jaxtyping import config

import attnax
import attnax.functional as F

BATCH, LENGTH = export.symbolic_shape("b, s")
KEY = jax.random.key(0)
WIDTH, ROWS, GRID = 16, 12, (3, 4)


def array(*shape, dtype=np.float32):
    return jax.ShapeDtypeStruct(shape, dtype)


integers = functools.partial(array, dtype=np.int32)
bools = functools.partial(array, dtype=np.bool_)
TABLE = array(ROWS, WIDTH)
HOST = jax.memory.Space.Host
X = array(BATCH, LENGTH, WIDTH)
IDS = integers(BATCH, LENGTH)
HEADS = array(BATCH, LENGTH, 3, WIDTH)
COS = array(BATCH, LENGTH, WIDTH // 2)
COORDINATES = integers(BATCH, LENGTH, 2)
IMAGE = array(BATCH, 6, 8, 4)
OF_LENGTH = array(BATCH, 2 * LENGTH, 8, 4)

INV_FREQ = F.default_inv_freq(WIDTH)
ROPE = F.Rope(INV_FREQ)
BY_LENGTH = F.RopesByLength([ROPE], (100,))
AXIAL = F.axial_rope((8, 8))
HASHING = F.qwen4_exp_hashings(1, vocab_size=9, eos_id=1, min_rows=40)[0]
RESAMPLING = F.Resampling("bicubic", antialias=False)
TEXT = F.init_text_embedding(KEY, ROWS, WIDTH, num_positions=ROWS, num_token_types=2)
PER_LAYER = F.init_per_layer_embedding(KEY, ROWS, WIDTH, 3, 4)
VISION = F.init_vision_embedding(
    KEY,
    patch_size=2,
    num_channels=4,
    d_model=WIDTH,
    table_grid=GRID,
    num_tokens_without_position=2,
    mask_token=True,
)
LLAMA = {"model_type": "llama", "hidden_size": 64, "num_attention_heads": 4}
MIXED = F.init_mixed_rope(KEY, 3, WIDTH)


def learned(weight, x, *positions):
    params = F.LearnedPositionalEmbeddingParams(weight)
    return F.apply_learned_positional_embedding(params, x, *positions)


def text(ids, positions=None):
    more = {"token_type_ids": ids, "positions": positions}
    return F.apply_text_embedding(TEXT, ids, **more)


def at_the_end(x, tokens):
    return F.insert_tokens(x, tokens, index=x.shape[1])


# A call of each function by its name, with symbolic batches and lengths.
EXPORTED = {
    "apply_token_embedding": (
        lambda w, ids: F.apply_token_embedding(
            F.TokenEmbeddingParams(w), ids, padding_id=1, mask_padding=True
        ),
        (TABLE, IDS),
    ),
    "apply_token_unembedding": (
        lambda w, x: F.apply_token_unembedding(F.TokenEmbeddingParams(w), x),
        (TABLE, X),
    ),
    "fetch_host_rows": (
        lambda w, ids: F.fetch_host_rows(jax.device_put(w, HOST), ids),
        (TABLE, IDS),
    ),
    "unembedding_cross_entropy": (
        lambda *a: F.unembedding_cross_entropy(
            *a, chunk_size=5, label_smoothing=0.1, ignored_id=0
        ),
        (TABLE, X, IDS),
    ),
    "unembedding_log_probs": (
        lambda *a: F.unembedding_log_probs(*a, chunk_size=4),
        (TABLE, X, IDS),
    ),
    "unembedding_argmax": (
        lambda *a: F.unembedding_argmax(*a, chunk_size=5),
        (TABLE, X),
    ),
    "unembedding_top_k": (
        lambda *a: F.unembedding_top_k(*a, 3, chunk_size=5),
        (TABLE, X),
    ),
    "apply_fused_embedding": (
        lambda w, ids: F.apply_fused_embedding(
            F.FusedEmbeddingParams(w), ids, row_counts=(3, 4, 5)
        ),
        (TABLE, integers(BATCH, LENGTH, 3)),
    ),
    "apply_quantized_embedding": (
        lambda w, scale, ids: F.apply_quantized_embedding(
            F.QuantizedTableParams(w, scale), ids
        ),
        (array(ROWS, WIDTH, dtype=jnp.float8_e4m3fn), array(ROWS, 2), IDS),
    ),
    "apply_per_layer_embedding": (
        lambda ids, x: F.apply_per_layer_embedding(PER_LAYER, ids, x),
        (IDS, X),
    ),
    "quantize_table": (F.quantize_table, (array(LENGTH, WIDTH),)),
    "freeze_rows": (lambda w: F.freeze_rows(w, 0), (array(ROWS, LENGTH),)),
    "apply_learned_positional_embedding": (learned, (TABLE, X)),
    "apply_learned_positional_embedding at positions": (learned, (TABLE, X, IDS)),
    "apply_text_embedding": (text, (IDS,)),
    "apply_text_embedding at positions": (text, (IDS, IDS)),
    "apply_positional_encoding": (F.apply_positional_encoding, (X,)),
    "apply_positional_encoding below a bound": (
        lambda x: F.apply_positional_encoding(x, start=7, max_len=ROWS),
        (X,),
    ),
    "apply_positional_encoding from a traced start": (
        lambda x, start: F.apply_positional_encoding(x, start=start, max_len=ROWS),
        (X, integers()),
    ),
    "apply_positional_encoding at positions": (
        lambda x, ids: F.apply_positional_encoding(x, ids, max_len=ROWS),
        (X, IDS),
    ),
    "sinusoids": (
        lambda ids: F.sinusoids(ids, 15, odd_width="zero", padding_position=1),
        (IDS,),
    ),
    "grid_sinusoids": (
        lambda c: F.grid_sinusoids(c, WIDTH, num_prefix_tokens=1),
        (COORDINATES,),
    ),
    "detr_sinusoids": (
        lambda mask: F.detr_sinusoids(mask, WIDTH),
        (bools(BATCH, LENGTH, LENGTH),),
    ),
    "gaussian_fourier_features": (
        F.gaussian_fourier_features,
        (array(BATCH, LENGTH, 2), array(2, 5)),
    ),
    "rope_cos_sin": (
        lambda c: F.rope_cos_sin(c, INV_FREQ, axis_of_pair=(0, 1) * 4),
        (COORDINATES,),
    ),
    "rope_cos_sin_from_positions": (
        lambda ids: F.rope_cos_sin_from_positions(ids, WIDTH, 1e4, ROWS),
        (IDS,),
    ),
    "rotary_cos_sin": (lambda ids: F.rotary_cos_sin(ROPE, ids), (IDS,)),
    "apply_rotary": (
        lambda x, *turn: F.apply_rotary(ROPE, x, *turn, head_axis=-3, inverse=True),
        (array(BATCH, 3, LENGTH, WIDTH), COS, COS),
    ),
    "rotate": (lambda x, ids: F.rotate(ROPE, x, ids), (HEADS, IDS)),
    "rotate of two axes": (lambda x, c: F.rotate(AXIAL, x, c), (HEADS, COORDINATES)),
    "rotate of blocks": (
        lambda x, ids: F.rotate(F.Rope(INV_FREQ, num_blocks=2), x, ids),
        (HEADS, IDS),
    ),
    "rotate interleaved": (
        lambda x, ids: F.rotate(F.Rope(INV_FREQ, "interleaved"), x, ids),
        (array(BATCH, LENGTH, LENGTH, WIDTH + 3), IDS),
    ),
    "rope_by_length": (
        lambda lengths, x, ids: F.rotate(F.rope_by_length(BY_LENGTH, lengths), x, ids),
        (integers(BATCH), HEADS, IDS),
    ),
    "rerotate": (lambda x, delta: F.rerotate(ROPE, x, delta), (HEADS, IDS)),
    "apply_rope": (
        lambda x, *turn: F.apply_rope(x, *(t[..., None, :] for t in turn)),
        (HEADS, COS, COS),
    ),
    "apply_mixed_rope": (
        lambda x, c: F.apply_mixed_rope(MIXED, x, c),
        (HEADS, array(BATCH, LENGTH, 2)),
    ),
    "xpos_cos_sin": (lambda ids: F.xpos_cos_sin(ids, INV_FREQ), (IDS,)),
    "normalized_cos_sin": (
        lambda c: F.normalized_cos_sin(c, WIDTH),
        (array(BATCH, LENGTH, 2),),
    ),
    "query_temperature": (
        lambda ids: F.query_temperature(ids, beta=0.1, original_max_len=100),
        (IDS,),
    ),
    "apply_patch_embedding": (
        lambda image: F.apply_patch_embedding(VISION.patch, image, patch_size=2),
        (IMAGE,),
    ),
    "apply_patch_projection": (
        lambda patches: F.apply_patch_projection(VISION.patch, patches),
        (array(BATCH, LENGTH, 16),),
    ),
    "patchify": (lambda image: F.patchify(image, 2), (IMAGE,)),
    "unpatchify": (
        lambda patches: F.unpatchify(patches, (6, 8), 2),
        (array(BATCH, 12, 16),),
    ),
    "pad_image": (lambda image: F.pad_image(image, 5).image, (IMAGE,)),
    "insert_tokens": (F.insert_tokens, (X, array(2, WIDTH))),
    "insert_tokens at the end": (at_the_end, (X, array(LENGTH, WIDTH))),
    "apply_vision_embedding": (
        lambda image, masked: F.apply_vision_embedding(
            VISION, image, patch_size=2, table_grid=GRID, masked=masked
        ),
        (IMAGE, bools(BATCH, 12)),
    ),
    "apply_packed_vision_embedding": (
        lambda *packed: F.apply_packed_vision_embedding(
            VISION, F.PackedPatches(*packed), table_grid=GRID, resampling=RESAMPLING
        ),
        (
            array(BATCH, LENGTH, 16),
            COORDINATES,
            bools(BATCH, LENGTH),
            integers(BATCH, 2),
        ),
    ),
    "resize_positions_at": (
        lambda table, *where: F.resize_positions_at(table, GRID, *where, RESAMPLING),
        (TABLE, integers(BATCH, 2), COORDINATES),
    ),
    "resize_positions": (
        lambda table: F.resize_positions(table, GRID, (4, 5), RESAMPLING),
        (array(ROWS, LENGTH),),
    ),
    **{
        name: (functools.partial(getattr(F, name), hashing=HASHING), (IDS,))
        for name in ("ngram_context", "ngram_row_ids", "ngram_signs")
    },
    "ngram_row_ids of documents": (
        lambda ids, context: F.ngram_row_ids(
            ids, HASHING, segment_ids=ids, context=context
        ),
        (IDS, integers(BATCH, 2)),
    ),
    "positions_from_mask": (F.positions_from_mask, (bools(BATCH, LENGTH),)),
    "positions_from_segment_ids": (F.positions_from_segment_ids, (IDS,)),
    "positions_from_lengths": (lambda ids: F.positions_from_lengths(ids, 7), (IDS,)),
    "positions_from_cumulative_lengths": (
        lambda ids: F.positions_from_cumulative_lengths(ids, 7),
        (IDS,),
    ),
    "segment_ids_from_cumulative_lengths": (
        lambda ids: F.segment_ids_from_cumulative_lengths(ids, 7),
        (IDS,),
    ),
    "segment_ids_from_lengths": (
        lambda ids: F.segment_ids_from_lengths(ids, 7),
        (IDS,),
    ),
    "positions_of_tokens": (F.positions_of_tokens, (IDS, IDS)),
    "segment_ids_of_tokens": (F.segment_ids_of_tokens, (IDS, IDS)),
    "document_zigzag_indices": (
        lambda ids: F.document_zigzag_indices(ids, 8, 2, 0),
        (IDS,),
    ),
    "multimodal_positions": (
        lambda ids, grids, mask: F.multimodal_positions(
            F.MultimodalRule(2), ids, image_grids=grids, video_grids=grids, mask=mask
        ),
        (IDS, integers(BATCH, 5, 3), bools(BATCH, LENGTH)),
    ),
    "padded_positions": (
        lambda mask, past: F.padded_positions(
            mask, first_position=2, padding_position=1, past=past
        ),
        (bools(BATCH, LENGTH), integers(BATCH)),
    ),
}

TOKEN = attnax.TokenEmbedding(ROWS, WIDTH, key=KEY)
LEARNED = attnax.LearnedPositionalEmbedding(num_positions=ROWS, d_model=WIDTH, key=KEY)
SIZES = {"patch_size": 2, "num_channels": 4, "d_model": WIDTH, "key": KEY}
MODULES = {
    "TokenEmbedding": (TOKEN, (IDS,)),
    "TokenEmbedding.unembed": (TOKEN.unembed, (X,)),
    "FusedEmbedding": (
        attnax.nn.FusedEmbedding((3, 4, 5), WIDTH, key=KEY),
        (integers(BATCH, LENGTH, 3),),
    ),
    "PerLayerEmbedding": (
        attnax.nn.PerLayerEmbedding(ROWS, WIDTH, 3, 4, key=KEY),
        (IDS, X),
    ),
    "LearnedPositionalEmbedding": (LEARNED, (X,)),
    "PositionalEncoding": (attnax.PositionalEncoding(ROWS, WIDTH), (X,)),
    "RotaryEmbedding": (attnax.RotaryEmbedding(WIDTH, ROWS), (HEADS,)),
    "RotaryEmbedding at positions": (
        attnax.RotaryEmbedding(WIDTH, ROWS),
        (HEADS, IDS),
    ),
    "TextEmbedding": (
        attnax.nn.TextEmbedding(ROWS, WIDTH, num_positions=ROWS, key=KEY),
        (IDS,),
    ),
    "PatchEmbedding": (attnax.PatchEmbedding(image_size=(6, 8), **SIZES), (IMAGE,)),
    "VisionEmbedding": (
        attnax.nn.VisionEmbedding(image_size=(6, 8), **SIZES),
        (IMAGE,),
    ),
}

# What takes a size that must be a number, and refuses a symbol by its own name.
REFUSED = {
    "select_rows": (lambda ids: F.select_rows(np.ones((5, 2), np.float32), ids), IDS),
    "row_gradient": (
        lambda x: F.row_gradient(jnp.zeros(x.shape[:-1], jnp.int32), x, 5),
        X,
    ),
    "sum_row_gradients": (
        lambda ids: F.sum_row_gradients(
            F.RowGradient(ids, ids[..., None].astype(jnp.float32)), vocab_size=5
        ),
        IDS,
    ),
    "psum_row_gradient": (
        lambda ids: F.psum_row_gradient(
            F.RowGradient(ids, ids[:, None].astype(jnp.float32)), (), vocab_size=5
        ),
        integers(LENGTH),
    ),
    "patchify": (lambda image: F.patchify(image, 2), OF_LENGTH),
    "apply_patch_embedding": (
        lambda image: F.apply_patch_embedding(VISION.patch, image, patch_size=2),
        OF_LENGTH,
    ),
    "apply_vision_embedding": (
        lambda image: F.apply_vision_embedding(
            VISION, image, patch_size=2, table_grid=GRID
        ),
        OF_LENGTH,
    ),
    "pad_image": (lambda image: F.pad_image(image, 2), OF_LENGTH),
    "pack_patches": (
        lambda image: F.pack_patches([image], 2, 8),
        array(LENGTH, 8, 4),
    ),
    "unpatchify": (
        lambda patches: F.unpatchify(patches, (6, 8), 2),
        array(BATCH, LENGTH, 16),
    ),
    "positions_from_lengths": (
        lambda ids: F.positions_from_lengths(ids, ids.shape[1]),
        IDS,
    ),
    "positions_from_cumulative_lengths": (
        lambda ids: F.positions_from_cumulative_lengths(ids, ids.shape[1]),
        IDS,
    ),
    "context_parallel_indices": (
        lambda ids: F.context_parallel_indices(ids.shape[1], 2, 0, order="contiguous"),
        IDS,
    ),
    "context_parallel_permutation": (
        lambda ids: F.context_parallel_permutation(ids.shape[1], 2, order="zigzag"),
        IDS,
    ),
    "positions_from_grid": (
        lambda ids: F.positions_from_grid((ids.shape[1], 2)),
        IDS,
    ),
    "normalized_coordinates": (
        lambda ids: F.normalized_coordinates((ids.shape[1], 2)),
        IDS,
    ),
    "rope_cos_sin_table": (lambda ids: F.rope_cos_sin_table(ids.shape[1], 4), IDS),
    "resize_positions": (
        lambda table: F.resize_positions(table, GRID, GRID, RESAMPLING),
        array(LENGTH, WIDTH),
    ),
    "resize_positions_at": (
        lambda table: F.resize_positions_at(
            table, GRID, np.ones(2, int), np.zeros((1, 2), int), RESAMPLING
        ),
        array(LENGTH, WIDTH),
    ),
    "insert_tokens": (lambda x: F.insert_tokens(x, jnp.ones((2, 16)), index=3), X),
    "dynamic_ntk_inv_freq": (
        lambda ids: F.dynamic_ntk_inv_freq(
            16, factor=2.0, original_max_len=32, seq_len=ids.shape[1]
        ),
        IDS,
    ),
    "image_size_for_max_patches": (
        lambda ids: F.image_size_for_max_patches((ids.shape[1], 8), 2, 8),
        IDS,
    ),
    "patch_grid": (lambda ids: F.patch_grid((ids.shape[1], 8), 2), IDS),
    "rope_from_hf": (
        lambda ids: attnax.interop.rope_from_hf(LLAMA, seq_len=ids.shape[1]),
        IDS,
    ),
    "ropes_by_length_from_hf": (
        lambda ids: attnax.interop.ropes_by_length_from_hf(
            LLAMA, max_lengths=ids.shape[1:]
        ),
        IDS,
    ),
    "ropes_from_hf": (
        lambda ids: attnax.interop.ropes_from_hf(LLAMA, seq_len=ids.shape[1]),
        IDS,
    ),
}

PUBLIC = {n for n, f in vars(F).items() if inspect.isfunction(f) and n[0] != "_"}
# Those have tests of their own, of every record.
PUBLIC -= {name for name in PUBLIC if "._biases" in getattr(F, name).__module__}

# No batch and no length: parameters, frequencies, layouts, and what is on the host.
NOTHING_SYMBOLIC = {
    *(name for name in PUBLIC if name.startswith("init_")),
    *(name for name in PUBLIC if name.endswith(("inv_freq", "_axes", "_factor"))),
    *(name for name in PUBLIC if name.endswith(("_hashing", "_hashings"))),
} - {"dynamic_ntk_inv_freq"} | {
    "axial_rope",
    "channel_permutation",
    "dense_gradient",
    "local_row_gradient",
    "fused_row_offsets",
    "pad_vocabulary",
    "patch_kernel_from_weight",
    "patch_weight_from_kernel",
    "permute_qk",
    "resize_optimizer_state",
    "resize_patch_kernel",
    "resize_patch_weight",
    "row_value_and_grad",
    "resize_vocabulary",
    "stack_ropes",
    "table_on_host",
    "update_rows",
    "update_rows_lazily",
    "unpack_patches",
    "write_host_rows",
}


@pytest.fixture(autouse=True)
def _without_the_hook():
    """The hook cannot compare symbols with sizes that it has bound."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", before)


def exported(function, *arguments):
    return export.export(jax.jit(lambda *args: function(*args)))(*arguments)


@pytest.mark.parametrize("name", {**EXPORTED, **MODULES})
def test_batches_and_lengths_may_be_symbols(name):
    function, arguments = {**EXPORTED, **MODULES}[name]
    for result in exported(function, *arguments).out_avals:
        assert any(map(export.is_symbolic_dim, result.shape))


@pytest.mark.parametrize("name", REFUSED)
def test_sizes_that_must_be_numbers_are_refused_by_name(name):
    function, argument = REFUSED[name]
    with pytest.raises(ValueError, match=rf"^{name}: .*\bs\b"):
        exported(function, argument)


def test_every_public_function_is_one_or_the_other():
    tested = {name.split()[0] for name in (*EXPORTED, *REFUSED)}
    of_ropes = {"rope_from_hf", "ropes_by_length_from_hf", "ropes_from_hf"}
    assert tested | NOTHING_SYMBOLIC == PUBLIC | of_ropes
    assert tested & NOTHING_SYMBOLIC == set()


LIMITED = {
    "apply_learned_positional_embedding": (np.ones((ROWS, WIDTH), np.float32),),
    "apply_text_embedding": (),
    "apply_positional_encoding below a bound": (),
    "LearnedPositionalEmbedding": (),
    "PositionalEncoding": (),
    "RotaryEmbedding": (),
    "TextEmbedding": (),
}


@pytest.mark.parametrize("name", LIMITED)
def test_positions_past_a_limit_are_nan_in_an_exported_program(name):
    function, arguments = {**EXPORTED, **MODULES}[name]
    first, end = LIMITED[name], ROWS - 7 * ("below" in name)
    program = exported(function, *arguments)
    *_, last = arguments

    def inputs(length):
        return np.ones((2, length, *last.shape[2:]), last.dtype)

    for length in (end, end + 2):
        rows = np.asarray(program.call(*first, inputs(length)))
        lost = np.isnan(rows.reshape(2, length, -1))
        np.testing.assert_array_equal(lost.all(-1)[0], np.arange(length) >= end)
        assert lost.any(-1).sum() == lost.all(-1).sum()
    within = jax.jit(lambda *args: function(*args))(*first, inputs(end))
    np.testing.assert_array_equal(program.call(*first, inputs(end)), within)


def test_a_constraint_decides_what_a_limit_does():
    """No symbol can be too long then, or every one is."""
    (short,) = export.symbolic_shape("s", constraints=[f"s <= {ROWS}"])
    program = exported(learned, TABLE, array(short, WIDTH))
    assert "stablehlo.select" not in program.mlir_module()  # no NaN
    (long,) = export.symbolic_shape("s", constraints=[f"s >= {ROWS + 1}"])
    with pytest.raises(ValueError, match=r"seq_len=s must be at most num_positions=12"):
        exported(learned, TABLE, array(long, WIDTH))
    rotary = attnax.RotaryEmbedding(WIDTH, ROWS)
    nan = "dense<2143289344>"  # as an integer of 32 bits
    assert nan in exported(rotary, array(LENGTH, 3, WIDTH)).mlir_module()
    assert nan not in exported(rotary, array(short, 3, WIDTH)).mlir_module()
    with pytest.raises(ValueError, match=r"seq_len=s must be at most max_positions=12"):
        exported(rotary, array(long, 3, WIDTH))


@pytest.mark.parametrize("axis_type", (AxisType.Auto, AxisType.Explicit))
@pytest.mark.parametrize("options", ({}, {"vocab_axis": "b"}), ids=str)
def test_the_gradient_of_a_sharded_table(axis_type, options):
    """It is not run: XLA ends the process where it puts sizes into such programs."""
    mesh = jax.make_mesh((2, 2), ("a", "b"), axis_types=(axis_type,) * 2)
    place = jax.NamedSharding(mesh, jax.P("b"))

    def gradient(weight, ids):
        params = F.TokenEmbeddingParams(weight)
        rows = lambda params: F.apply_token_embedding(params, ids, **options).sum()
        return jax.grad(rows)(params).weight

    with jax.set_mesh(mesh):
        weight = jax.ShapeDtypeStruct((ROWS, WIDTH), np.float32, sharding=place)
        (result,) = exported(gradient, weight, integers(BATCH, 3)).out_avals
    assert result.shape == (ROWS, WIDTH)


def test_a_gradient_whose_width_is_a_symbol():
    """Twelve ids read a table of fifteen rows, where the form depends on the width."""
    (width,) = export.symbolic_shape("d")

    def loss(weight, ids):
        return (F.apply_token_embedding(F.TokenEmbeddingParams(weight), ids) ** 2).sum()

    exported = export.export(jax.jit(jax.grad(loss)))(array(15, width), integers(12))
    weight = np.ones((15, 4), np.float32)
    ids = np.arange(12, dtype=np.int32) // 2
    expected = np.where(np.arange(15)[:, None] < 6, 4.0, 0.0)
    np.testing.assert_array_equal(exported.call(weight, ids), expected * weight)
