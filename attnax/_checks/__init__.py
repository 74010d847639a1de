"""Checks of arguments: every rule stands here once.

A check raises a `ValueError` that names the argument. Checks whose names begin with
`check_` return nothing. The others are called what they return: `integer` returns an
int, and `float_array` an array of floats.
"""

from .arrays import (
    any_array as any_array,
    array_of as array_of,
    array_of_several as array_of_several,
    bool_array as bool_array,
    check_table as check_table,
    first_where as first_where,
    float_array as float_array,
    integer_array as integer_array,
    is_known as is_known,
    number_array as number_array,
)
from .out_of_range import (
    COUNT_FROM as COUNT_FROM,
    INT32_MAX as INT32_MAX,
    INT32_MIN as INT32_MIN,
    int32_in_range as int32_in_range,
    nan_unless as nan_unless,
    nan_where_invalid as nan_where_invalid,
    row_indices as row_indices,
)
from .params import check_params as check_params
from .passed_on import (
    check_axis_name as check_axis_name,
    check_key as check_key,
    check_out_sharding as check_out_sharding,
    check_precision as check_precision,
)
from .positions import positions_array as positions_array
from .settings import (
    FLOAT32_MAX as FLOAT32_MAX,
    FLOAT32_TINY as FLOAT32_TINY,
    check_flags as check_flags,
    choice as choice,
    exceeds as exceeds,
    grid_sizes as grid_sizes,
    integer as integer,
    integers as integers,
    is_integer as is_integer,
    is_number as is_number,
    number as number,
    permutation as permutation,
    plain_number as plain_number,
    positive_integer as positive_integer,
    positive_multiple as positive_multiple,
    side_lengths as side_lengths,
    type_of as type_of,
)
from .shapes import (
    broadcast_batches as broadcast_batches,
    broadcasts_to as broadcasts_to,
    check_axes as check_axes,
    check_not_sharded as check_not_sharded,
    check_one_per_token as check_one_per_token,
    check_width as check_width,
)
