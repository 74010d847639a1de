"""A small decoder, for the share of its parts."""
