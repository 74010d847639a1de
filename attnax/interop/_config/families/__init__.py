"""What each model type of a config means: one row each."""
