"""A model type whose code lies beside its weights and not in transformers."""

from dataclasses import dataclass, field

from ...family import RopeFamily


@dataclass(frozen=True)
class Remote:
    """The rules of one model type, and where they come from.

    Where `defaults` has no value, the config must hold the key.

    Attributes:
        family: The rules.
        source: The repository and the file in which the rules were read.
        defaults: Values that the code takes for missing keys.
        aliases: Names of keys in the configs of this type, with the names that the
            rules have for them.
    """

    family: RopeFamily
    source: str
    defaults: dict = field(default_factory=dict)
    aliases: dict = field(default_factory=dict)

    def known(self):
        """Defaults and names in the form of `defaults.json`."""
        return self.defaults | {"aliases": self.aliases}


HUB = "https://huggingface.co"
SCALED = ("default", "linear", "dynamic")
BASE = {"default_rope_theta": 10_000.0}
GPT2_NAMES = {
    "n_embd": "hidden_size",
    "n_head": "num_attention_heads",
    "n_layer": "num_hidden_layers",
    "n_positions": "max_position_embeddings",
}
