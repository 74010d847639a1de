"""Every rule of an argument, once: settings, arrays, ranges and parameters."""

from .arrays import (
    array_of as array_of,
    array_of_several as array_of_several,
    bool_array as bool_array,
    check_axis as check_axis,
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
)
from .params import check_params as check_params
from .settings import (
    check_flags as check_flags,
    choice as choice,
    exceeds as exceeds,
    grid_sizes as grid_sizes,
    integer as integer,
    integers as integers,
    is_integer as is_integer,
    is_number as is_number,
    number as number,
    plain_number as plain_number,
    positive_integer as positive_integer,
    positive_multiple as positive_multiple,
)
