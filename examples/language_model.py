"""A small byte-level language model, trained on text that every Python carries.

The functional API of attnax in a hand-written training loop. Run it with

    python examples/language_model.py                        # rotary positions
    python examples/language_model.py --positions learned    # or sinusoidal, none
    python examples/language_model.py --extend yarn          # or linear, ntk
    python examples/language_model.py --dtype bfloat16       # what layers compute in
    python examples/language_model.py --steps 20             # a quick look

It needs no network and no accelerator: about two minutes on two CPU cores. Ctrl-C stops
the training early and goes on with what was learned so far; SIGTERM draws the losses so
far and ends. At the end it prints how well the model predicts text that it was not
trained on, writes a sample, and draws the loss during training and the loss by
position, out to twice the trained length.

`--extend` changes the frequencies of the trained model, without training it again, so
that four times the trained length fits, and shows the loss out to there with and
without the change. That takes a minute more, however few the steps.
"""

import argparse
import sys
import time
from functools import partial
from pydoc_data.topics import topics
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import program
from matplotlib.figure import Figure
from tqdm import tqdm

import attnax.functional as F

POSITIONS = ("rope", "sinusoidal", "learned", "none")
EXTENSION = 4  # times the trained length
VOCAB_SIZE = 256  # a token is a byte
SEQ_LEN = 128  # the trained length
D_MODEL, NUM_LAYERS, NUM_HEADS, HEAD_DIM = 128, 3, 4, 32
BATCH_SIZE, LEARNING_RATE = 8, 3e-3
BIN = 16  # positions per point of the curve of loss by position
BITS = 1 / np.log(2)  # per nat


# The text: the manual behind Python's `help()`.


def load_text():
    """Training and held-out bytes, without a paragraph in common."""
    paragraphs = {}  # several topics share paragraphs: the first one keeps it
    for name in sorted(topics):
        for paragraph in topics[name].split("\n\n"):
            paragraphs.setdefault(" ".join(paragraph.split()), paragraph)
    parts = [], []
    for index, paragraph in enumerate(paragraphs.values()):
        is_held_out = index // 32 % 10 == 5  # every tenth run of 32 paragraphs
        parts[is_held_out].append(paragraph)
    return [np.frombuffer("\n\n".join(p).encode(), np.uint8) for p in parts]


def windows_at(text, starts, seq_len):
    """Windows of `seq_len` bytes and the byte after, one per start."""
    return text[np.asarray(starts)[:, None] + np.arange(seq_len + 1)]


# The model: parameters are a tuple of arrays, and the model a function of them.


class Layer(NamedTuple):
    """Attention and a two-layer perceptron."""

    qkv: jax.Array  # d_model, 3, num_heads, head_dim
    out: jax.Array  # num_heads, head_dim, d_model
    up: jax.Array  # d_model, 4 * d_model
    down: jax.Array  # 4 * d_model, d_model


class Params(NamedTuple):
    """Everything that is trained."""

    tokens: F.TokenEmbeddingParams
    positions: F.LearnedPositionalEmbeddingParams | None
    layers: tuple[Layer, ...]


def init_params(key, kind):
    token_key, position_key, *layer_keys = jax.random.split(key, NUM_LAYERS + 2)
    positions = None
    if kind == "learned":
        positions = F.init_learned_positional_embedding(position_key, SEQ_LEN, D_MODEL)
    return Params(
        F.init_token_embedding(token_key, VOCAB_SIZE, D_MODEL, init_std=0.02),
        positions,
        tuple(init_layer(key) for key in layer_keys),
    )


