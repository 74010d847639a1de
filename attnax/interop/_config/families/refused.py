"""Models that rotate by something else than integer positions, and what to do."""

_BY_COORDINATES = (
    "its angles come from fractional coordinates: use normalized_coordinates and "
    "normalized_cos_sin of attnax.functional"
)

REASONS = (
    ("dinov3_vit eomt_dinov3 sapiens2", _BY_COORDINATES),
    (
        "hunyuan_vl_text",
        "its rotary embedding, as transformers writes it, is no rotation, for the two "
        "channels of a pair take their angles from different axes: on text, where all "
        "axes are equal, it is a Rope of ntk_inv_freq",
    ),
    (
        "vjepa2",
        "its rotary embedding is no rotation, for the two channels of a pair turn by "
        "different frequencies",
    ),
    (
        "musicflamingo",
        "its angles come from time stamps: use rope_cos_sin with numerics='float32'",
    ),
    (
        "esmfold2.atom_encoder",
        "its angles come from the coordinates of atoms: use rope_cos_sin with "
        "numerics='float32' and axis_of_pair",
    ),
    (
        "lightglue",
        "its angles are learned from keypoints: use apply_rope with their cos and sin",
    ),
    (
        # Its code is not in transformers.
        "falcon_perception",
        "the second half of each head turns by fractional coordinates in directions "
        "that differ from head to head; the first half is that of "
        "default_inv_freq(head_dim // 2, rope_theta)",
    ),
)
