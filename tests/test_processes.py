"""Two processes on one machine that share a mesh give the results of one process."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import jax
import numpy as np
import pytest
import two_processes

TESTS = pathlib.Path(__file__).parent


@pytest.mark.slow
def test_two_processes_give_the_results_of_one():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "XLA_FLAGS": "", "PYTHONPATH": str(TESTS.parent)}
    processes = [
        subprocess.Popen(
            [sys.executable, str(TESTS / "two_processes.py"), str(index), str(port)],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    try:
        results = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    options = {"valid_vocab_size": two_processes.VALID}
    expected = jax.jit(lambda *arrays: two_processes.step(*arrays, **options))(
        two_processes.WEIGHT, two_processes.IDS
    )
    for process, (out, error) in zip(processes, results, strict=True):
        assert process.returncode == 0, error
        for actual in json.loads(out.splitlines()[-1]):
            for one, other in zip(actual, expected, strict=True):
                # Sums of some thousand terms, in another order.
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-3)
