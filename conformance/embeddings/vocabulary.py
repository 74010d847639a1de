"""New rows of tables and of head biases, as transformers makes them."""

import jax
import numpy as np

import attnax.functional as F

from .records import Record

OLD, NEW, WIDTH = 40, 4096, 3


def records():
    import torch
    import transformers
    from transformers.modeling_utils import PreTrainedModel as Model

    source = f"transformers {transformers.__version__}, PreTrainedModel._init_added"
    torch.manual_seed(0)
    # Columns that go together, so that the covariance is not diagonal.
    mixed = torch.randn(OLD, WIDTH) @ torch.randn(WIDTH, WIDTH) + 2.0
    for name, old in (("rows", mixed), ("equal rows", mixed[:1].repeat(OLD, 1))):
        tables = torch.nn.Embedding(OLD, WIDTH), torch.nn.Embedding(OLD + NEW, WIDTH)
        tables[0].weight.data = old
        Model._init_added_embeddings_weights_with_mean(None, *tables, OLD, NEW)
        new = tables[1].weight.data[OLD:]
        yield _record(name, source, old, new)
    heads = torch.nn.Linear(1, OLD), torch.nn.Linear(1, OLD + NEW)
    # A mean of exactly 0 leaves the deviation of 1e-9 of that of the old ones.
    halves = torch.arange(1.0, OLD // 2 + 1)
    heads[0].bias.data = torch.cat([halves, -halves])
    Model._init_added_lm_head_bias_with_mean(None, *heads, NEW)
    bias, new = heads[0].bias.data, heads[1].bias.data[OLD:]
    yield _record("bias", source, bias, new)


def _record(name, source, old, new):
    old, new = (np.asarray(array) for array in (old, new))
    arrays = {"weight": old, "expected": moments(old, new)}
    return Record(name, source, {"num_new": len(new)}, arrays)


def ours(record):
    """The moments of as many rows, drawn by attnax."""
    weight = record.arrays["weight"]
    new_size = len(weight) + record.options["num_new"]
    resized = F.resize_vocabulary(weight, new_size, key=jax.random.key(0))
    return moments(weight, np.asarray(resized)[len(weight) :])


def moments(old, new):
    """Mean and covariance of new rows, in units of the deviation they are drawn with.

    A bias is one column.
    """
    old, new = (a.reshape(len(a), -1).astype(np.float64) for a in (old, new))
    unit = 1e-9 if old.shape[1] == 1 else 1e-9**0.5
    centered = (new - old.mean(0)) / unit
    covariance = centered.T @ centered / len(new)
    return np.concatenate([centered.mean(0), covariance.ravel()])


def tolerance(record):
    """Six standard errors of the difference of two samples.

    Float32 rounds numbers near the mean by up to 2**-24 of it, in their units.
    """
    variance = np.abs(record.arrays["expected"]).max()
    sampled = 6 * (2 * max(variance, variance**0.5) ** 2 / NEW) ** 0.5
    size = np.abs(record.arrays["weight"]).max()
    return sampled + size * 2.0**-23 / 1e-9**0.5
