"""The model of the first example on a mesh of devices, with a memory of n-grams.

Batches are sharded over one axis of the mesh, and the rows of all tables over the other
one. The program is the same at one device and at many: only the mesh differs. Run it
with

    python examples/sharded_language_model.py                   # 8 virtual devices
    python examples/sharded_language_model.py --data 2 --vocabulary 4
    python examples/sharded_language_model.py --compare         # and on one device
    python examples/sharded_language_model.py --steps 200 --checkpoint run
    python examples/sharded_language_model.py --steps 400 --checkpoint run --data 1

The last command goes on where the one before it ended, at another number of devices.

It needs no accelerator: JAX makes devices of the cores. At the end it prints what a
device holds, and draws the loss of every step and the memory of a device.

The memory is a table of hashed 2-grams and 3-grams. A step reads few of its rows, and
its gradient and its update are of these rows alone. The loss of the tied head is taken
without the logits.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
from typing import NamedTuple

import program


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    count = program.whole_number(1, 8)
    parser.add_argument("--data", type=count, default=4, help="shards of a batch")
    parser.add_argument("--vocabulary", type=count, default=2, help="shards of a table")
    parser.add_argument("--steps", type=program.steps, default=50)
    parser.add_argument("--seed", type=program.seed, default=0)
    parser.add_argument("--compare", action="store_true", help="with one device")
    parser.add_argument("--checkpoint", type=program.folder, metavar="FOLDER")
    parser.add_argument(
        "--json", type=program.writable, metavar="PATH", help="append what was measured"
    )
    parser.add_argument(
        "--output",
        type=program.picture,
        metavar="PATH",
        default="sharded_language_model.png",
    )
    args = parser.parse_args()
    for name in ("data", "vocabulary"):
        if 8 % getattr(args, name):
            parser.error(f"--{name} must divide 8, as batches and tables do")
    return args


if __name__ == "__main__":
    # JAX reads the number of virtual devices when it starts.
    ARGS = parse_arguments()
    FLAG = f"--xla_force_host_platform_device_count={ARGS.data * ARGS.vocabulary}"
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {FLAG}"

# ruff: noqa: E402
import jax
import jax.numpy as jnp
import language_model as model
import numpy as np
import optax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from matplotlib.figure import Figure
from tqdm import tqdm

import attnax.functional as F

ROWS = 20_000  # at least, for each head of the memory
HEADS = 2  # for 2-grams, and as many for 3-grams
MEMORY_WIDTH = model.D_MODEL // (2 * HEADS)
HORIZON = 1000  # steps, after which the learning rate stays as it is
CHUNK = 64  # rows of the table per chunk of the head


# The model: that of the first example, whose embedding gets the rows of the memory too.


class Params(NamedTuple):
    """Everything that is trained."""

    model: model.Params
    memory: F.FusedEmbeddingParams


class State(NamedTuple):
    """Parameters, the states of both optimizers, the steps done, and the seed."""

    params: Params
    of_model: optax.OptState
    of_memory: optax.OptState
    step: jax.Array
    seed: jax.Array


def hashing():
    """Hashes of 2-grams and 3-grams with different primes, `2 * HEADS` rows a token."""
    (record,) = F.engram_hashings(
        [0],
        min_rows=ROWS,
        vocab_size=model.VOCAB_SIZE,
        heads_per_ngram=HEADS,
        pad_id=0,
    )
    return record


def init_params(key):
    model_key, memory_key = jax.random.split(key)
    memory = F.init_fused_embedding(
        memory_key, hashing().moduli, MEMORY_WIDTH, init_std=0.02, row_multiple=8
    )
    return Params(model.init_params(model_key, "rope"), memory)


def nats_per_byte(params, windows):
    """The loss of every byte but the first, `(batch, seq_len)`."""
    token_ids, targets = windows[:, :-1], windows[:, 1:]
    tokens, scale = params.model.tokens, model.D_MODEL**0.5
    x = F.apply_token_embedding(tokens, token_ids, scale=scale, vocab_axis="vocabulary")
    row_ids = F.ngram_row_ids(token_ids, hashing())
    x = x + F.apply_fused_embedding(params.memory, row_ids, combine="concatenate")
    rope = model.trained_rope()
    cos, sin = F.rotary_cos_sin(rope, jnp.arange(token_ids.shape[1]))
    for layer in params.model.layers:
        q, k, v = model.queries_keys_values(x, layer)
        q, k = (F.apply_rotary(rope, heads, cos, sin) for heads in (q, k))
        heads = jax.nn.dot_product_attention(q, k, v, is_causal=True)
        x = model.after_attention(x, heads, layer)
    return F.unembedding_cross_entropy(
        tokens.weight,
        model.rms_norm(x),
        targets,
        chunk_size=CHUNK,
        vocab_axis="vocabulary",
    )


# Training.


def optimizers():
    """Of the model, and of the memory.

    The learning rate of a step depends on nothing else, so that a training that stops
    and goes on takes the same steps as one that does not.

    Rows of the memory that a step does not read stay as they are, as Adagrad leaves
    them where the gradient is 0. Adam would move them.
    """
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, model.LEARNING_RATE, 100, HORIZON, model.LEARNING_RATE / 20
    )
    adam = optax.adamw(schedule, b2=0.98, weight_decay=0.1)
    return optax.chain(optax.clip_by_global_norm(1.0), adam), optax.adagrad(0.02)


def init_state(seed):
    params = init_params(jax.random.key(seed))
    of_model, of_memory = optimizers()
    return State(
        params,
        of_model.init(params.model),
        of_memory.init(params.memory),
        jnp.zeros((), jnp.int32),
        jnp.asarray(seed, jnp.uint32),
    )


def train_step(state, windows):
    """The next state, and the loss in nats per byte."""
    mean_loss = lambda params, windows: nats_per_byte(params, windows).mean()
    loss, gradients = F.row_value_and_grad(
        mean_loss,
        lambda params: params.memory.weight,
        lambda params, windows: F.ngram_row_ids(windows[:, :-1], hashing()),
    )(state.params, windows)
    (params, memory), (of_model, of_memory) = state.params, optimizers()
    updates, model_state = of_model.update(gradients.model, state.of_model, params)
    memory, memory_state = F.update_rows(
        of_memory, gradients.memory, state.of_memory, memory
    )
    params = Params(optax.apply_updates(params, updates), memory)
    step = state.step + 1
    return State(params, model_state, memory_state, step, state.seed), loss


def dense_step(state, windows):
    """The same with the gradient and the update of the whole memory, to compare."""
    mean_loss = lambda params: nats_per_byte(params, windows).mean()
    loss, gradients = jax.value_and_grad(mean_loss)(state.params)
    params, old, new = [], (state.of_model, state.of_memory), []
    for optimizer, *arrays in zip(
        optimizers(), gradients, old, state.params, strict=True
    ):
        updates, opt_state = optimizer.update(*arrays)
        params.append(optax.apply_updates(arrays[-1], updates))
        new.append(opt_state)
    return State(Params(*params), *new, state.step + 1, state.seed), loss


class Trainer:
    """A step that is compiled for a mesh, and the state of the training on it."""

    def __init__(self, data, vocabulary, seed, steps, step=train_step):
        devices = np.array(jax.devices()[: data * vocabulary])
        self.mesh = Mesh(devices.reshape(data, vocabulary), ("data", "vocabulary"))
        self.seed, self.steps = seed, steps
        self.shapes = jax.eval_shape(self._init)
        self.shardings = self._shardings()
        self.batches = NamedSharding(self.mesh, P("data"))
        windows = jax.ShapeDtypeStruct((model.BATCH_SIZE, model.SEQ_LEN + 1), np.uint8)
        compiled = jax.jit(
            step,
            donate_argnums=0,
            in_shardings=(self.shardings, self.batches),
            out_shardings=(self.shardings, None),
        )
        with jax.set_mesh(self.mesh):
            self.step = compiled.lower(self.shapes, windows).compile()

    def _init(self):
        return init_state(self.seed)

    def _shardings(self):
        """The rows of tables, and of their states, over `vocabulary`; others whole."""
        params = self.shapes.params
        tables = params.model.tokens.weight, params.memory.weight
        shapes = [table.shape for table in tables]
        spec_of = lambda leaf: P("vocabulary") if leaf.shape in shapes else P()
        sharding = lambda leaf: NamedSharding(self.mesh, spec_of(leaf))
        return jax.tree.map(sharding, self.shapes)

    def init(self):
        """The state before the first step, made on the mesh."""
        with jax.set_mesh(self.mesh):
            return jax.jit(self._init, out_shardings=self.shardings)()

    def restored(self, checkpoints):
        """The latest state, on this mesh, whatever mesh wrote it."""
        placed = lambda leaf, sharding: leaf.update(sharding=sharding)
        target = jax.tree.map(placed, self.shapes, self.shardings)
        restore = ocp.args.StandardRestore(target)
        state = checkpoints.restore(checkpoints.latest_step(), args=restore)
        if int(state.seed) != self.seed:
            sys.exit(
                f"The checkpoint is of --seed {state.seed}, not {self.seed}; pass that "
                "seed or another folder."
            )
        return state

    def mebibytes(self):
        """What a device holds: the state, and the temporary arrays of a step."""
        memory = self.step.memory_analysis()
        sizes = memory.argument_size_in_bytes, memory.temp_size_in_bytes
        return np.array(sizes) / 2**20


def windows_of(text, seed, step):
    """The batch of a step, which is the same after a restart."""
    rng = np.random.default_rng([seed, step])
    starts = rng.integers(len(text) - model.SEQ_LEN, size=model.BATCH_SIZE)
    return model.windows_at(text, starts, model.SEQ_LEN)


def train(trainer, text, checkpoints=None, label="training"):
    """The losses in bits per byte, from the step on at which the state was saved."""
    found = checkpoints is not None and checkpoints.latest_step() is not None
    state = trainer.restored(checkpoints) if found else trainer.init()
    first, losses = int(state.step), []
    if found:
        print(f"Goes on from step {first} on {trainer.mesh.size} devices.")
    bar = tqdm(range(first, trainer.steps), label)
    with bar, program.interrupt_flag() as stop:
        for step in bar:
            windows = jax.device_put(
                windows_of(text, trainer.seed, step), trainer.batches
            )
            state, loss = trainer.step(state, windows)
            losses.append(float(loss) * model.BITS)
            bar.set_postfix_str(f"{losses[-1]:.3f} bits/byte", refresh=False)
            if stop.is_set():
                break
    program.say_how_it_stopped(stop, len(losses), trainer.steps - first)
    if checkpoints is not None and losses:
        checkpoints.save(first + len(losses), args=ocp.args.StandardSave(state))
        checkpoints.wait_until_finished()
    return first, np.array(losses), stop


# What is shown.


def plot(path, curves, memory):
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    styles = ("-", "--")
    for style, (label, (first, losses)) in zip(styles, curves.items(), strict=False):
        left.plot(first + 1 + np.arange(len(losses)), losses, style, label=label)
    left.set(title="Loss during training", xlabel="step", ylabel="bits per byte")
    bottom = np.zeros(len(memory))
    for kind, sizes in zip(
        ("parameters, states and a batch", "temporary arrays of a step"),
        np.array(list(memory.values())).T,
        strict=True,
    ):
        right.bar(list(memory), sizes, bottom=bottom, label=kind)
        bottom += sizes
    right.set(title="Memory of a device", ylabel="MiB")
    right.tick_params(axis="x", labelsize="small")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize="small")
        axes.set_ylim(0, 1.2 * axes.get_ylim()[1])  # room for the legend
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def compare(args, text, first, losses):
    """The losses of the same steps on one device, and how far apart they are."""
    alone = Trainer(1, 1, args.seed, args.steps)
    _, expected, stop = train(alone, text, label="one device")
    expected = expected[first:]
    count = min(len(losses), len(expected))
    apart = np.abs(losses[:count] / expected[:count] - 1).max(initial=0)
    print(f"The losses of {count} steps differ from one device's by {apart:.1e}.")
    return (first, expected), apart, stop


def line_of(args, losses, apart, memory):
    """What was measured, as a line of JSON."""
    mebibytes = {
        " ".join(name.split()): sizes.round(1).tolist()
        for name, sizes in memory.items()
    }
    record = dict(
        mesh=[args.data, args.vocabulary],
        steps=args.steps,
        seed=args.seed,
        last_bits_per_byte=round(float(losses[-1]), 3) if len(losses) else None,
        largest_difference=None if apart is None else float(f"{apart:.2g}"),
        mebibytes=mebibytes,
        cores=os.cpu_count(),
        python=platform.python_version(),
        jax=jax.__version__,
    )
    return json.dumps(record)


def main(args):
    text, _ = model.load_text()
    name = f"{args.data} x {args.vocabulary} devices"
    with program.exit_on_sigterm(), checkpoints_in(args.checkpoint) as checkpoints:
        trainer = Trainer(args.data, args.vocabulary, args.seed, args.steps)
        first, losses, stop = train(trainer, text, checkpoints)
        curves, apart = {name: (first, losses)}, None
        if args.compare and not stop.status:
            curves["one device"], apart, stop = compare(args, text, first, losses)
        memory = {
            "one device,\ndense gradients": Trainer(1, 1, 0, args.steps, dense_step),
            "one device": Trainer(1, 1, 0, args.steps),
            name: trainer,
        }
        memory = {name: one.mebibytes() for name, one in memory.items()}
        print("MiB of a device, held and temporary:")
        for label, sizes in memory.items():
            held, temporary = sizes
            print(f"  {' '.join(label.split())}: {held:.1f} and {temporary:.1f}")
        if args.json:
            program.append(args.json, line_of(args, losses, apart, memory))
        program.save(args.output, lambda path: plot(path, curves, memory))
        print(f"Wrote {args.output}.", flush=True)
    return stop.status


def checkpoints_in(folder):
    if folder is None:
        return contextlib.nullcontext()
    options = ocp.CheckpointManagerOptions(max_to_keep=2)
    return ocp.CheckpointManager(folder.resolve(), options=options)


if __name__ == "__main__":
    sys.exit(main(ARGS))
