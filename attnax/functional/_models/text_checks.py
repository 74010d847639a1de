"""Checks that the tables and the inputs of a text embedding agree."""

from ..._checks import COUNT_FROM, check_axes, check_one_per_token


def check_tables(params, ids, type_ids, positions):
    """Raises unless each input has its table, and sizes and widths agree."""
    token, learned, types = params
    check_axes("token_ids", ids, "seq_len")
    for table_name, table in (("positions", learned), ("token_types", types)):
        if table is not None and table.weight.shape[1] != token.weight.shape[1]:
            raise ValueError(
                f"params.{table_name}.weight.shape={table.weight.shape} must "
                f"have the width of params.token.weight.shape={token.weight.shape}; "
                "look the tokens up and project them first."
            )
    if (types is None) != (type_ids is None):
        raise ValueError(
            "token_type_ids must be given if, and only if, there is a table "
            "params.token_types; pass zeros for a single sentence."
        )
    if type_ids is not None and type_ids.shape != ids.shape:
        raise ValueError(
            f"token_type_ids.shape={type_ids.shape} must be "
            f"token_ids.shape={ids.shape}."
        )
    if positions is not None:
        if learned is None:
            raise ValueError("positions must come with a table params.positions.")
        what = "the shape of token_ids"
        check_one_per_token("positions", positions.shape, ids.shape, what, COUNT_FROM)
