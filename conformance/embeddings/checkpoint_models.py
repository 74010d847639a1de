"""Tiny models with every parameter drawn anew, and records of their embeddings."""

import re

import numpy as np

from .records import Record

WIDTH, VOCAB, PATCH = 12, 23, 4
# Rows and columns of patches that positions are made for.
SQUARE = (5, 5)
LAYERS = re.compile(r"(^|[./])(layers?|h|blocks?|encoderblock_)[._]?\d")


def record(name, source, family, model, arrays, expected, **options):
    """A record of the tensors of `model` without its layers, and of its output."""
    state = model if isinstance(model, dict) else model.state_dict()
    state = {n: np.asarray(t) for n, t in state.items() if not LAYERS.search(n)}
    arrays = {name: np.asarray(array) for name, array in arrays.items()}
    arrays |= {f"state {name}": tensor for name, tensor in state.items()}
    arrays["expected"] = np.asarray(expected.detach())
    return Record(name, source, {"family": family, **options}, arrays)


def drawn(model):
    """`model` with every parameter drawn from a normal distribution."""
    import torch

    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            # A standard deviation of 1/4 keeps sums small.
            parameter.normal_(std=0.25)
    return model.eval()


def of_transformers(name, **config):
    """A tiny model, and its source for a record."""
    import transformers

    model = getattr(transformers, name)
    sizes = {"hidden_size": WIDTH, "num_hidden_layers": 1, "num_attention_heads": 2}
    if model.config_class.__name__ not in ("Dinov2Config", "Dinov2WithRegistersConfig"):
        sizes["intermediate_size"] = 8
    made = model(model.config_class(**sizes | config))
    return drawn(made), f"transformers {transformers.__version__}, {name}"


def first_input(model, layer, *args, **kwargs):
    """The input of the first layer of a model, which its embedding returned."""
    seen = []

    def hook(module, args, kwargs):
        seen.append(args[0] if args else kwargs["hidden_states"])

    handle = layer.register_forward_pre_hook(hook, with_kwargs=True)
    model(*args, **kwargs)
    handle.remove()
    return seen[0]


def two_towers(name):
    import transformers

    tower = {"hidden_size": WIDTH, "intermediate_size": 8, "num_hidden_layers": 1}
    tower |= {"num_attention_heads": 2}
    text = {"vocab_size": VOCAB, "max_position_embeddings": 9, "pad_token_id": 1}
    text |= {"bos_token_id": 0, "eos_token_id": 2}
    vision = {"image_size": SQUARE[0] * PATCH, "patch_size": PATCH}
    if name == "Siglip2Model":
        vision = {"num_patches": SQUARE[0] * SQUARE[1], "patch_size": PATCH}
    model = getattr(transformers, name)
    config = model.config_class(
        text_config=tower | text, vision_config=tower | vision, projection_dim=4
    )
    return drawn(model(config)), f"transformers {transformers.__version__}, {name}"


def picture(grid):
    import torch

    pixels = (2, 3, grid[0] * PATCH, grid[1] * PATCH)
    image = np.random.default_rng(0).uniform(-1.0, 1.0, pixels).astype(np.float32)
    return torch.tensor(image)
