"""What the embeddings of released models are called in their files, and their axes."""

from typing import NamedTuple


class Tensor(NamedTuple):
    """One tensor of a family.

    `names` are relative to the prefix, the usual one first; a file has one of them, or
    with `copies` any number, all holding the same values. `axes` lists what the axes
    are called, numbers for fixed lengths; alternatives differ in their number of axes.
    A tensor `beside` the model stands under the prefix or any part of it.
    """

    role: str
    names: tuple[str, ...]
    axes: tuple[str, ...]
    required: bool = True
    copies: bool = False
    beside: bool = False


class Family(NamedTuple):
    """The tensors of a family, the one that gives the width first.

    Names that start as one of `namespaces` belong to the embedding. `tied` tells that a
    head has the values of the token table; `None` leaves that to the file.
    `without_position` are the roles of the tokens in front of the patches that get no
    position; `None` leaves that to the number of rows.
    """

    kind: str
    namespaces: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    tied: bool | None = None
    without_position: tuple[str, ...] | None = ()
    separator: str = "."


# Kept by old versions among the weights, and made again from nothing: not read.
BUFFERS = ("position_ids", "token_type_ids", "inv_freq")

TABLE, PATCH_OIHW = ("vocab_size d_model",), "d_model channels patch_height patch_width"
ONE_TOKEN, TOKENS = ("1 1 d_model",), ("1 num_registers d_model",)


def token(*names, axes=TABLE, **options):
    return Tensor("token", names, axes, **options)


def head(*names, axes=("head_size d_model",)):
    return Tensor("head", names, axes, required=False, beside=True)


def rest(*names, axes="d_model", required=True, **options):
    return Tensor("rest", names, (axes,), required=required, **options)


def norm(stem, *, required=True):
    """A LayerNorm, by the names of today or of TensorFlow's."""
    return (
        rest(f"{stem}.weight", f"{stem}.gamma", required=required),
        rest(f"{stem}.bias", f"{stem}.beta", required=required),
    )


def positions(name, axes="num_positions d_model", *others, required=True):
    return Tensor("positions", (name, *others), (axes,), required=required)


def bert(*heads):
    names = [f"{name}{end}" for name in heads for end in ("decoder.bias", "bias")]
    tensors = (
        token("embeddings.word_embeddings.weight"),
        positions("embeddings.position_embeddings.weight"),
        Tensor(
            "token_types",
            ("embeddings.token_type_embeddings.weight",),
            ("num_token_types d_model",),
        ),
        *norm("embeddings.LayerNorm"),
        head(*(f"{name}decoder.weight" for name in heads)),
        *(rest(n, axes="vocab_size", required=False, beside=True) for n in names),
    )
    return Family("text", ("embeddings.",), tensors, tied=True)


def tower():
    """The text towers of CLIP, SigLIP and SigLIP-2."""
    tensors = (
        token("embeddings.token_embedding.weight"),
        positions("embeddings.position_embedding.weight"),
    )
    return Family("text", ("embeddings.",), tensors)


def decoder(name, *heads, extra=(), tied=None):
    """A model whose embedding is one table."""
    tensors = (token(f"{name}.weight"), head(*(f"{h}.weight" for h in heads)), *extra)
    return Family("token", (f"{name}.",), tensors, tied=tied)


def patches(weight, bias, axes, *, bias_required=True):
    made = (Tensor("patch", (weight,), axes),)
    return (*made, Tensor("bias", (bias,), ("d_model",), required=bias_required))


def vit(*tensors, patch="embeddings.patch_embeddings.projection", **options):
    """The image models of Hugging Face that descend from its ViT."""
    made = (
        *patches(f"{patch}.weight", f"{patch}.bias", (PATCH_OIHW,)),
        Tensor("class", ("embeddings.cls_token",), ONE_TOKEN),
        *tensors,
    )
    return Family("vision", ("embeddings.",), made, **options)


def siglip(axes):
    stem = "embeddings.patch_embedding"
    tensors = (
        *patches(f"{stem}.weight", f"{stem}.bias", (axes,)),
        positions("embeddings.position_embedding.weight"),
    )
    return Family("vision", ("embeddings.",), tensors)


def mask(axes):
    return Tensor("mask", ("embeddings.mask_token",), (axes,), required=False)


VIT_POSITIONS = positions("embeddings.position_embeddings", "1 num_positions d_model")
REGISTERS = Tensor("registers", ("embeddings.register_tokens",), TOKENS)
