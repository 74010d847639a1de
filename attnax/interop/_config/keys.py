"""A part of a config that remembers which of its keys were read."""

from collections.abc import Mapping

from .values import KINDS, is_number, shown


class Keys:
    """Reads keys under any of their names, then from the defaults of the model's code.

    A key that holds `None` is not there, as in Hugging Face's own code. `error` makes
    the exception for a value of a wrong kind.
    """

    def __init__(
        self,
        values: Mapping,
        where: str,
        defaults=None,
        aliases=(),
        error=lambda message: ValueError(f"{message}."),
    ):
        self.values = {k: v for k, v in values.items() if v is not None}
        self.nulls = values.keys() - self.values.keys()
        self.where = where
        self.defaults = defaults or {}
        self.aliases = {}
        for one, other in dict(aliases).items():
            self.aliases.setdefault(one, []).append(other)
            self.aliases.setdefault(other, []).append(one)
        self.read = set()
        self.checked = set()
        self.error = error
        # Of values that stand elsewhere under another name: where, and which.
        self.spelled = {}

    def given(self, name, default=None):
        """What the config itself says."""
        for key in (name, *self.aliases.get(name, ())):
            if key in self.values:
                self.read.add(key)
                if name not in self.checked:
                    words, test = KINDS.get(name, ("", lambda value: True))
                    if not test(self.values[key]):
                        raise self.error(
                            f"{key}={shown(self.values[key])} must be {words}"
                        )
                    self.checked.add(name)
                return self.values[key]
        return default

    def get(self, name, default=None):
        """What the config says, else the default of the model's code."""
        value = self.given(name)
        if value is not None:
            return value
        for key in (name, *self.aliases.get(name, ())):
            if self.defaults.get(key) is not None:
                return self.defaults[key]
        return default

    def require(self, context, name, default=None):
        """`get`, and a `ValueError` where nobody says anything."""
        value = self.get(name, default)
        if value is None:
            raise context.error(
                f"{self.where} must hold {name!r}: no default of this model type is "
                "known"
            )
        return value

    def said(self, name):
        """What stands where, for errors."""
        where, key = self.spelled.get(name, (self.where, name))
        return f"{where} holds {key}={shown(self.get(name))}"

    def number(self, context, name, default=None):
        """`require` of a number, as a float."""
        value = self.require(context, name, default)
        if not is_number(value):
            raise context.error(f"{self.said(name)}, which must be a finite number")
        return float(value)

    def integer(self, context, name):
        """`require` of a whole number, as an int."""
        value = self.number(context, name)
        if not value.is_integer():
            raise context.error(f"{self.said(name)}, which must be a whole number")
        return int(value)

    def null(self, name):
        """Whether the config itself says that there is none, whatever the default."""
        return name in self.nulls

    def ignore(self, *names):
        """Marks keys as read that belong to another part of the model."""
        self.read.update(names)

    def changed(self, **values):
        """The same keys with other values, and the same memory."""
        out = Keys({**self.values, **values}, self.where, self.defaults, (), self.error)
        out.aliases, out.read, out.nulls = self.aliases, self.read, self.nulls
        out.spelled = self.spelled
        return out

    def unread(self):
        """Keys of the config that nobody has asked for."""
        return [key for key in self.values if key not in self.read]
