"""Exact phases, cos and sin of them, and what keeps them from being made twice."""
