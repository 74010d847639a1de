"""Options of released models: how they resize positions and make sinusoids."""
