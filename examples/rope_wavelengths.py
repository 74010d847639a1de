"""How far the pairs of rotary embeddings reach, and what scaling methods do to them.

For one or several models, from nothing but their configs, it draws the wavelength of
every pair, the positions of one full turn, against the trained context. Run it with

    python examples/rope_wavelengths.py                   # four released models
    python examples/rope_wavelengths.py config.json ...   # any model's config.json

A pair whose wavelength is longer than the trained context has never been seen to turn
once; scaling methods stretch such waves, and leave short ones alone or not. It also
prints one line per model.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import program
from matplotlib.figure import Figure

from attnax.interop import rope_from_hf

# What these models' config.json say about rotary positions.
RELEASED = {
    "Llama 3.1 8B": {
        "model_type": "llama",
        "hidden_size": 4096,
        "num_attention_heads": 32,
        "max_position_embeddings": 131_072,
        "rope_theta": 500_000.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    },
    "gpt-oss 20B": {
        "model_type": "gpt_oss",
        "head_dim": 64,
        "max_position_embeddings": 131_072,
        "rope_theta": 150_000.0,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 32.0,
            "beta_fast": 32.0,
            "beta_slow": 1.0,
            "truncate": False,
            "original_max_position_embeddings": 4096,
        },
    },
    "Gemma 3 4B, global layers": {
        "model_type": "gemma3_text",
        "hidden_size": 2560,
        "max_position_embeddings": 131_072,
        "rope_scaling": {
            "rope_type": "linear",
            "factor": 8.0,
            # Not in the file, but in the report: linear scaling does not read it.
            "original_max_position_embeddings": 32_768,
        },
    },
    "Gemma 4, global layers": {
        "model_type": "gemma4_text",
        "max_position_embeddings": 131_072,
    },
}


PARAMETERS = ("rope_scaling", "rope_parameters")


def ropes_of(config, layer_type, seq_len):
    """The rope of a config, and the one of the same base without scaling."""
    scaled = rope_from_hf(config, layer_type=layer_type, seq_len=seq_len)
    if scaled is None:
        raise SystemExit(f"{layer_type!r} layers have no rotary positions.")
    return scaled, rope_from_hf(without_scaling(config), layer_type=layer_type)


def without_scaling(config):
    """The config without what a method of context extension adds to it."""
    keep = ("rope_theta", "partial_rotary_factor", "mrope_section")

    def plain(parameters):
        if any(isinstance(value, dict) for value in parameters.values()):
            return {k: v and plain(v) for k, v in parameters.items()}
        kind = parameters.get("rope_type", parameters.get("type"))
        kind = kind if kind == "proportional" else "default"
        return {k: v for k, v in parameters.items() if k in keep} | {"rope_type": kind}

    def changed(name, value):
        if name in PARAMETERS and value:
            return plain(value)
        return without_scaling(value) if isinstance(value, dict) else value

    return {name: changed(name, value) for name, value in config.items()}


def trained_length(config, layer_type):
    """Positions that the plain frequencies were trained on, if the config says it."""
    for name in PARAMETERS:
        parameters = config.get(name) or {}
        parameters = parameters.get(layer_type) or parameters
        if "original_max_position_embeddings" in parameters:
            return parameters["original_max_position_embeddings"]
        if parameters.get("rope_type", parameters.get("type")) == "linear":
            return None
    if "max_position_embeddings" in config:
        return config["max_position_embeddings"]
    parts = [
        v for k, v in config.items() if isinstance(v, dict) and k not in PARAMETERS
    ]
    lengths = [trained_length(part, layer_type) for part in parts]
    return next(filter(None, lengths), None)


def draw(axes, name, scaled, plain, trained):
    index = np.arange(scaled.rotary_pairs)
    # A pair that stands still has no wavelength, and leaves a gap.
    wavelength = [2 * np.pi / abs(f) if f else np.nan for f in scaled.inv_freq]
    own = [2 * np.pi / abs(f) if f else np.nan for f in plain.inv_freq]
    top = max(1e8, 2 * np.nanmax(wavelength + own))
    if scaled.inv_freq != plain.inv_freq:
        axes.plot(own, color="C7", linestyle="--", label="without scaling")
    axes.plot(index, wavelength, ".-", color="C0", markersize=4, label="as configured")
    if trained:
        axes.axhline(trained, color="black", linewidth=0.8, label="trained context")
        axes.axhspan(trained, top, color="C1", alpha=0.1, label="less than one turn")
    axes.set(title=name, xlabel="pair", yscale="log", ylim=(4, top))
    axes.set_xlim(0, scaled.rotary_pairs - 1)
    axes.legend(frameon=False, fontsize="small", loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)


def describe(name, scaled, trained):
    turning = [abs(f) for f in scaled.inv_freq if f]
    shortest, longest = (2 * np.pi / f for f in (max(turning), min(turning)))
    line = f"{name}: {len(turning)} of {scaled.rotary_pairs} pairs turn, "
    line += f"wavelengths {shortest:.1f} to {longest:,.0f}"
    if trained:
        slow = sum(2 * np.pi / f > trained for f in turning)
        line += f"; {slow} turn less than once in {trained:,.0f}"
    if scaled.attention_factor != 1:
        line += f"; cos and sin times {scaled.attention_factor:.4f}"
    return line


def name_of(path):
    """Returns the name of a file, or of its folder where all files have one name."""
    return path.absolute().parent.name if path.stem == "config" else path.stem


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("configs", nargs="*", type=Path, metavar="config.json")
    parser.add_argument("--layer-type", help="where layers differ; full_attention, ...")
    parser.add_argument(
        "--seq-len",
        type=program.whole_number(1, 2**31 - 1),
        help="for methods that depend on it",
    )
    parser.add_argument(
        "--output", type=program.picture, metavar="PATH", default="rope_wavelengths.png"
    )
    args = parser.parse_args()
    try:
        configs = [(name_of(p), json.loads(p.read_text())) for p in args.configs]
    except (OSError, ValueError, RecursionError) as error:
        parser.error(str(error))
    released = not configs
    configs = configs or list(RELEASED.items())
    rows, columns = -(-len(configs) // 2), min(2, len(configs))
    figure = Figure(figsize=(9, 3.3 * rows), layout="constrained")
    for place, (name, config) in enumerate(configs, 1):
        layer_type = args.layer_type
        if released and config["model_type"].startswith("gemma"):
            layer_type = "full_attention"
        try:
            scaled, plain = ropes_of(config, layer_type, args.seq_len)
        except ValueError as error:
            raise SystemExit(f"{name}: {error}") from error
        trained = trained_length(config, layer_type)
        print(describe(name, scaled, trained))
        axes = figure.add_subplot(rows, columns, place)
        draw(axes, name, scaled, plain, trained)
    figure.supylabel("wavelength in positions", fontsize="medium")
    program.save(args.output, lambda path: figure.savefig(path, dpi=110))
    print(f"Wrote {args.output}.")


if __name__ == "__main__":
    main()
