"""The tensors of the file that parameters are written to."""

import attnax.functional as F

from .._checkpoint_families.family import FRONT_TOKENS
from .names import StoredTensor


def stored_for(family, checkpoint):
    """The stored tensors for the parameters that a checkpoint holds.

    They are `checkpoint.tensors` without those of parameters that are `None`; a
    parameter without a tensor there gets the usual one of the family.
    """
    _check_names(family, checkpoint)
    held = _roles_held(checkpoint, family)
    kept = tuple(s for s in checkpoint.tensors or () if s.role in held)
    added = held - {s.role for s in kept}
    usual = tuple(
        StoredTensor(
            tensor.role,
            ("" if tensor.beside else checkpoint.prefix) + tensor.names[0],
            tensor.axes[0],
        )
        for tensor in family.tensors
        if tensor.role in added
    )
    unknown = added - {s.role for s in usual}
    if unknown:
        raise ValueError(
            f"family={checkpoint.family!r} must have a tensor for every parameter, "
            f"but has none for {sorted(unknown)}."
        )
    return kept + usual


def _check_names(family, checkpoint):
    """A `ValueError` for names that are not those of the family and the prefix."""
    prefix = checkpoint.prefix
    for stored in checkpoint.tensors or ():
        known = any(
            stored.name == prefix + name
            or (tensor.beside and _stands_beside(stored.name, name, prefix))
            for tensor in family.tensors
            for name in tensor.names
        )
        if not known:
            raise ValueError(
                f"tensors has {stored.name!r}, which must be a name of "
                f"family={checkpoint.family!r} with {prefix=}; set tensors=None to "
                "write the usual names."
            )


def _stands_beside(stored, name, prefix):
    """Whether a stored name is `name` under `prefix` or a part of it."""
    return stored.endswith(name) and prefix.startswith(stored[: -len(name)])


def _roles_held(checkpoint, family):
    params = checkpoint.params
    parts = {"head": checkpoint.head}
    if isinstance(params, F.TokenEmbeddingParams):
        parts["token"] = params.weight
    elif isinstance(params, F.TextEmbeddingParams):
        parts.update(params._asdict())
    else:
        parts["patch"], parts["bias"] = params.patch
        parts["positions"], parts["mask"] = params.positions, params.mask_token
        parts.update(dict.fromkeys(_token_roles(checkpoint, family), ()))
    return {role for role, part in parts.items() if part is not None}


def _token_roles(checkpoint, family):
    """Roles of the tokens in front of the patches, by the file or the family."""
    params = checkpoint.params
    if checkpoint.tensors is not None:
        return [s.role for s in checkpoint.tensors if s.role in FRONT_TOKENS]
    both = params.tokens_with_position, params.tokens_without_position
    left, roles = sum(len(tokens) for tokens in both if tokens is not None), []
    # Required roles come first. Rows are never taken for a distillation token.
    for tensor in sorted(family.tensors, key=lambda tensor: not tensor.required):
        optional = left > 0 and tensor.role != "distillation"
        if tensor.role in FRONT_TOKENS and (tensor.required or optional):
            roles.append(tensor.role)
            left = 0 if tensor.role == "registers" else left - 1
    return roles
