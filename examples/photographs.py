"""Two photographs as patches, and a grid of positions resized to fit them.

    python examples/photographs.py                     # less than a minute
    python examples/photographs.py --output other.png

The photographs come with scikit-learn: nothing is downloaded. Each is 427 x 640 pixels,
padded to 27 x 40 patches of 16 x 16, and put together again bit for bit.

A grid of 8 x 12 positions is trained on small views of the same photographs, with
nothing beside it: every second patch is hidden, and its color guessed as an average of
the others, weighted by a softmax of products of positions. So positions must learn what
is near. Then the grid is resized to 27 x 40, embeds the photographs, and guesses the
hidden half of their patches, once as it should and once with rows and columns swapped.
The picture shows that, and which positions are similar before and after. Ctrl-C and
SIGTERM stop the training early, and the picture is of what was learned so far.
"""

import argparse
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import program
from matplotlib.figure import Figure
from tqdm import tqdm

import attnax.functional as F

PATCH = 16  # pixels
GRID = (8, 12)  # of the views that positions are trained on
D_MODEL = 32
NUM_VIEWS, BATCH_SIZE, LEARNING_RATE = 4000, 32, 2e-2
HIDDEN = 0.5  # the share of patches
RESAMPLING = F.Resampling("bicubic", antialias=False)
# Positions whose similarity is drawn, as shares of height and width.
PLACES = ((0.06, 0.04), (0.44, 0.46), (0.81, 0.79), (0.94, 0.21))


