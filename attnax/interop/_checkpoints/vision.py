"""Parameters of vision embeddings from the tensors of a file, and back."""

import numpy as np

import attnax.functional as F

from .._checkpoint_families.family import FRONT_TOKENS
from .arrays import to_jax
from .grid import check_grid, find_grid
from .names import bind, pair_of, shape_of

KERNELS = {
    "d_model channels patch_height patch_width": "OIHW",
    "patch_height patch_width channels d_model": "HWIO",
    "d_model patch_dim": "O(HWI)",
}


def read_vision(family, source, stored, sizes, grid):
    """Returns parameters, and the grid that their positions were made for."""
    by_role = {s.role: s for s in stored if s.role != "extra"}
    roles = [role for role in FRONT_TOKENS if role in by_role]
    counts = {r: sizes["num_registers"] if r == "registers" else 1 for r in roles}
    positions, without = None, family.without_position or ()
    if "positions" in by_role:
        place = by_role["positions"]
        grid, without = find_grid(family, place, sizes, counts, grid)
        table = to_jax(source, source.read(place.name).reshape(-1, sizes["d_model"]))
        positions = F.LearnedPositionalEmbeddingParams(table)

    def vector(role):
        if role not in by_role:
            return None
        return to_jax(source, source.read(by_role[role].name).reshape(-1))

    def tokens(roles):
        return _joined(source, [by_role[role] for role in roles])

    weight = to_jax(source, _weight(source, by_role["patch"], sizes))
    params = F.VisionEmbeddingParams(
        patch=F.PatchEmbeddingParams(weight=weight, bias=vector("bias")),
        positions=positions,
        tokens_with_position=tokens([role for role in counts if role not in without]),
        tokens_without_position=tokens([role for role in counts if role in without]),
        mask_token=vector("mask"),
    )
    return params, grid


def write_vision(family, params, stored, sizes):
    """The stored tensors by name, as NumPy arrays."""
    by_role = {s.role: s for s in stored if s.role != "extra"}
    counts = _counted(params, [role for role in FRONT_TOKENS if role in by_role])
    check_grid(family, params, counts, pair_of(sizes, "grid_rows", "grid_columns"))
    positions = params.positions
    arrays = {
        "patch": params.patch.weight,
        "bias": params.patch.bias,
        "positions": None if positions is None else positions.weight,
        "mask": params.mask_token,
        **_split(family, params, counts),
    }
    sizes, tensors = dict(sizes), {}
    for role, name, axes in by_role.values():
        array = np.asarray(arrays[role])
        if role == "patch":
            array = _kernel(array, axes, pair_of(sizes, "patch_height", "patch_width"))
        else:
            array = array.reshape(_stored_shape(axes, array.shape[-1], sizes))
        bind(name, array.shape, axes, sizes)
        tensors[name] = array
    return tensors


def _weight(source, stored, sizes):
    pixels = sizes.get("patch_height", 1) * sizes.get("patch_width", 1)
    if sizes.get("patch_dim", pixels) % pixels != 0:
        raise ValueError(
            f"{stored.name!r} of shape {shape_of(stored.axes, sizes)} must "
            f"have patch_dim a multiple of {pixels} pixels for this patch_size."
        )
    kernel, layout = source.read(stored.name), KERNELS.get(stored.axes)
    if layout is None:  # the kernel of a Flax `Dense` is our weight
        return kernel
    # A flattened kernel has the order of our rows, whatever the size of a patch.
    size = 1 if "(" in layout else None
    return F.patch_weight_from_kernel(kernel, layout, size)


def _kernel(weight, axes, patch_size):
    layout = KERNELS.get(axes)
    if layout is None:
        return weight
    if "(" in layout:
        patch_size = 1
    if patch_size is None:
        raise ValueError(f"{patch_size=} must be that of the patches.")
    return F.patch_kernel_from_weight(weight, layout, patch_size)


def _joined(source, places):
    """The tokens of several tensors as the rows of one array."""
    if not places:
        return None
    dtypes = {place.name: source.describe(place.name)[1] for place in places}
    if len(set(dtypes.values())) > 1:
        raise ValueError(f"{dtypes} must be one dtype.")
    rows = [source.read(place.name) for place in places]
    return to_jax(
        source, np.concatenate([row.reshape(-1, row.shape[-1]) for row in rows])
    )


def _counted(params, roles):
    """The number of tokens of each role; rows beyond the other roles are registers."""
    both = params.tokens_with_position, params.tokens_without_position
    total = sum(len(tokens) for tokens in both if tokens is not None)
    registers = total - sum(role != "registers" for role in roles)
    counts = {role: registers if role == "registers" else 1 for role in roles}
    if sum(counts.values()) != total or registers < 0:
        raise ValueError(
            f"tokens_with_position and tokens_without_position have {total} rows, but "
            f"must have one for each of {roles}."
        )
    return counts


def _split(family, params, counts):
    """The tokens by role. `check_grid` has checked which of them have positions."""
    without = family.without_position
    if without is None:
        without = tuple(counts) if params.tokens_with_position is None else ()
    tokens, starts = {}, {True: 0, False: 0}
    for role, count in counts.items():
        last = role in without
        side = "tokens_without_position" if last else "tokens_with_position"
        rows = getattr(params, side)
        if rows is None:
            raise ValueError(
                f"{side}=None must hold the {role}; pass an array of 0 rows if "
                "there are none."
            )
        tokens[role] = np.asarray(rows)[starts[last] :][:count]
        starts[last] += count
    return tokens


def _stored_shape(axes, width, sizes):
    """The stored shape of an array whose rows have `width` features."""
    lengths = {**sizes, "d_model": width}
    return [int(a) if a.isdigit() else lengths.get(a, -1) for a in axes.split()]
