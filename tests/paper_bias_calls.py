"""A call of every public name of the position biases of papers."""

import jax
import numpy as np

import attnax.functional as F

KEY = jax.random.key(0)
HEADS = np.ones((1, 3, 2, 4), np.float32)
GATE = F.ForgetGateParams(np.ones((4, 2), np.float32), np.ones(2, np.float32))
CONTEXTUAL = F.ContextualPositionBiasParams(np.ones((3, 4), np.float32))

CALLS = {
    "ContextualPositionBiasParams": CONTEXTUAL._asdict(),
    "FireBias": {"num_heads": 2},
    "FireBiasParams": {
        "c": np.ones((), np.float32),
        "multiplier": np.ones((), np.float32),
        "hidden_weight": np.ones(3, np.float32),
        "hidden_bias": np.ones(3, np.float32),
        "weight": np.ones((3, 2), np.float32),
        "bias": np.ones(2, np.float32),
    },
    "ForgetGateParams": GATE._asdict(),
    "ForgettingBias": {"num_heads": 2},
    "KerpleBias": {"num_heads": 2},
    "KerpleBiasParams": {
        "r1": np.ones(2, np.float32),
        "r2": np.ones(2, np.float32),
    },
    "SandwichBias": {"num_heads": 2},
    "apply_contextual_position_bias": {
        "params": CONTEXTUAL,
        "q": HEADS,
        "k": HEADS,
        "mask": np.ones((1, 3, 3), bool),
    },
    "apply_forget_gate": {
        "params": GATE,
        "x": np.ones((1, 3, 4), np.float32),
        "mask": np.ones((1, 3), bool),
    },
    "cumulate_log_gates": {
        "log_gates": np.zeros((1, 3, 2), np.float32),
        "start": np.zeros((1, 2, 2), np.float32),
    },
    "init_contextual_position_bias": {"key": KEY, "num_positions": 3, "head_dim": 4},
    "init_forget_gate": {"key": KEY, "d_model": 4, "num_heads": 2},
}
