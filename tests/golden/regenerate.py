"""Writes the golden values: outputs of other people's code, with their versions.

Needs `pip install torch==2.13.0 transformers==5.23.0`; the tests need neither.
"""

import json
import pathlib

import numpy as np
import torch
import transformers
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.deepseek_v3 import modeling_deepseek_v3
from transformers.models.gptj import modeling_gptj
from transformers.models.llama import modeling_llama
from transformers.models.llama.configuration_llama import LlamaConfig

HERE = pathlib.Path(__file__).parent


def llama_rotation(x, positions):
    """Half layout: `LlamaRotaryEmbedding` and `apply_rotary_pos_emb`."""
    num_heads, head_dim = x.shape[2:]
    config = LlamaConfig(
        hidden_size=head_dim * num_heads, num_attention_heads=num_heads
    )
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(x, positions)
    rotated, _ = modeling_llama.apply_rotary_pos_emb(x, x, cos, sin, unsqueeze_dim=2)
    return rotated


def deepseek_rotation(x, positions):
    """Pairs read interleaved, put out in halves: `apply_rotary_pos_emb_interleave`."""
    num_heads, head_dim = x.shape[2:]
    config = LlamaConfig(
        hidden_size=head_dim * num_heads, num_attention_heads=num_heads
    )
    cos, sin = modeling_llama.LlamaRotaryEmbedding(config)(x, positions)
    rotate = modeling_deepseek_v3.apply_rotary_pos_emb_interleave
    return rotate(x, x, cos, sin, unsqueeze_dim=2)[0]


# Head size, seq_len, and the parameters as in a configuration.
SCALED = {
    "linear": (64, None, {"factor": 8.0, "rope_theta": 1e4}),
    "dynamic": (96, 10_000, {"factor": 2.0, "rope_theta": 1e4}),
    "yarn": (
        64,
        None,
        {
            "factor": 32.0,
            "rope_theta": 150_000.0,
            "original_max_position_embeddings": 4096,
            "truncate": False,
        },
    ),
    "yarn_truncated": (
        128,
        None,
        {
            "factor": 4.0,
            "rope_theta": 1e6,
            "original_max_position_embeddings": 32_768,
        },
    ),
    "llama3": (
        128,
        None,
        {
            "factor": 8.0,
            "rope_theta": 5e5,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    ),
    "longrope": (
        12,
        10_000,
        {
            "rope_theta": 1e4,
            "factor": 32.0,
            "original_max_position_embeddings": 4096,
            "short_factor": [1.0] * 6,
            "long_factor": [1.0, 1.25, 3.0, 9.5, 20.0, 64.0],
        },
    ),
    "proportional": (64, None, {"rope_theta": 1e6, "partial_rotary_factor": 0.25}),
}


def scaled_frequencies(name):
    """Frequencies and attention factor of `ROPE_INIT_FUNCTIONS`, in one vector."""
    head_dim, seq_len, parameters = SCALED[name]
    rope_type = name.partition("_")[0]
    config = LlamaConfig(
        hidden_size=head_dim,
        num_attention_heads=1,
        max_position_embeddings=4096 if rope_type == "dynamic" else 131_072,
        rope_parameters={"rope_type": rope_type, **parameters},
    )
    function = ROPE_INIT_FUNCTIONS[rope_type]
    inv_freq, factor = function(config, torch.device("cpu"), seq_len=seq_len)
    return torch.cat([inv_freq, torch.tensor([factor])])


def gptj_rotation(x, positions):
    """Interleaved layout: `create_sinusoidal_positions` and `apply_rotary_pos_emb`."""
    table = modeling_gptj.create_sinusoidal_positions(512, x.shape[-1])
    sin, cos = torch.split(table[positions], x.shape[-1] // 2, dim=-1)
    return modeling_gptj.apply_rotary_pos_emb(x, sin, cos)


def strided_convolution(image, kernel, bias):
    """`torch.nn.functional.conv2d`, channels first, stride = kernel size."""
    embedded = torch.nn.functional.conv2d(image, kernel, bias, stride=kernel.shape[2:])
    return embedded.flatten(2).transpose(1, 2)


def main():
    generator = torch.Generator().manual_seed(0)
    normal = lambda *shape: torch.randn(*shape, generator=generator)
    x = normal(2, 7, 3, 16)
    positions = torch.tensor([[0, 1, 2, 3, 255, 257, 400], [9, 8, 7, 5, 5, 0, 300]])
    image, kernel, bias = normal(2, 3, 8, 15), normal(5, 3, 4, 3), normal(5)
    weight, ids = normal(11, 4), torch.tensor([[3, 0, 10], [3, 3, 7]])
    arrays = {
        "x": x,
        "positions": positions.to(torch.int32),
        "llama": llama_rotation(x, positions),
        "gptj": gptj_rotation(x, positions),
        "deepseek": deepseek_rotation(x, positions),
        "image": image,
        "kernel": kernel,
        "bias": bias,
        "convolution": strided_convolution(image, kernel, bias),
        "weight": weight,
        "ids": ids.to(torch.int32),
        "embedding": torch.nn.functional.embedding(ids, weight),
        **{f"inv_freq_{name}": scaled_frequencies(name) for name in SCALED},
    }
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    np.savez_compressed(HERE / "embeddings.npz", **arrays)
    provenance = {
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "seed": 0,
        "llama": "transformers LlamaRotaryEmbedding, rope_theta 10000",
        "gptj": "transformers gptj create_sinusoidal_positions, apply_rotary_pos_emb",
        "deepseek": "transformers deepseek_v3 apply_rotary_pos_emb_interleave",
        "inv_freq": "transformers ROPE_INIT_FUNCTIONS; the attention factor comes last",
        "convolution": "torch.nn.functional.conv2d, NCHW image, OIHW kernel",
        "embedding": "torch.nn.functional.embedding",
    }
    text = json.dumps(provenance, indent=2) + "\n"
    (HERE / "embeddings.json").write_text(text)


if __name__ == "__main__":
    main()
