"""The families of checkpoints: one row each, with all that is known of it."""
