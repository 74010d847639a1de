"""Vocabularies that grow: new rows, padding, frozen rows and optimizer states."""
