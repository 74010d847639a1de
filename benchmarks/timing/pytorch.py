"""PyTorch as a rival: on the device that JAX uses, out of JAX's way between its turns.

Everything here may be called only if `installed()`.
"""

import importlib.metadata
import importlib.util
import os
import sys

import jax
import numpy as np

# Its threads wait for work without spinning, else they would slow down whatever runs
# in the next turn. Read when the library is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("KMP_BLOCKTIME", "0")


def installed() -> bool:
    """Whether PyTorch is there and can use the device that JAX uses."""
    if importlib.util.find_spec("torch") is None:
        return False
    if jax.default_backend() == "cpu":
        return True
    try:
        import torch
    except (ImportError, OSError):  # a library of CUDA that is missing
        return False
    return jax.default_backend() == "gpu" and torch.cuda.is_available()


def tensor(array: jax.Array):
    """A tensor of the same values and dtype, of PyTorch's own memory."""
    import torch

    dtype = getattr(torch, array.dtype.name)
    wide = np.array(array.astype(np.float32) if array.dtype.kind == "V" else array)
    return torch.from_numpy(wide).to(device=device(), dtype=dtype)


def device() -> str:
    """Returns PyTorch's name of the device that JAX uses."""
    return "cpu" if jax.default_backend() == "cpu" else "cuda"


def settings() -> dict:
    """Version and threads, for the records."""
    import torch

    return {
        "torch": importlib.metadata.version("torch"),
        "torch_threads": torch.get_num_threads(),
    }


def compile(function):
    """Compiles a function by `torch.compile`, for the shapes of its first call."""
    import torch

    torch._dynamo.reset()  # what was compiled for other cases counts towards a limit
    # A backward pass that is run again and again may not give away its inputs.
    torch._functorch.config.donated_buffer = False
    return torch.compile(function, dynamic=False)


def forward(function, args):
    """Returns a call of `function` that records no gradients."""
    import torch

    def call():
        with torch.no_grad():
            return function(*args)

    return call


def backward(function, args, gradient_of, cotangent):
    """Returns a call of the backward pass alone; the forward pass has run before."""
    import torch

    argument = args[gradient_of].requires_grad_()
    out = function(*args)
    return lambda: torch.autograd.grad(out, argument, cotangent, retain_graph=True)


def wait(result):
    """Comes back when all that was called before is done."""
    if jax.default_backend() != "cpu":
        import torch

        torch.cuda.synchronize()


def free_memory() -> None:
    """Gives memory that PyTorch keeps for later back to the device, if it was used."""
    if (torch := sys.modules.get("torch")) and jax.default_backend() == "gpu":
        torch.cuda.empty_cache()
