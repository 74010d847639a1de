"""Models of any size without their weights.

A model is built with its large tensors on the device `meta`, which has shapes and no
numbers, and then runs on the CPU: whatever a missing weight touches comes out random.
A whole configuration so takes a fraction of a second and a few megabytes, and the
rotary embedding, which has no weights, is that of the real model.
"""

import contextlib
import inspect

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers.initialization import no_init_weights

_SMALL = 4096  # the most numbers of a tensor that is not made on `meta`
_ACTIVATION = 1 << 22  # the most numbers of a result that is filled at random
_EMPTY = (torch.empty, torch.zeros, torch.ones, torch.randn, torch.rand, torch.full)


class _WithoutWeights(TorchFunctionMode):
    """A mode that makes large tensors on `meta`; small empty ones are filled with 1."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func not in _EMPTY:
            return func(*args, **kwargs)
        out = func(*args, **{**kwargs, "device": "meta"})
        if out.numel() > _SMALL:
            return out
        if func is torch.empty:
            return torch.ones(out.shape, dtype=out.dtype)
        return func(*args, **kwargs)


class _RandomInstead(TorchFunctionMode):
    """A mode that runs on `meta` what has an argument there, with random results."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func == torch.Tensor.device.__get__:
            return torch.device("cpu")
        leaves = (x for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor))
        if not any(x.is_meta for x in leaves):
            return func(*args, **kwargs)
        args, kwargs = tree_map(_on_meta, (args, kwargs))
        return tree_map(_filled, func(*args, **kwargs))


def _on_meta(x):
    return x.to("meta") if isinstance(x, torch.Tensor) else x


def _filled(x):
    if not (isinstance(x, torch.Tensor) and x.is_meta and x.numel() <= _ACTIVATION):
        return x
    if not x.is_floating_point():
        return torch.zeros(x.shape, dtype=x.dtype)
    return bounded(*x.shape).to(x.dtype)


def bounded(*shape):
    """Random numbers between -1 and 1."""
    return 2 * torch.rand(*shape) - 1


def skeleton(module_class, *configs):
    """A module in evaluation mode without large weights; a layer is the first one."""
    configs[0]._attn_implementation = "eager"
    names = inspect.signature(module_class).parameters
    index = {"layer_idx": 0} if "layer_idx" in names else {}
    with _WithoutWeights(), no_init_weights():
        return module_class(*configs, **index).eval()


@contextlib.contextmanager
def running():
    """A context in which skeletons run as if they had weights."""
    with torch.no_grad(), _RandomInstead():
        yield
