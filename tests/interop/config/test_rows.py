"""Tables of several names per row: a name has one value."""

import pytest

from attnax.interop._config.rows import by_name


def test_every_name_of_a_row_has_its_value():
    assert by_name([("a b", 1), ("c", 2)]) == {"a": 1, "b": 1, "c": 2}


@pytest.mark.parametrize(
    "rows", ([("a b", 1), ("b", 2)], [("a", 1), ("a", 1)], [("a\n a", 1)])
)
def test_a_name_that_stands_twice_is_an_error(rows):
    with pytest.raises(ValueError, match=r"'[ab]' must stand in the table once"):
        by_name(rows)
