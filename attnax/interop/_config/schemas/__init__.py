"""From a config of any version to the RoPE parameters of each layer type.

Version 5 of transformers has `rope_parameters`, flat or nested by layer type. Version 4
has `rope_theta` and `rope_scaling` at the level of the model, and a few models have
names of their own. Precedence is that of transformers 5.23: `rope_scaling` where it is
given, then `rope_parameters`, then the default of the model's code. What these lack
comes from the keys beside them, and then from the default of the code. A key beside
them that contradicts a value with precedence over it is an error.

A schema takes the context and returns a dict. Its keys are labels: layer types, or
`None` where all layers share one set of parameters. Its values are parameters, or
`None` where a layer type does not rotate.
"""