def init_layer(key):
    shapes = Layer(
        qkv=(D_MODEL, 3, NUM_HEADS, HEAD_DIM),
        out=(NUM_HEADS, HEAD_DIM, D_MODEL),
        up=(D_MODEL, 4 * D_MODEL),
        down=(4 * D_MODEL, D_MODEL),
    )
    keys = jax.random.split(key, len(shapes))
    normal = (jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
    return Layer(*(0.02 * weight for weight in normal))


def computing_in(dtype, params):
    """Parameters with layers of `dtype`; embeddings are rounded where they are read."""
    return params._replace(
        layers=jax.tree.map(lambda weight: weight.astype(dtype), params.layers)
    )


def trained_rope():
    return F.Rope(F.default_inv_freq(HEAD_DIM))


def extended_rope(method):
    """The trained rope, changed so that `EXTENSION` times the length fits."""
    factor = float(EXTENSION)
    if method == "linear":
        return F.Rope(F.linear_inv_freq(HEAD_DIM, factor=factor))
    if method == "ntk":
        return F.Rope(F.ntk_inv_freq(HEAD_DIM, factor=factor))
    inv_freq = F.yarn_inv_freq(HEAD_DIM, factor=factor, original_max_len=SEQ_LEN)
    return F.Rope(inv_freq, attention_factor=F.yarn_attention_factor(factor))


def forward(params, token_ids, kind, start=0, cache=None, rope=None):
    """Logits of `(batch, seq_len)` ids at positions `start, start + 1, ...`.

    They are computed in the dtype of the layers, and the logits are float32 all the
    same. Also every layer's keys and values: those of `token_ids`, or, where a `cache`
    of earlier positions came in, the cache with these written into it. `rope` is the
    one that the model is trained with, unless it is given.
    """
    positions = start + jnp.arange(token_ids.shape[1])
    dtype, scale = params.layers[0].qkv.dtype, D_MODEL**0.5
    x = F.apply_token_embedding(params.tokens, token_ids, dtype=dtype, scale=scale)
    rotate = lambda heads: heads
    if kind == "rope":  # cos and sin once, for every layer, head, query and key
        rope = trained_rope() if rope is None else rope
        cos, sin = F.rotary_cos_sin(rope, positions)
        rotate = lambda heads: F.apply_rotary(rope, heads, cos, sin)
    elif kind == "sinusoidal":
        x = F.apply_positional_encoding(x, start=start)
    elif kind == "learned":
        x = F.apply_learned_positional_embedding(params.positions, x, positions)

    new_cache = []
    for index, layer in enumerate(params.layers):
        q, k, v = queries_keys_values(x, layer)
        q, k = rotate(q), rotate(k)
        if cache is not None:
            k, v = (
                jax.lax.dynamic_update_slice_in_dim(old, new, start, axis=1)
                for old, new in zip(cache[index], (k, v), strict=True)
            )
        new_cache.append((k, v))
        # Causal; it also hides the part of a cache that is not yet written.
        mask = jnp.arange(k.shape[1])[None, :] <= positions[:, None]
        heads = jax.nn.dot_product_attention(q, k, v, mask=mask[None, None])
        x = after_attention(x, heads, layer)
    return logits_of(params, x), new_cache


def queries_keys_values(x, layer):
    return jnp.einsum("btd,dshe->sbthe", rms_norm(x), layer.qkv)


def after_attention(x, heads, layer):
    """The rest of a layer, from the heads of its attention on."""
    x = x + jnp.einsum("bthe,hed->btd", heads, layer.out)
    return x + jax.nn.relu(rms_norm(x) @ layer.up) ** 2 @ layer.down


def logits_of(params, x):
    # For bfloat16 `x` a product of bfloat16, the float32 table rounded, and added up in
    # float32: the loss gets the sums as they are.
    return F.apply_token_unembedding(params.tokens, rms_norm(x), dtype=jnp.float32)


def rms_norm(x):
    wide = x.astype(jnp.float32)
    scale = jax.lax.rsqrt(jnp.mean(wide**2, axis=-1, keepdims=True) + 1e-6)
    return (wide * scale).astype(x.dtype)


def nats_per_byte(params, windows, kind, rope=None):
    """The loss of every byte but the first, `(batch, seq_len)`."""
    logits, _ = forward(params, windows[:, :-1], kind, rope=rope)
    return nats_of(logits, windows)


def nats_of(logits, windows):
    return optax.softmax_cross_entropy_with_integer_labels(logits, windows[:, 1:])


# Training.


def train(text, kind, steps, seed, dtype=jnp.float32):
    """The trained parameters, the loss of every step in bits per byte, and a `Stop`.

    The parameters are float32, and so are their gradients, whatever `dtype` the layers
    are computed in.
    """

    def nats(params, windows):
        return nats_per_byte(computing_in(dtype, params), windows, kind)

    params = init_params(jax.random.key(seed), kind)
    return fit(params, nats, text, steps, seed)


def fit(params, nats, text, steps, seed, label="training"):
    """As `train`, for a function `nats` of parameters and windows."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, LEARNING_RATE, min(100, steps // 10), steps, LEARNING_RATE / 20
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0),
        optax.adamw(schedule, b2=0.98, weight_decay=0.1),
    )

    @partial(jax.jit, donate_argnums=0)
    def train_step(state, windows):
        params, opt_state = state

        mean_loss = lambda params: nats(params, windows).mean()
        loss, gradients = jax.value_and_grad(mean_loss)(params)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        return (optax.apply_updates(params, updates), opt_state), loss

    state, losses = (params, optimizer.init(params)), []
    rng = np.random.default_rng(seed)
    bar = tqdm(range(steps), label, unit="tok", unit_scale=BATCH_SIZE * SEQ_LEN)
    with bar, program.interrupt_flag() as stop:
        for _ in bar:
            starts = rng.integers(len(text) - SEQ_LEN, size=BATCH_SIZE)
            state, loss = train_step(state, windows_at(text, starts, SEQ_LEN))
            losses.append(float(loss) * BITS)
            bar.set_postfix_str(f"{np.mean(losses[-20:]):.2f} bits/byte", refresh=False)
            if stop.is_set():
                break
    program.say_how_it_stopped(stop, len(losses), steps)
    return state[0], losses, stop


# What was learned.


def bits_by_position(params, text, kind, seq_len, rope=None):
    """Held-out bits per byte in each bin of positions.

    A window starts every `BIN` bytes, so that every bin averages over the same text.
    """
    nats = lambda params, windows: nats_per_byte(params, windows, kind, rope)
    return mean_bits(params, nats, text, seq_len, every=BIN)


def mean_bits(params, nats, text, seq_len, every):
    """Bits per byte in each bin, for a function `nats` of parameters and windows."""
    starts = np.arange(0, len(text) - seq_len, every)
    mean_loss = jax.jit(lambda *args: nats(*args).mean(0))
    size = min(32, 64 * SEQ_LEN // seq_len)  # attention takes memory by the square
    batches = [starts[i : i + size] for i in range(0, len(starts) - size + 1, size)]
    total = sum(mean_loss(params, windows_at(text, b, seq_len)) for b in batches)
    return BITS * np.reshape(total / len(batches), (-1, BIN)).mean(1)


def unigram_bits(train_text, held_out):
    counts = np.bincount(train_text, minlength=VOCAB_SIZE) + 1
    return -np.log2(counts / counts.sum())[held_out].mean()


def generate(params, prompt, kind, seed, temperature=0.7):
    """Continues `prompt` to the trained length, one step and one position at a time."""

    @partial(jax.jit, donate_argnums=0)
    def decode_step(cache, params, token_ids, position, key):
        logits, cache = forward(params, token_ids, kind, position, cache)
        return cache, jax.random.categorical(key, logits[0, -1] / temperature)

    dtype = params.layers[0].qkv.dtype
    empty = jnp.zeros((1, SEQ_LEN, NUM_HEADS, HEAD_DIM), dtype)
    cache = [(empty.copy(), empty.copy()) for _ in params.layers]
    keys, text = jax.random.split(jax.random.key(seed), SEQ_LEN), list(prompt)
    for position in range(SEQ_LEN - 1):  # traced: one compilation serves every step
        token_ids = np.array([[text[position]]], np.uint8)
        cache, sampled = decode_step(cache, params, token_ids, position, keys[position])
        if position + 1 == len(text):
            text.append(int(sampled))
    return bytes(text)


def plot(path, losses, curves, baseline):
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = np.arange(1, len(losses) + 1)
    smooth = [np.mean(losses[max(0, i - 20) : i]) for i in steps]
    left.plot(steps, losses, color="C0", alpha=0.25, linewidth=0.8)
    left.plot(steps, smooth, color="C0", label="training, mean of 20 steps")
    left.set(title="Loss during training", xlabel="step", ylabel="bits per byte")

    for color, (label, curve) in zip(("C0", "C1"), curves.items(), strict=False):
        centers = BIN * np.arange(len(curve)) + BIN / 2
        note = " (its table ends here)" if label == "learned" else ""
        right.plot(centers, curve, ".-", color=color, label=f"{label}{note}")
    right.axvline(SEQ_LEN, color="black", linestyle="--", label="trained length")
    right.set(title="Held-out loss by position", xlabel="position")
    longest = max(map(len, curves.values()), default=0)
    right.set_xlim(0, max(2 * SEQ_LEN, BIN * longest))
    for axes in (left, right):
        axes.axhline(baseline, color="C7", linestyle=":", label="unigram baseline")
        axes.set_ylim(0, None)
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def report(curves, baseline, seq_len):
    """Prints the loss of each curve within the trained length and beyond."""
    print(f"Held-out bits per byte; the unigram baseline has {baseline:.3f}:")
    for label, curve in curves.items():
        inside, beyond = np.split(curve, [SEQ_LEN // BIN])
        print(f"  {label}: {inside.mean():.3f}")
        if beyond.size:
            print(f"    at positions {SEQ_LEN} to {seq_len - 1}: {beyond.mean():.3f}")


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--positions", choices=POSITIONS, default="rope")
    parser.add_argument("--extend", choices=("linear", "ntk", "yarn"))
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--steps", type=program.steps, default=1000)
    parser.add_argument("--seed", type=program.seed, default=0)
    parser.add_argument(
        "--output",
        type=program.picture,
        metavar="PATH",
        default="language_model.png",
    )
    args = parser.parse_args()
    if args.extend and args.positions != "rope":
        parser.error("--extend changes rotary positions; leave --positions out")
    return args


def main():
    args = parse_arguments()
    kind = args.positions
    train_text, held_out = load_text()
    print(f"{len(train_text):,} bytes to train on, {len(held_out):,} held out.")
    baseline, curves = unigram_bits(train_text, held_out), {}
    with program.exit_on_sigterm():
        made = train(train_text, kind, args.steps, args.seed, args.dtype)
        params, losses, stop = made
        try:
            if not stop.status:
                params = computing_in(args.dtype, params)
                measure(args, params, held_out, curves, baseline)
        finally:
            program.save(args.output, lambda p: plot(p, losses, curves, baseline))
            print(f"\nWrote {args.output}.", flush=True)
    return stop.status


def measure(args, params, held_out, curves, baseline):
    """Adds the curves of held-out text, one by one, and prints them and a sample."""
    kind = args.positions
    seq_len = SEQ_LEN * (EXTENSION if args.extend else 1 if kind == "learned" else 2)
    curves[kind] = bits_by_position(params, held_out, kind, seq_len)
    if args.extend:
        rope, label = extended_rope(args.extend), f"{kind}, {args.extend}"
        curves[label] = bits_by_position(params, held_out, kind, seq_len, rope)
    report(curves, baseline, seq_len)

    begin = time.perf_counter()
    sample = generate(params, held_out[:48].tobytes(), kind, args.seed)
    seconds = time.perf_counter() - begin
    print(f"A sample, decoded byte by byte in {seconds:.1f} s:\n")
    print(sample.decode(errors="replace"))


if __name__ == "__main__":
    sys.exit(main())
