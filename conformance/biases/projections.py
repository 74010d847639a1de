"""What attention modules project, pass on and return, in float64."""

import contextlib
import unittest.mock

import numpy as np


def hidden_states(*shape):
    """Normal numbers in float64, the same at each call."""
    import torch

    return torch.tensor(np.random.default_rng(0).normal(size=shape))


@contextlib.contextmanager
def calls(owner, name, what=lambda args, kwargs, out: out):
    """A list of `what` of each call of the function `name` of `owner`."""
    import torch

    found, function = [], getattr(owner, name)

    def recording(*args, **kwargs):
        out = function(*args, **kwargs)
        found.append(what(args, kwargs, out).detach().clone())
        return out

    with unittest.mock.patch.object(owner, name, recording), torch.no_grad():
        yield found


def first_argument(args, kwargs, out):
    return args[0]


def softmax_inputs(owner=None):
    """A list of what passes `softmax` of torch.nn.functional, or of `owner`."""
    import torch

    return calls(owner or torch.nn.functional, "softmax", first_argument)


def cogview_inputs(attention):
    """A list of what passes the softmax of LayoutLMv3 and of PP-DocLayoutV2.

    Their softmax divides and multiplies what enters it by a number.
    """
    scores = lambda args, kwargs, out: args[1]
    return calls(type(attention), "cogview_attention", scores)


@contextlib.contextmanager
def outputs(**modules):
    """The first output of each module, by name."""
    found = {}

    def keep(name):
        def hook(module, args, out):
            found.setdefault(name, out.detach().clone())

        return hook

    handles = [m.register_forward_hook(keep(name)) for name, m in modules.items()]
    yield found
    for handle in handles:
        handle.remove()


def projection(attention, part):
    """The module of an attention that makes its queries (`"q"`) or keys (`"k"`)."""
    names = (f"linear_{part}", f"{part}_proj")
    return next(m for n, m in attention.named_children() if n in names)


def heads(x, count):
    """`(*batch, len, heads * width)` as `(*batch, len, heads, width)`."""
    return x.reshape(*x.shape[:-1], count, -1)


def beyond_content(scores, q, k, scale):
    """Scores less the scaled products of queries and keys."""
    import torch

    scores = scores.reshape(q.shape[0], q.shape[2], q.shape[1], k.shape[1])
    return scores - scale * torch.einsum("bqhd,bkhd->bhqk", q, k)


def numbered(q_len, k_len=None, first=0):
    """Positions of queries from `first` on, and of keys from 0 on."""
    k_len = q_len if k_len is None else k_len
    return {
        "q_positions": np.arange(first, first + q_len, dtype=np.int32),
        "k_positions": np.arange(k_len, dtype=np.int32),
    }


def float32(**arrays):
    return {name: x.detach().numpy().astype(np.float32) for name, x in arrays.items()}
