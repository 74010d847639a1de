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

# What any model calls a part of its embedding: next to that of a family, such a name
# tells that the family is another, or has a part that would be missed.
EMBEDDINGS = frozenset(
    "class_embedding class_token cls_token dist_token distillation_token embed_in "
    "embed_positions embed_tokens embed_tokens_per_layer embeddings embeddings_project "
    "embeds layernorm_embedding mask_token norm_pre patch_embed patch_embedding "
    "patch_embeddings pos_embed position_embedding position_embeddings "
    "positional_embedding pre_layrnorm project_in project_out reg_token "
    "register_tokens shared storage_tokens tok_embeddings token_embedding "
    "token_type_embeddings word_embeddings word_embeddings_layernorm wpe wte".split()
)

TABLE, PATCH_OIHW = ("vocab_size d_model",), "d_model channels patch_height patch_width"
ONE_TOKEN, TOKENS = ("1 1 d_model",), ("1 num_registers d_model",)


def token(*names, axes=TABLE, **options):
    return Tensor("token", names, axes, **options)


def rest(*names, axes="d_model", required=True, **options):
    return Tensor("extra", names, (axes,), required=required, **options)


def head(*stems, axes="head_size d_model"):
    """A head by one of several names, and its bias."""
    weights = tuple(f"{stem}.weight" for stem in stems)
    biases = (f"{stem}.bias" for stem in stems)
    return (
        Tensor("head", weights, (axes,), required=False, beside=True),
        rest(*biases, axes="head_size", required=False, beside=True),
    )


def norm(stem, *, required=True):
    """A LayerNorm, by the names of today or of TensorFlow's."""
    return (
        rest(f"{stem}.weight", f"{stem}.gamma", required=required),
        rest(f"{stem}.bias", f"{stem}.beta", required=required),
    )


def positions(name, axes="num_positions d_model", *others, required=True):
    return Tensor("positions", (name, *others), (axes,), required=required)


def bert(whole):
    """BERT and what descends from it; `whole` is where its head stands."""
    project = "embeddings_project"  # of a small ELECTRA
    tensors = (
        token("embeddings.word_embeddings.weight"),
        positions("embeddings.position_embeddings.weight"),
        Tensor(
            "token_types",
            ("embeddings.token_type_embeddings.weight",),
            ("num_token_types d_model",),
        ),
        *norm("embeddings.LayerNorm"),
        rest(f"{project}.weight", axes="projected_width d_model", required=False),
        rest(f"{project}.bias", axes="projected_width", required=False),
        *head(f"{whole}decoder"),
        rest(f"{whole}bias", axes="head_size", required=False, beside=True),
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
    tensors = (token(f"{name}.weight"), *head(*heads), *extra)
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


def mask(axes, name="embeddings.mask_token"):
    return Tensor("mask", (name,), (axes,), required=False)


VIT_POSITIONS = positions("embeddings.position_embeddings", "1 num_positions d_model")
REGISTERS = Tensor("registers", ("embeddings.register_tokens",), TOKENS)
