"""Benchmarks of attnax; run `python -m benchmarks --help`."""
