"""Rows of hashed n-gram tables, by 64-bit integers without 64-bit mode."""