def load_photographs():
    """Both photographs as uint8, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # files that it leaves open
        from sklearn.datasets import load_sample_images

        images = load_sample_images()
    names = [name.rpartition("/")[2].partition(".")[0] for name in images.filenames]
    return dict(zip(names, map(np.asarray, images.images), strict=True))


# Training positions.


def views(photographs, num_views, seed):
    """Mean colors of `GRID` patches: views of random size, place and direction."""
    rng, (rows, columns) = np.random.default_rng(seed), GRID
    blurred = [mean_colors(as_floats(photograph), 4) for photograph in photographs]
    out = np.empty((num_views, rows * columns, 3), np.float32)
    for index in range(num_views):
        colors = blurred[index % len(blurred)]
        height, width, _ = colors.shape
        side = rng.integers(2, min(height // rows, width // columns) + 1)
        top = rng.integers(height - rows * side + 1)
        left = rng.integers(width - columns * side + 1)
        view = colors[top : top + rows * side, left : left + columns * side]
        view = view[:, :: rng.choice([-1, 1])]
        out[index] = mean_colors(view, side).reshape(-1, 3)
    return out


def as_floats(photograph):
    return photograph / np.float32(255)


def mean_colors(image, side):
    """The mean color of every patch, `(rows, columns, 3)`; what is left over is cut."""
    rows, columns = image.shape[0] // side, image.shape[1] // side
    whole = image[: rows * side, : columns * side]
    return whole.reshape(rows, side, columns, side, 3).mean((1, 3))


def guess(table, colors, is_hidden):
    """Every patch as an average of those that are not hidden, `(num_patches, 3)`."""
    scores = jnp.where(is_hidden, -jnp.inf, table @ table.T)
    return jax.nn.softmax(scores, axis=-1) @ colors


def train(colors, steps, seed):
    """A table of positions that guesses the hidden patches of views, and a `Stop`."""
    optimizer = optax.adam(optax.cosine_decay_schedule(LEARNING_RATE, steps))

    @jax.jit
    def train_step(params, state, key):
        choose, hide = jax.random.split(key)
        chosen = jax.random.choice(choose, colors, (BATCH_SIZE,))
        is_hidden = jax.random.bernoulli(hide, HIDDEN, chosen.shape[:2])

        def mean_error(params):
            guesses = jax.vmap(guess, (None, 0, 0))(params.weight, chosen, is_hidden)
            errors = jnp.mean((guesses - chosen) ** 2, axis=-1)
            return jnp.mean(errors, where=is_hidden)

        error, gradients = jax.value_and_grad(mean_error)(params)
        updates, state = optimizer.update(gradients, state)
        return optax.apply_updates(params, updates), state, error

    init_key, step_key = jax.random.split(jax.random.key(seed))
    params = F.init_learned_positional_embedding(
        init_key, GRID[0] * GRID[1], D_MODEL, init_std=0.2
    )
    state, errors = optimizer.init(params), []
    bar = tqdm(range(steps), "training positions", unit="step")
    with bar, program.interrupt_flag() as stop:
        for step in bar:
            key = jax.random.fold_in(step_key, step)
            params, state, error = train_step(params, state, key)
            errors.append(float(error))
            mean = np.mean(errors[-50:]) ** 0.5
            bar.set_postfix_str(f"error {mean:.3f}", refresh=False)
            if stop.is_set():
                break
    program.say_how_it_stopped(stop, len(errors), steps)
    return params, stop


# What becomes of a photograph.


def cut_and_rejoin(photograph):
    """Its patches and their grid, having made sure that nothing is lost."""
    padded = F.pad_image(jnp.asarray(photograph), PATCH).image
    patches = F.patchify(padded, PATCH)
    rejoined = F.unpatchify(patches, padded.shape, PATCH)
    height, width, _ = photograph.shape
    if not np.array_equal(rejoined[:height, :width], photograph):
        raise AssertionError("patches must rejoin bit for bit")
    return patches, tuple(side // PATCH for side in padded.shape[:2])


def embed(photograph, positions, seed):
    """Tokens of a photograph: patches drawn at random, positions as trained."""
    padded = F.pad_image(jnp.asarray(as_floats(photograph)), PATCH).image
    params = F.init_vision_embedding(
        jax.random.key(seed),
        patch_size=PATCH,
        num_channels=3,
        d_model=D_MODEL,
        table_grid=GRID,
        num_tokens_with_position=0,
    )
    params = params._replace(positions=positions)
    return F.apply_vision_embedding(
        params, padded, patch_size=PATCH, table_grid=GRID, resampling=RESAMPLING
    )


def fill_in(table, photograph, is_hidden):
    """The mean colors, those of hidden patches guessed; and the error of these."""
    colors = mean_colors(F.pad_image(as_floats(photograph), PATCH).image, PATCH)
    flat = colors.reshape(-1, 3)
    guesses = np.asarray(guess(table, flat, is_hidden))
    error = float(np.mean((guesses - flat)[is_hidden] ** 2) ** 0.5)
    return np.where(is_hidden[:, None], guesses, flat).reshape(colors.shape), error


def similarity(table, grid, place):
    """Cosine similarity of one position with all, as a grid; and which one it is."""
    row, column = (int(share * size) for share, size in zip(place, grid, strict=True))
    unit = table / np.linalg.norm(table, axis=1, keepdims=True)
    return (unit @ unit[row * grid[1] + column]).reshape(grid), (row, column)


# The picture.


def plot(path, photographs, grid, tables, hidden, filled):
    figure = Figure(figsize=(11, 8.3), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1, 0.92))
    panels = above.subplots(len(photographs), 4, squeeze=False)
    for row, (name, photograph) in enumerate(photographs.items()):
        images = [apart(photograph), apart(photograph, hidden.reshape(grid))]
        images += [colors for colors, _ in filled[name]]
        for axes, image in zip(panels[row], images, strict=True):
            axes.imshow(image)
            axes.set_axis_off()
        for axes, (_, error) in zip(panels[row, 2:], filled[name], strict=True):
            note = f"error {error:.3f}"
            axes.text(0.5, -0.03, note, ha="center", va="top", transform=axes.transAxes)
    titles = (
        f"{grid[0]} x {grid[1]} patches",
        "half of them hidden",
        "guessed from positions, resized",
        "with rows and columns swapped",
    )
    for axes, title in zip(panels[0], titles, strict=True):
        axes.set_title(title, fontsize="medium")

    panels = below.subplots(2, len(PLACES))
    for row, (size, table) in enumerate(((GRID, tables[0]), (grid, tables[1]))):
        for axes, place in zip(panels[row], PLACES, strict=True):
            values, (y, x) = similarity(table, size, place)
            image = axes.imshow(values, cmap="RdBu_r", vmin=-1, vmax=1)
            axes.plot(x, y, "o", color="white", markeredgecolor="black", markersize=5)
            axes.set(xticks=[], yticks=[])
        panels[0, 0].set_ylabel(f"as trained, {GRID[0]} x {GRID[1]}")
    panels[1, 0].set_ylabel(f"resized, {grid[0]} x {grid[1]}")
    below.colorbar(image, ax=panels, label="cosine similarity", shrink=0.9, aspect=30)
    below.suptitle("Similarity of the marked position with all others", fontsize=11)
    figure.savefig(path, dpi=100)


def apart(photograph, is_hidden=None):
    """The patches with gaps between them; hidden ones are left out."""
    patches, (rows, columns) = cut_and_rejoin(photograph)
    patches = np.reshape(patches, (rows, columns, PATCH, PATCH, 3))
    gap, gray = 2, 205
    framed = np.full((rows, columns, PATCH + gap, PATCH + gap, 3), gray, np.uint8)
    framed[:, :, :PATCH, :PATCH] = patches
    if is_hidden is not None:
        framed[is_hidden] = gray
    height, width = rows * (PATCH + gap), columns * (PATCH + gap)
    flat = jnp.asarray(framed.reshape(rows * columns, -1))
    return F.unpatchify(flat, (height, width), PATCH + gap)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=program.steps, default=1500)
    parser.add_argument("--seed", type=program.seed, default=0)
    parser.add_argument(
        "--output", type=program.picture, metavar="PATH", default="photographs.png"
    )
    args = parser.parse_args()

    photographs = load_photographs()
    for name, photograph in photographs.items():
        patches, grid = cut_and_rejoin(photograph)
        height, width, _ = photograph.shape
        print(f"{name}: {height} x {width} pixels, {len(patches):,} patches; rejoined.")

    seen = jnp.asarray(views(list(photographs.values()), NUM_VIEWS, args.seed))
    positions, stop = train(seen, args.steps, args.seed)
    table = F.resize_positions(positions.weight, GRID, grid, RESAMPLING)
    swapped = F.resize_positions(positions.weight, GRID, grid[::-1], RESAMPLING)
    rng = np.random.default_rng(args.seed)
    hidden, filled = rng.random(grid[0] * grid[1]) < HIDDEN, {}
    print("Error of the hidden colors, of 1 between black and white:")
    for name, photograph in photographs.items():
        tokens = embed(photograph, positions, args.seed)
        filled[name] = [fill_in(t, photograph, hidden) for t in (table, swapped)]
        errors = [error for _, error in filled[name]]
        _, flat = fill_in(jnp.zeros_like(table), photograph, hidden)
        print(f"  {name}: {errors[0]:.3f}, axes swapped {errors[1]:.3f}", end="")
        print(f", one color for all {flat:.3f}; embedded as {tokens.shape}")

    tables = np.asarray(positions.weight), np.asarray(table)
    program.save(
        args.output, lambda p: plot(p, photographs, grid, tables, hidden, filled)
    )
    print(f"Wrote {args.output}.")
    return stop.status


if __name__ == "__main__":
    sys.exit(main())
