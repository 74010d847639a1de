"""Positions of padded and packed sequences, and of images and videos, in int32."""
