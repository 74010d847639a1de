"""The machine and the versions that figures come from."""

import os
import platform

import jax
import jaxlib
import numpy as np


def machine() -> dict:
    """Device, cores and versions, for every record."""
    device = jax.devices()[0]
    kind = _cpu_name() if device.platform == "cpu" else device.device_kind
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    return {
        "device": kind,
        "cores": cores,
        "python": platform.python_version(),
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
    }


def _cpu_name():
    try:
        with open("/proc/cpuinfo") as lines:
            return next(l.split(":")[1].strip() for l in lines if "model name" in l)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
