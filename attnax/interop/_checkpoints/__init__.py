"""Tensors of checkpoints to parameters, and back.

The public functions are in `api`. To read, they open a source (`files`), find the
tensors of the family in it (`names`), and make parameters of them (`text`, `vision`).
To write, they find the tensors that the parameters need (`stored`) and make these.
"""
