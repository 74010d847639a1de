"""How long does `import attnax` take beyond `import jax, equinox`?"""

import statistics
import subprocess
import sys

from .timing.machine import machine

CODE = """
import time, jax, equinox
start = time.perf_counter()
import attnax
print(time.perf_counter() - start)
"""


def records(quick):
    """Median over fresh interpreters."""
    runs = (
        subprocess.run(
            [sys.executable, "-c", CODE], check=True, capture_output=True, text=True
        )
        for _ in range(1 if quick else 5)
    )
    seconds = statistics.median(float(run.stdout) for run in runs)
    yield {
        "case": "import attnax beyond jax, equinox",
        "attnax": f"{seconds:.3f} s",
        "target": "≤ 0.15 s",
        **machine(),
    }
