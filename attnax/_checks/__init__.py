"""Every rule of an argument, once: settings, arrays, ranges and parameters."""

from .arrays import (
    array_of as array_of,
)
from .arrays import (
    array_of_several as array_of_several,
)
from .arrays import (
    bool_array as bool_array,
)
from .arrays import (
    check_axis as check_axis,
)
from .arrays import (
    check_table as check_table,
)
from .arrays import (
    first_where as first_where,
)
from .arrays import (
    float_array as float_array,
)
from .arrays import (
    integer_array as integer_array,
)
from .arrays import (
    is_known as is_known,
)
from .arrays import (
    number_array as number_array,
)
from .out_of_range import (
    COUNT_FROM as COUNT_FROM,
)
from .out_of_range import (
    INT32_MAX as INT32_MAX,
)
from .out_of_range import (
    INT32_MIN as INT32_MIN,
)
from .out_of_range import (
    int32_in_range as int32_in_range,
)
from .out_of_range import (
    nan_unless as nan_unless,
)
from .out_of_range import (
    nan_where_invalid as nan_where_invalid,
)
from .params import (
    check_params as check_params,
)
from .settings import (
    check_flags as check_flags,
)
from .settings import (
    choice as choice,
)
from .settings import (
    exceeds as exceeds,
)
from .settings import (
    grid_sizes as grid_sizes,
)
from .settings import (
    integer as integer,
)
from .settings import (
    integers as integers,
)
from .settings import (
    is_integer as is_integer,
)
from .settings import (
    is_number as is_number,
)
from .settings import (
    number as number,
)
from .settings import (
    plain_number as plain_number,
)
from .settings import (
    positive_integer as positive_integer,
)
from .settings import (
    positive_multiple as positive_multiple,
)
