"""What position biases look like: a matrix of queries and keys for each scheme.

The parameters are drawn at random, and so are queries and keys where a scheme reads
them: the pictures show which pairs share a number, and not what a model has learned.
Run it with

    python examples/position_biases.py
"""

import argparse
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import program
from matplotlib.figure import Figure

import attnax.functional as F

LENGTH, GRID, WIDTH = 64, (8, 8), 16
COLUMNS = 4


def matrix_of(bias, reads="", length=LENGTH):
    """The bias of one head, for random parameters; `reads` is "q", "k" or both."""
    key, *keys = jax.random.split(jax.random.key(2), 3)
    params = F.init_position_bias(key, bias, init_std=1.0)
    vectors = (jax.random.normal(k, (length, 1, WIDTH)) for k in keys)
    content = {n: t for n, t in zip("qk", vectors, strict=True) if n in reads}
    at = range(length)
    return F.apply_position_bias(bias, params, at, at, **content)[0]


def forgetting():
    """The sums of random gates; a mask hides the keys after each query."""
    logits = 2 + 2 * jax.random.normal(jax.random.key(3), (LENGTH, 1))
    sums = F.cumulate_log_gates(jax.nn.log_sigmoid(logits))
    bias, at = F.ForgettingBias(1), range(LENGTH)
    return before(F.apply_position_bias(bias, None, at, at, q=sums, k=sums)[0])


def contextual():
    """Positions that gates count; a mask hides the keys after each query."""
    keys = jax.random.split(jax.random.key(4), 3)
    params = F.init_contextual_position_bias(keys[0], 12, WIDTH, init_std=1.0)
    q, k = (jax.random.normal(key, (LENGTH, 1, WIDTH)) for key in keys[1:])
    mask = jnp.tril(jnp.ones((LENGTH, LENGTH), bool))
    return before(F.apply_contextual_position_bias(params, q, k, mask)[0])


def before(matrix):
    """A matrix without the keys after each query, which stay white."""
    return jnp.where(jnp.tril(jnp.ones(matrix.shape, bool)), matrix, jnp.nan)


# Of a text, by the distance or by queries and keys; then of the places of a picture.
SCHEMES = {
    "T5": partial(matrix_of, F.T5Bias(1, bidirectional=True)),
    "ALiBi": partial(matrix_of, F.AlibiBias(1, max_bias=4.0)),
    "KERPLE": partial(matrix_of, F.KerpleBias(1)),
    "FIRE": partial(matrix_of, F.FireBias(1, length=16)),
    "Sandwich": partial(matrix_of, F.SandwichBias(1)),
    "Forgetting Transformer": forgetting,
    "CoPE": contextual,
    "relative keys": partial(
        matrix_of, F.RelativeKeyBias(1, WIDTH, left=16, right=16), "q"
    ),
    "DeBERTa": partial(matrix_of, F.DisentangledBias(1, WIDTH, max_distance=16), "qk"),
    "Transformer-XL": partial(
        matrix_of, F.TransformerXLBias(1, WIDTH, d_model=32), "qk"
    ),
    "Inkling": partial(matrix_of, F.ProfileBias(1, num_profiles=WIDTH, extent=24), "q"),
    "Swin": partial(matrix_of, F.WindowBias(1, GRID)),
    "BEiT": partial(
        matrix_of, F.WindowBias(1, GRID, num_prefix_tokens=1), length=LENGTH + 1
    ),
    "LeViT": partial(matrix_of, F.OffsetBias(1, GRID)),
    "Swin v2": partial(matrix_of, F.LogCoordinateBias(1, GRID)),
    "SAM": partial(matrix_of, F.DecomposedBias(1, WIDTH, q_grid=GRID), "q"),
}


def draw(axes, name, matrix):
    matrix = np.asarray(matrix)
    # The extremes of few pairs would take the colors of all others.
    low, high = np.nanpercentile(matrix, (1, 99))
    axes.imshow(matrix, cmap="viridis", vmin=low, vmax=high, interpolation="nearest")
    axes.set_title(name, fontsize="medium")
    axes.set(xticks=(), yticks=())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("schemes", nargs="*", metavar="scheme", help=", ".join(SCHEMES))
    parser.add_argument(
        "--output", type=program.picture, metavar="PATH", default="position_biases.png"
    )
    args = parser.parse_args()
    unknown = [name for name in args.schemes if name not in SCHEMES]
    if unknown:
        parser.error(f"{unknown[0]!r} must be one of {', '.join(SCHEMES)}")
    names = args.schemes or list(SCHEMES)
    rows, columns = -(-len(names) // COLUMNS), min(COLUMNS, len(names))
    figure = Figure(figsize=(2.25 * columns, 2.4 * rows), layout="constrained")
    for place, name in enumerate(names, 1):
        draw(figure.add_subplot(rows, columns, place), name, SCHEMES[name]())
    figure.supxlabel("key", fontsize="medium")
    figure.supylabel("query", fontsize="medium")
    program.save(args.output, lambda path: figure.savefig(path, dpi=90))
    print(f"Wrote {args.output}.")


if __name__ == "__main__":
    main()
