"""attnax against the position tables, patches and checkpoints of released code."""
