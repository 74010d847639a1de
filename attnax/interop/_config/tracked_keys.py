"""A part of a config that remembers which of its keys were read."""

from collections.abc import Mapping

from ..._checks import is_number
from .values import shown
from .vocabulary import kind_of


class TrackedKeys:
    """The values of a part of a config, and the defaults of the model's code for them.

    A key may have several names. A key that holds `None` counts as missing, as in
    Hugging Face's own code. `error` makes the exception for a value of a wrong kind,
    which `kinds` tells from the key.
    """

    def __init__(
        self,
        values: Mapping,
        where: str,
        defaults=None,
        aliases=(),
        error=lambda message: ValueError(f"{message}."),
        kinds=kind_of,
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
        self.error, self.kinds = error, kinds
        # Where values were found under another name: the place and that name.
        self.spelled = {}

    def given(self, key, default=None):
        """The value in the config itself; `default` if it holds none."""
        for name in (key, *self.aliases.get(key, ())):
            if name in self.values:
                self.read.add(name)
                self._check(key, name)
                return self.values[name]
        return default

    def get(self, key, default=None):
        """The value in the config, or else the default of the model's code."""
        value = self.given(key)
        if value is not None:
            return value
        for name in (key, *self.aliases.get(key, ())):
            if self.defaults.get(name) is not None:
                return self.defaults[name]
        return default

    def require(self, key, default=None):
        """What `get` finds; raises if that is nothing."""
        value = self.get(key, default)
        if value is None:
            raise self.error(
                f"{self.where} must hold {key!r}: no default of this model type is "
                "known"
            )
        return value

    def said(self, key):
        """The key with its value and its place, for errors."""
        where, spelled = self.spelled.get(key, (self.where, key))
        return f"{where} holds {spelled}={shown(self.get(key))}"

    def number(self, key, default=None):
        """A required number, as a float."""
        value = self.require(key, default)
        if not is_number(value):
            raise self.error(f"{self.said(key)}, which must be a finite number")
        return float(value)

    def integer(self, key):
        """A required whole number, as an int."""
        value = self.number(key)
        if not value.is_integer():
            raise self.error(f"{self.said(key)}, which must be a whole number")
        return int(value)

    def null(self, key):
        """Whether the config itself holds `None` under the key."""
        return key in self.nulls

    def ignore(self, *keys):
        """Marks keys as read that belong to another part of the model."""
        self.read.update(keys)

    def changed(self, **values):
        """The same part with other values, which shares the memory of keys read."""
        out = TrackedKeys(
            {**self.values, **values},
            self.where,
            self.defaults,
            (),
            self.error,
            self.kinds,
        )
        out.aliases, out.read, out.nulls = self.aliases, self.read, self.nulls
        out.spelled = self.spelled
        return out

    def unread(self):
        """The keys of the config that no rule has read."""
        return [key for key in self.values if key not in self.read]

    def _check(self, key, name):
        """Raises if the value under `name`, one name of `key`, is of a wrong kind."""
        if key not in self.checked:
            kind = self.kinds(key)
            if not kind.test(self.values[name]):
                raise self.error(f"{name}={shown(self.values[name])} must be {kind}")
            self.checked.add(key)
