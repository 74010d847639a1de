"""A small vision transformer, trained on digits of 8 x 8 pixels and run at other sizes.

Equinox modules, with `attnax.nn.VisionEmbedding` for all that stands before the first
layer. Run it with

    python examples/vision_transformer.py              # about a minute on two CPU cores
    python examples/vision_transformer.py --steps 50   # a quick look
    python examples/vision_transformer.py --json runs.jsonl

The images come with scikit-learn: nothing is downloaded. After training it enlarges (or
shrinks) the held-out digits to sizes that the model has never seen, most of them not
square, and prints how many it still reads, with positions resized, with patches
resized, and with two mistakes that raise no error elsewhere. Ctrl-C stops the training
early and goes on with what was learned; after SIGTERM it does so for one size and ends.
"""

import argparse
import json
import os
import platform
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import program
from sklearn.datasets import load_digits
from tqdm import tqdm

import attnax
import attnax.functional as F

SIDE, PATCH = 8, 2  # pixels; so the positions are a grid of 4 x 4
SIZES = ((8, 8), (6, 8), (8, 12), (12, 8), (12, 12), (12, 16), (16, 12), (16, 16))
RUN = 138  # images in a row, about as many as each of 13 people wrote
D_MODEL, NUM_LAYERS, NUM_HEADS = 48, 3, 4
BATCH_SIZE, LEARNING_RATE = 64, 2e-3


# The digits.


def load_images():
    """Training images and labels, and those held out: every fourth run of images.

    Images stand roughly in the order of the people who wrote them: drawn at random,
    both sides would hold the same hands.
    """
    digits = load_digits()
    images = (digits.images[..., None] / 16).astype(np.float32)
    is_held_out = np.arange(len(images)) // RUN % 4 == 2
    return [
        (images[part], digits.target[part].astype(np.int32))
        for part in (~is_held_out, is_held_out)
    ]


def distort(key, image):
    """The image turned, sheared, scaled and shifted a little."""
    angle, shear, scale, *shift = jax.random.uniform(key, (5,), minval=-1.0)
    cos, sin = jnp.cos(0.26 * angle), jnp.sin(0.26 * angle)
    turn = jnp.array([[cos, -sin], [sin + 0.2 * shear, cos]]) * (1 + 0.15 * scale)
    center = (SIDE - 1) / 2
    pixels = jnp.stack(
        jnp.meshgrid(*2 * [jnp.arange(float(SIDE)) - center], indexing="ij")
    )
    where = jnp.tensordot(turn, pixels, 1) + center + jnp.stack(shift)[:, None, None]
    warped = jax.scipy.ndimage.map_coordinates(image[..., 0], list(where), order=1)
    return warped[..., None]


# The model.


class Layer(eqx.Module):
    """Attention and a two-layer perceptron."""

    attention: eqx.nn.MultiheadAttention
    perceptron: eqx.nn.MLP
    norms: tuple[eqx.nn.LayerNorm, eqx.nn.LayerNorm]

    def __init__(self, key):
        keys = jax.random.split(key)
        self.attention = eqx.nn.MultiheadAttention(NUM_HEADS, D_MODEL, key=keys[0])
        self.perceptron = eqx.nn.MLP(
            D_MODEL, D_MODEL, 2 * D_MODEL, 1, activation=jax.nn.gelu, key=keys[1]
        )
        self.norms = eqx.nn.LayerNorm(D_MODEL), eqx.nn.LayerNorm(D_MODEL)

    def __call__(self, x):
        """The tokens of one image after this layer."""
        normed = jax.vmap(self.norms[0])(x)
        x = x + self.attention(normed, normed, normed)
        return x + jax.vmap(self.perceptron)(jax.vmap(self.norms[1])(x))


class VisionTransformer(eqx.Module):
    """Reads one image; the class token says at the end what it shows."""

    embedding: attnax.nn.VisionEmbedding
    layers: list[Layer]
    norm: eqx.nn.LayerNorm
    head: eqx.nn.Linear

    def __init__(self, key):
        embedding_key, head_key, *layer_keys = jax.random.split(key, NUM_LAYERS + 2)
        self.embedding = attnax.nn.VisionEmbedding(
            image_size=SIDE,
            patch_size=PATCH,
            num_channels=1,
            d_model=D_MODEL,
            resampling=F.Resampling("bicubic", antialias=False),
            key=embedding_key,
        )
        self.layers = [Layer(key) for key in layer_keys]
        self.norm = eqx.nn.LayerNorm(D_MODEL)
        self.head = eqx.nn.Linear(D_MODEL, 10, key=head_key)

    def __call__(self, image):
        """Logits of one image."""
        return self.classify(self.embedding(image))

    def classify(self, tokens):
        """Logits of what the embedding made of an image."""
        for layer in self.layers:
            tokens = layer(tokens)
        return self.head(self.norm(tokens[0]))


