"""Tensors of a file that are not the family's, and may be a missed part of it."""

from .._checkpoint_families.family import CheckpointFamily

# Old versions saved these buffers among the weights. They are computed, not learned.
BUFFERS = ("position_ids", "token_type_ids", "inv_freq")

# Names that models give to parts of their embeddings. One that is not a family's, right
# after the prefix of that family, shows that the file has another family, or a part
# that would be missed.
EMBEDDINGS = frozenset(
    "class_embedding class_token cls_token dist_token distillation_token embed_in "
    "embed_positions embed_tokens embed_tokens_per_layer embeddings embeddings_project "
    "embeds layernorm_embedding mask_token norm_pre patch_embed patch_embedding "
    "patch_embeddings pos_embed position_embedding position_embeddings "
    "positional_embedding pre_layrnorm project_in project_out reg_token "
    "register_tokens shared storage_tokens tok_embeddings token_embedding "
    "token_type_embeddings word_embeddings word_embeddings_layernorm wpe wte".split()
)


def check_no_others(family: CheckpointFamily, source, prefix, known):
    """A `ValueError` if the file has a part of an embedding beyond the `known`."""
    for tensor in source.names:
        if tensor in known or not tensor.startswith(prefix):
            continue
        own = tensor.removeprefix(prefix)
        parts = own.split(family.separator)
        embeds = own.startswith(family.namespaces) or parts[0] in EMBEDDINGS
        if embeds and parts[-1] not in BUFFERS:
            shape, _ = source.describe(tensor)
            raise ValueError(
                f"{tensor!r} of shape {shape} must not be there; the family "
                f"has {sorted(known)}."
            )
