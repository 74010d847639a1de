"""Roots of integers, from which the thresholds of buckets are made on the host."""

import math

# The most buckets of a scheme. The threshold of a bucket is the root of a number whose
# digits grow with the number of buckets: those of 4096 take seconds.
MOST_BUCKETS = 4096


def integer_root(number: int, degree: int) -> int:
    """The smallest integer whose power of `degree` is at least `number`.

    It must be at most 2**31, so that float64 errs by less than one.
    """
    root = max(int(2.0 ** (math.log2(number) / degree)) - 1, 0)
    while root**degree < number:
        root += 1
    return root
