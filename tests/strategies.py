"""All hypothesis strategies. Few distinct shapes, since each one compiles."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np

dtypes = st.sampled_from((jnp.float32, jnp.bfloat16, jnp.float16))
narrow_dtypes = st.sampled_from((jnp.bfloat16, jnp.float16))
integer_dtypes = st.sampled_from(
    (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32)
)
layouts = st.sampled_from(("half", "interleaved"))
bases = st.sampled_from((100.0, 10_000.0, 500_000.0, 1_000_000.0))
rotary_dims = st.sampled_from((2, 6, 64, 96, 128))
batches = st.sampled_from(((), (1,), (2, 3)))
# Where float32 angles, bfloat16 positions and 32-bit products go wrong.
hard_positions = (
    *(0, 1, 255, 257, 2047, 2049, 4095, 32_767, 131_071, 1_000_003),
    *(2**24 + 1, 2**27 - 1),
)
far_positions = (2**27, 2**30 + 1, 2**31 - 1, -(2**31), -(2**30) - 1)


@st.composite
def floats(draw, shape, dtype=jnp.float32, bound=8.0):
    """Bounded floats without subnormals; drawn in float32, then cast."""
    elements = st.floats(-bound, bound, width=32, allow_subnormal=False)
    # Cast by NumPy, which rounds alike and compiles nothing.
    return jax.device_put(
        draw(hnp.arrays(np.float32, shape, elements=elements)).astype(dtype)
    )


def integers(shape, lower, upper):
    """int32 between bounds, both included."""
    return hnp.arrays(np.int32, shape, elements=st.integers(lower, upper))


@st.composite
def positions(draw, shape, *, far=False):
    """int32 positions of both signs; within 2**27 unless `far`."""
    hard = hard_positions + tuple(-p for p in hard_positions)
    bound = 2**27 - 1
    if far:
        hard, bound = far_positions, 2**31 - 1
    elements = st.one_of(st.sampled_from(hard), st.integers(-bound, bound))
    return draw(hnp.arrays(np.int32, shape, elements=elements))


# Rows and columns of patches, and the patch: coprime, so that no swap goes unseen.
_grids = st.sampled_from((((1, 1), (1, 1)), ((2, 3), (4, 3)), ((5, 2), (1, 7))))
_channel_counts = st.sampled_from((1, 2, 3))


@st.composite
def images(draw, dtype=jnp.float32, batch=None):
    """An image, its `(height, width)` and the `(height, width)` of its patches."""
    (rows, columns), (height, width) = draw(_grids)
    size = (rows * height, columns * width)
    batch = draw(batches) if batch is None else batch
    image = draw(floats((*batch, *size, draw(_channel_counts)), dtype))
    return image, size, (height, width)
