"""Products of 32-bit words, for integers wider than JAX holds without 64-bit mode."""


def multiply_high(a, b):
    """The high word of a uint32 product, from 16-bit limbs."""
    a_low, a_high = a & 0xFFFF, a >> 16
    b_low, b_high = b & 0xFFFF, b >> 16
    middle = a_high * b_low + (a_low * b_low >> 16)
    other = a_low * b_high + (middle & 0xFFFF)
    return a_high * b_high + (middle >> 16) + (other >> 16)
