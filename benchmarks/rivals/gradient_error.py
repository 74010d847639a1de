"""How far a table's gradient is from sums in float64."""

import jax
import numpy as np

from ..timing import pytorch
from ..timing.programs import Program, TorchProgram


def sums_in_float64(ids, cotangent):
    """Returns the ids that occur, and the sum of the rows of each."""
    distinct, where = np.unique(np.asarray(ids), return_inverse=True)
    sums = np.zeros((len(distinct), cotangent.shape[1]))
    np.add.at(sums, where, np.asarray(cotangent, np.float64))
    return distinct, sums


def largest_error(program: Program | TorchProgram, truth) -> float:
    """Returns the error of a gradient over the rows that were read.

    All other rows are zero.
    """
    distinct, sums = truth
    made = _of_torch if isinstance(program, TorchProgram) else _of_jax
    errors = np.abs(made(program, distinct).astype(np.float64) - sums)
    return float(f"{errors.max():.2g}")


def _of_jax(program, rows):
    return np.asarray(jax.jit(program.function)(*program.args)[rows])


def _of_torch(program, rows):
    weight, ids = map(pytorch.tensor, program.args)
    out = program.function(weight.requires_grad_(), ids)
    out.backward(pytorch.tensor(program.cotangent))
    return weight.grad[rows].float().cpu().numpy()
