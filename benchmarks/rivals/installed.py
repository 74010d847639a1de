"""Which rivals can run here; a case goes without those that cannot."""

import importlib.util

from ..timing import pytorch

PACKAGES = {
    "flax.nnx": ("flax",),
    "optax": ("optax",),
    "torch": ("torch",),
    "transformers": ("torch", "transformers"),
}


def available(rival: str) -> bool:
    """Whether the packages of `rival` are installed and can use JAX's device."""
    return all(
        pytorch.installed() if package == "torch" else importlib.util.find_spec(package)
        for package in PACKAGES[rival]
    )


def left_out() -> list[str]:
    """The rivals that cannot run here."""
    return [rival for rival in PACKAGES if not available(rival)]
