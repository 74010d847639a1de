"""Models of any size without their weights.

A model is built with its large tensors on the device `meta`, which has shapes and no
numbers, and then runs on the CPU: whatever a missing weight touches comes out random.
A whole configuration so takes a fraction of a second and a few megabytes, and the
rotary embedding, which has no weights, is that of the real model.
"""

import ast
import contextlib
import inspect
import textwrap

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map
from transformers.initialization import no_init_weights

# They mix several residual streams and change the shape of what passes.
_STREAMS = ("HyperConnection", "HyperHead", "GatedResidual")
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


def leave_out_the_rest(model, attentions):
    """Makes everything but attentions, and what leads to them, return its input.

    Layers without attention and feed-forward networks are of no interest, and experts
    cannot run without weights.
    """
    ours = {id(attention) for attention in attentions}
    paths = {name for name, module in model.named_modules() if id(module) in ours}
    on_the_way = {p.rsplit(".", i)[0] for p in paths for i in range(p.count(".") + 1)}
    for name, module in model.named_modules():
        parent = name.rpartition(".")[0]
        inside = any(part.isdigit() for part in name.split("."))
        large = any(p.is_meta for p in module.parameters()) and not _is_plain(module)
        if inside and large and parent in on_the_way - paths and name not in on_the_way:
            module.forward = _pass(module)


def _is_plain(module):
    name = type(module).__name__
    return type(module).__module__.startswith("torch.") or name.endswith(_STREAMS)


def _pass(module):
    """A forward that returns its input, with `None` for every other output."""
    source = textwrap.dedent(inspect.getsource(type(module).forward))
    nodes = ast.walk(ast.parse(source))
    values = [node.value for node in nodes if isinstance(node, ast.Return)]
    tuples = [value for value in values if isinstance(value, ast.Tuple)]
    more = max((len(value.elts) - 1 for value in tuples), default=0)

    def forward(*args, **kwargs):
        tensors = (x for x in (*args, *kwargs.values()) if torch.is_tensor(x))
        x = next(tensors, 0.0)
        return (x, *[None] * more) if more else x

    return forward
