"""The speed and errors of attnax on an accelerator, measured in a few minutes.

`python -m benchmarks.device` runs it; `steps.py` says in which order.
"""

import os
import time

# The time limit counts from here, imports and the start of the device included.
BEGIN = time.monotonic()
# JAX would take three quarters of the memory at once and leave PyTorch too little.
# Read when the device starts.
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