def train(images, labels, steps, seed):
    """The trained model, the number of steps that it has, and a `Stop`."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, LEARNING_RATE, min(100, steps // 10), steps, LEARNING_RATE / 100
    )
    optimizer = optax.adamw(schedule, weight_decay=0.05)
    model_key, step_key = jax.random.split(jax.random.key(seed))
    model = VisionTransformer(model_key)
    state = optimizer.init(eqx.filter(model, eqx.is_array))

    @eqx.filter_jit(donate="all")
    def train_step(model, state, images, labels, key):
        @eqx.filter_value_and_grad
        def mean_loss(model):
            distorted = jax.vmap(distort)(jax.random.split(key, len(images)), images)
            logits = jax.vmap(model)(distorted)
            losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
            return losses.mean()

        loss, gradients = mean_loss(model)
        params = eqx.filter(model, eqx.is_array)
        updates, state = optimizer.update(gradients, state, params)
        return eqx.apply_updates(model, updates), state, loss

    rng, losses = np.random.default_rng(seed), []
    bar = tqdm(range(steps), "training", unit="step")
    with bar, program.interrupt_flag() as stop:
        for step in bar:
            batch = rng.integers(len(images), size=BATCH_SIZE)
            key, drawn = jax.random.fold_in(step_key, step), images[batch]
            model, state, loss = train_step(model, state, drawn, labels[batch], key)
            losses.append(float(loss))
            bar.set_postfix_str(f"loss {np.mean(losses[-50:]):.3f}", refresh=False)
            if stop.is_set():
                break
    program.say_how_it_stopped(stop, len(losses), steps)
    return model, len(losses), stop


# Other sizes. Each takes the trained embedding and images, and returns tokens.


def positions_resized(embedding, images):
    """Embeds as the module does: patches of the trained size, positions between."""
    return embedding(images)


def patches_resized(embedding, images):
    """FlexiViT: as many patches as trained, so larger ones, and the table as it is."""
    (height, width), (rows, columns) = images.shape[1:3], embedding.table_grid
    if height % rows or width % columns:
        return None
    patch_size = height // rows, width // columns
    patch = embedding.params.patch
    resized = F.resize_patch_weight(
        patch.weight,
        embedding.patch_size,
        patch_size,
        F.Resampling("bilinear", antialias=False),
    )
    params = embedding.params._replace(patch=patch._replace(weight=resized.weight))
    return F.apply_vision_embedding(
        params, images, patch_size=patch_size, table_grid=embedding.table_grid
    )


def axes_swapped(embedding, images):
    """A mistake: resized to columns x rows. Squares do not show it."""
    table, (rows, columns) = embedding.params.positions.weight, grid_of(images)
    resized = F.resize_positions(
        table,
        embedding.table_grid,
        (columns, rows),
        embedding.resampling,
        num_prefix_tokens=1,
    )
    return with_table(embedding, images, resized)


def rows_read_on(embedding, images):
    """A mistake: token `i` gets row `i` of the table, whatever the grid.

    Past the end JAX repeats the last row. attnax raises, so they are taken by hand.
    """
    rows, columns = grid_of(images)
    table = embedding.params.positions.weight[jnp.arange(1 + rows * columns)]
    return with_table(embedding, images, table)


WAYS = (positions_resized, patches_resized, axes_swapped, rows_read_on)


def grid_of(images):
    return F.patch_grid(images.shape[1:3], PATCH)


def with_table(embedding, images, table):
    positions = F.LearnedPositionalEmbeddingParams(table)
    params = embedding.params._replace(positions=positions)
    return F.apply_vision_embedding(
        params, images, patch_size=PATCH, table_grid=grid_of(images)
    )


def accuracies(model, images, labels, size):
    """The share of images of `size` that are read, by way; `None` where it has none."""
    resized = jax.image.resize(
        images, (len(images), *size, 1), "linear", antialias=False
    )
    classify = eqx.filter_jit(lambda model, tokens: jax.vmap(model.classify)(tokens))
    shares = {}
    for way in WAYS:
        tokens = eqx.filter_jit(way)(model.embedding, resized)
        share = None
        if tokens is not None:
            read = np.argmax(classify(model, tokens), axis=-1)
            share = round(float(np.mean(read == labels)), 3)
        shares[way.__name__] = share
    return shares


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=program.steps, default=1500)
    parser.add_argument("--seed", type=program.seed, default=0)
    parser.add_argument(
        "--json",
        type=program.writable,
        metavar="PATH",
        help="append the results, as lines",
    )
    args = parser.parse_args()

    (images, labels), (held_out, answers) = load_images()
    print(f"{len(images):,} images to train on, {len(held_out):,} held out.")
    model, steps, stop = train(images, labels, args.steps, args.seed)

    print("Share of held-out digits that are read:")
    names = [way.__name__.replace("_", " ") for way in WAYS]
    print("  ".join(("  size", *(f"{name:>17}" for name in names))))
    about = {
        "steps": steps,
        "seed": args.seed,
        "train": len(images),
        "held_out": len(held_out),
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "jax": jax.__version__,
    }
    # After SIGTERM there is time for the size that it was trained at.
    for size in SIZES[:1] if stop.status else SIZES:
        shares = accuracies(model, held_out, answers, size)
        cells = ("" if s is None else f"{s:.3f}" for s in shares.values())
        label = f"{size[0]} x {size[1]}"
        print("  ".join((f"{label:>7}", *(f"{cell:>17}" for cell in cells))))
        if args.json:
            program.append(args.json, json.dumps({"size": size, **shares, **about}))
    return stop.status


if __name__ == "__main__":
    sys.exit(main())
