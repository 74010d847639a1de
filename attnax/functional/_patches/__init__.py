"""Images as sequences of patches, and their projections."""
