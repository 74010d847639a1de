"""The tables of families, defaults and keys fit each other."""

import pytest
from rope_configs import NOT_FROM_DEFAULTS, ropes_of_defaults

from attnax.interop import ropes_from_hf
from attnax.interop._config import part, vocabulary
from attnax.interop._config.families import table as families


def test_every_family_has_defaults_and_every_default_a_family():
    known = part.tables()["models"]
    assert set(known) == set(families.IN_TRANSFORMERS)
    assert not set(families.ROPE_FAMILIES) & set(families.REFUSED)
    for name in sorted(known):
        config = {"model_type": name}
        message = NOT_FROM_DEFAULTS.get(name)
        if message is None:
            ropes = ropes_of_defaults(name)
            assert all(r is None or r.rotary_pairs > 0 for r in ropes)
        else:
            with pytest.raises(ValueError, match=message):
                ropes_from_hf(config, seq_len=9)


def test_every_default_is_a_key_that_is_read():
    names = {"aliases", "default_rope_theta", "default_partial_rotary_factor"}
    known = vocabulary.STRUCTURE | vocabulary.ROTARY | names
    for name, values in part.tables()["models"].items():
        spelled = set(values.get("aliases", {})) | set(
            values.get("aliases", {}).values()
        )
        assert set(values) <= known | spelled, name


def test_every_key_of_a_family_is_in_the_vocabulary():
    for name, family in families.ROPE_FAMILIES.items():
        assert set(family.says) <= set(vocabulary.FOREIGN), name
        assert set(family.elsewhere) <= set(vocabulary.KEYS), name
    for name, row in families.REMOTE.items():
        spelled = {*row.defaults, *row.aliases.values()}
        assert spelled <= {*vocabulary.KEYS, "default_rope_theta"}, name


def test_vocabularies_do_not_overlap():
    assert not set(vocabulary.FOREIGN) & vocabulary.ROTARY
    assert not vocabulary.STRUCTURE & vocabulary.ROTARY
