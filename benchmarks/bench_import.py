"""How long does `import attnax` take beyond `import jax, equinox`?"""

import statistics
import subprocess
import sys

from ._harness import machine

CODE = """
import time, jax, equinox
start = time.perf_counter()
import attnax
print(time.perf_counter() - start)
"""


def seconds(repeats):
    """Median over fresh interpreters."""
    runs = (
        subprocess.run(
            [sys.executable, "-c", CODE], check=True, capture_output=True, text=True
        )
        for _ in range(repeats)
    )
    return statistics.median(float(run.stdout) for run in runs)


def record(quick):
    return {
        "case": "import attnax beyond jax, equinox",
        "seconds": round(seconds(1 if quick else 5), 4),
        "target_seconds": 0.15,
        **machine(),
    }
