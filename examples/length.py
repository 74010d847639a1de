"""Positions beyond the trained length: the same model with five kinds of them.

The small language model of `language_model.py` is trained at one length with rotary
positions, T5's bias, ALiBi, FIRE and no positions at all, and then predicts held-out
text of four times that length. Run it with

    python examples/length.py
    python examples/length.py --methods rope alibi   # some of them
    python examples/length.py --steps 20             # a quick look

It needs no network and no accelerator: some minutes on two CPU cores. It draws
the loss during training and the loss by position, which says what a method makes of
positions that it has not been trained on. Ctrl-C stops the training early and leaves
out the methods that have not begun; SIGTERM draws what there is and ends.
"""

import argparse
import sys
from functools import partial

import jax
import language_model as model
import numpy as np
import program
from matplotlib.figure import Figure

import attnax.functional as F

TIMES = 4  # the trained length
EVERY = 64  # bytes from one held-out window to the next
LABELS = {
    "rope": "rotary",
    "t5": "T5's bias",
    "alibi": "ALiBi",
    "fire": "FIRE",
    "none": "no positions",
}


def method_of(name):
    """The record of a method; `None` stands for no positions."""
    heads = model.NUM_HEADS
    return {
        "rope": model.trained_rope(),
        "t5": F.T5Bias(heads, bidirectional=False),
        "alibi": F.AlibiBias(heads, form="signed"),
        # A quarter of the trained length, as in the paper: the ratio of positions then
        # begins to count in training.
        "fire": F.FireBias(heads, length=model.SEQ_LEN / 4),
        "none": None,
    }[name]


def init_params(key, method):
    """The model's parameters, with those of a bias, which all layers share."""
    params = model.init_params(key, "none")
    if not isinstance(method, F.PositionBias):
        return params
    return params._replace(positions=F.init_position_bias(key, method))


def nats_per_byte(method, params, windows):
    """The loss of every byte but the first, `(batch, seq_len)`."""
    token_ids = windows[:, :-1]
    at = range(token_ids.shape[1])
    rotate, bias = lambda heads: heads, None
    if isinstance(method, F.Rope):
        cos, sin = F.rotary_cos_sin(method, at)
        rotate = lambda heads: F.apply_rotary(method, heads, cos, sin)
    elif method is not None:  # once, for every layer
        bias = F.apply_position_bias(method, params.positions, at, at)

    scale = model.D_MODEL**0.5
    x = F.apply_token_embedding(params.tokens, token_ids, scale=scale)
    for layer in params.layers:
        q, k, v = model.queries_keys_values(x, layer)
        heads = jax.nn.dot_product_attention(
            rotate(q), rotate(k), v, bias=bias, is_causal=True
        )
        x = model.after_attention(x, heads, layer)
    return model.nats_of(model.logits_of(params, x), windows)


def run(names, train_text, held_out, steps, seed, losses, curves):
    """Trains and measures method by method; fills `losses` and `curves` by name."""
    for name in names:
        method = method_of(name)
        nats = partial(nats_per_byte, method)
        params = init_params(jax.random.key(seed), method)
        params, losses[name], stop = model.fit(
            params, nats, train_text, steps, seed, f"{LABELS[name]:>12}"
        )
        if stop.status:
            return stop.status
        seq_len = TIMES * model.SEQ_LEN
        curves[name] = model.mean_bits(params, nats, held_out, seq_len, EVERY)
        report(name, curves[name])
        if stop.is_set():
            break
    return 0


def report(name, curve):
    """Prints the loss within the trained length and in each multiple of it."""
    parts = np.split(curve, len(curve) // (model.SEQ_LEN // model.BIN))
    numbers = "  ".join(f"{part.mean():.3f}" for part in parts)
    print(f"{LABELS[name]:>12}: {numbers} bits per byte", flush=True)


def plot(path, losses, curves, baseline):
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for number, (name, label) in enumerate(LABELS.items()):
        color = f"C{number}"
        if name in losses:
            steps = np.arange(1, len(losses[name]) + 1)
            smooth = [np.mean(losses[name][max(0, i - 20) : i]) for i in steps]
            left.plot(steps, smooth, color=color, label=label)
        if name in curves:
            centers = model.BIN * (np.arange(len(curves[name])) + 0.5)
            right.plot(centers, curves[name], ".-", color=color, label=label)
    left.set(title="Loss during training, mean of 20 steps", xlabel="step")
    left.set(ylabel="bits per byte")
    right.axvline(model.SEQ_LEN, color="black", linestyle="--", label="trained length")
    right.set(title="Held-out loss by position", xlabel="position")
    right.set_xlim(0, TIMES * model.SEQ_LEN)
    for axes in (left, right):
        axes.axhline(baseline, color="C7", linestyle=":", label="unigram baseline")
        axes.set_ylim(0, None)
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--methods", nargs="+", choices=LABELS, default=list(LABELS))
    parser.add_argument("--steps", type=program.steps, default=500)
    parser.add_argument("--seed", type=program.seed, default=0)
    parser.add_argument(
        "--output", type=program.picture, metavar="PATH", default="length.png"
    )
    return parser.parse_args()


def main():
    args = parse_arguments()
    train_text, held_out = model.load_text()
    baseline, losses, curves = model.unigram_bits(train_text, held_out), {}, {}
    print(
        f"Trained on {model.SEQ_LEN} positions; held-out loss from there on, in each "
        f"further {model.SEQ_LEN}. The unigram baseline has {baseline:.3f}."
    )
    with program.exit_on_sigterm():
        try:
            status = run(
                args.methods,
                train_text,
                held_out,
                args.steps,
                args.seed,
                losses,
                curves,
            )
        finally:
            program.save(args.output, lambda p: plot(p, losses, curves, baseline))
            print(f"\nWrote {args.output}.", flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main())
