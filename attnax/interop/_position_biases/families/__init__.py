"""The rules of model types, in a file for each kind of scheme."""
