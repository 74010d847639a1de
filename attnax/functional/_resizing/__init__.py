"""Resizes learned grids of positions for images of another size."""
