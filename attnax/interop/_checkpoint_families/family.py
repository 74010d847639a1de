"""The record of a family of checkpoints: its tensors, their names and their axes."""

from typing import NamedTuple

# Roles of the tokens in front of the patches, in the order in which they stand there.
FRONT_TOKENS = ("class", "distillation", "registers")


class Tensor(NamedTuple):
    """One tensor of a family.

    Attributes:
        role: The part of the embedding that the tensor holds, such as `"token"`;
            `"extra"` for what belongs to the caller.
        names: Names relative to the prefix, the usual one first. A file has one of
            them, or any number of them if `copies`.
        axes: Names of the axes, numbers for fixed lengths. Alternatives differ in their
            number of axes.
        required: Whether every file has the tensor.
        copies: Whether a file may hold the tensor under several names, with the same
            values.
        beside: Whether the tensor may stand under any part of the prefix, as a head
            does beside its model.
    """

    role: str
    names: tuple[str, ...]
    axes: tuple[str, ...]
    required: bool = True
    copies: bool = False
    beside: bool = False


class CheckpointFamily(NamedTuple):
    """Models whose checkpoints name the tensors of the embedding alike.

    Attributes:
        name: The name of the family in every table.
        kind: Kind of the parameters: `"token"`, `"text"` or `"vision"`.
        namespaces: Beginnings of names that belong to the embedding.
        tensors: The tensors. The first one tells the prefix.
        models: Name of the models in the documentation.
        types: Model types of transformers with this family, separated by spaces. A
            family whose name is a model type lists itself.
        tied: Whether a head has the values of the token table; `None` leaves that to
            the file.
        without_position: Roles of the tokens in front of the patches that get no
            position; `None` leaves that to the number of rows.
        separator: Separator of the parts of a name.
    """

    name: str
    kind: str
    namespaces: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    models: str
    types: str = ""
    tied: bool | None = None
    without_position: tuple[str, ...] | None = ()
    separator: str = "."

    def held(self, role: str) -> tuple[Tensor, ...]:
        """The tensors of a role."""
        return tuple(tensor for tensor in self.tensors if tensor.role == role)
