"""Tensors that several families have, by role."""

from .family import Tensor

PATCH_OIHW = "d_model channels patch_height patch_width"


def token(*names, axes="vocab_size d_model", copies=False):
    """The table of the tokens."""
    return Tensor("token", names, (axes,), copies=copies)


def extra(*names, axes="d_model", required=True, beside=False):
    """A tensor that belongs to the caller."""
    return Tensor("extra", names, (axes,), required=required, beside=beside)


def head(*stems, axes="head_size d_model"):
    """The weight of a head, under one of several stems, and its bias."""
    weights = tuple(f"{stem}.weight" for stem in stems)
    biases = (f"{stem}.bias" for stem in stems)
    return (
        Tensor("head", weights, (axes,), required=False, beside=True),
        extra(*biases, axes="head_size", required=False, beside=True),
    )


def norm(stem, *, required=True):
    """A LayerNorm, named as today or as in conversions from TensorFlow."""
    return (
        extra(f"{stem}.weight", f"{stem}.gamma", required=required),
        extra(f"{stem}.bias", f"{stem}.beta", required=required),
    )


def positions(*names, axes="num_positions d_model", required=True):
    """The table of positions."""
    return Tensor("positions", names, (axes,), required=required)


def patches(weight, bias, axes=(PATCH_OIHW,), *, bias_required=True):
    """The kernel that embeds patches, and its bias."""
    return (
        Tensor("patch", (weight,), axes),
        Tensor("bias", (bias,), ("d_model",), required=bias_required),
    )


def one_token(role, tensor, *, required=True):
    """A token in front of the patches."""
    return Tensor(role, (tensor,), ("1 1 d_model",), required=required)


def registers(tensor, *, required=True):
    """The registers in front of the patches."""
    axes = ("1 num_registers d_model",)
    return Tensor("registers", (tensor,), axes, required=required)


def mask(tensor, axes):
    """The token that stands for masked patches."""
    return Tensor("mask", (tensor,), (axes,), required=False)
