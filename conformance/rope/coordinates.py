"""Coordinates of images: transformers' order in each model, and attnax's."""

# Model types whose rotary class is given (column, row); all others get (row, column).
# The position ids are made in the model, its image processor or, for Llama 4, its
# table.
COLUMNS_FIRST = frozenset(
    """
    edgetam_video gemma4_vision llama4_vision_model muse_glimmer_vision
    muse_spark_vision sam2_video sam3_tracker_video sam3_vit_model
    """.split()
)


def rows_first(model_type, positions):
    """`positions` as attnax takes them: (row, column)."""
    return positions[:, ::-1] if model_type in COLUMNS_FIRST else positions
