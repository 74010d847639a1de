"""The record of a key of a config."""

from dataclasses import dataclass

from ..values import ANY, Kind


@dataclass(frozen=True)
class Key:
    """The facts that are known about a key of a config.

    Attributes:
        kind: Kind of its values.
        rotary: Whether, at the level of a model, it says something about rotary
            positions, so that a rope made without reading it would be wrong.
        structure: Whether it says which layers a model has or how wide their heads are.
        inner: Whether it may stand among the parameters of RoPE.
        common: Whether every code reads it alike, or it tells the layout.
        unclear: Whether it means different things in different codes.
        switch: Whether it is a switch that does nothing while it is off.
        stands_for: Name or formula of Hugging Face for the same thing.
        foreign: Advice about a name of another engine, which no code of Hugging Face
            reads; empty for other keys.
        elsewhere: Whether it may go unread, because other parts of a model read it or
            it changes nothing.
    """

    kind: Kind = ANY
    rotary: bool = False
    structure: bool = False
    inner: bool = False
    common: bool = False
    unclear: bool = False
    switch: bool = False
    stands_for: str = ""
    foreign: str = ""
    elsewhere: bool = False
