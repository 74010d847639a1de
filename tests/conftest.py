"""JAX in its strictest mode, jaxtyping's hook, and the hypothesis profiles."""

import os

import hypothesis
import jax
import jaxtyping

# Four host devices for the sharding tests; read when the backend starts.
os.environ["XLA_FLAGS"] = (
    os.environ.get("XLA_FLAGS", "") + " --xla_force_host_platform_device_count=4"
)

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")

# Shapes and dtypes of every call are checked; `test_without_hook.py` runs the errors
# once more without.
if os.environ.get("ATTNAX_TYPE_CHECKING", "1") == "1":
    jaxtyping.install_import_hook("attnax", "beartype.beartype")

# No deadline anywhere: the first example of each shape pays for a compile.
for name, max_examples in (("smoke", 4), ("dev", 15), ("nightly", 1000)):
    hypothesis.settings.register_profile(name, max_examples=max_examples, deadline=None)
hypothesis.settings.register_profile(
    "ci", max_examples=30, deadline=None, derandomize=True, print_blob=True
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))
