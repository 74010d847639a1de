"""The parts of a config that have rotary positions, and which is its language model."""

from collections.abc import Mapping
from dataclasses import replace

from ..._checks import type_of
from .families.table import REFUSED
from .part import OWN, Part, model_type_of, part_error, tables
from .vocabulary import FOREIGN, ROTARY, STRUCTURE

# Dicts that are no parts.
_NO_PARTS = frozenset(("attn", "attn_config", "per_layer_config"))
# Keys of the language model, for a model that is not known, or whose code has renamed
# its key since the release.
LANGUAGE = tuple(
    """
    text_config language_config llm_config llm_cfg lm_config language_model
    thinker_config decoder_config decoder generator vlm_config
    """.split()
)
_DEEPEST = 16


def all_parts(config):
    """The parts with rotary positions, and the part that the config means.

    That is the language model or the whole; `None` if there are several parts and none
    of them is a language model.
    """
    parts, main = _walk(whole_of(config))
    return sorted(parts, key=lambda part: part != main), main


def whole_of(config):
    """The whole config as a part."""
    if not isinstance(config, Mapping):
        raise ValueError(
            f"config is {type_of(config)}, but must be a dict as "
            "in config.json; pass config.to_dict()."
        )
    return Part((), model_type_of(config), config)


def check_depth(part):
    """Raises if a part is so deep in the config that a walk would not end."""
    if len(part.path) > _DEEPEST:
        raise part_error(part.path[:3], "the config is nested too deeply")


def _walk(part, around=None):
    """`(parts, main)` of a part; `around` is what the model around it says of parts."""
    check_depth(part)
    specs = tables()["sub_configs"].get(part.model_type, {})
    language = next((k for k, spec in specs.items() if spec.get("language")), None)
    beside = part.model_type in REFUSED and part.has(language)
    own = not beside and (part.known or (part.says and not specs))
    found = {}
    for key in _keys_of_parts(part, specs, own):
        child = child_of(part, key, specs, around or {}, tables()["sub_configs"])
        found[key] = _walk(child, specs or around)
    here, main = [], None
    if own:
        main = replace(part, rotary=True)
        here = [main]
    elif (key := _key_of_language(part, language, specs)) is not None:
        main = found[key][1]
        if language not in (key, None):  # under another key: the code fills in none
            del found[language]
    elif language is not None:
        main = _text_without_a_part(part, language, specs, found[language][1])
        if main.path == part.path:  # its keys are those of the whole
            del found[language]
            here = [] if main.problem else [main]
    parts = [*here, *(each for inner, _ in found.values() for each in inner)]
    return parts, part if main is None and not parts else main


def _keys_of_parts(part, specs, own):
    """The keys of the parts.

    The parts of a model that itself rotates (`own`), and whose code does not name them,
    count only if they say something about rotary positions.
    """
    yield from filled_in(part, specs)
    for key, values in part.values.items():
        if part.has(key) and not _is_parameters(key):
            if not own or key in specs or any(values.get(name) for name in OWN):
                yield key


def filled_in(part, specs):
    """The keys of parts that the config lacks and that the model's code fills in.

    Raises if it holds something else than a part under the key of one.
    """
    for key, spec in specs.items():
        if not isinstance(part.values.get(key), Mapping | None):
            message = f"{key}={part.values[key]!r} must be a dict or null"
            raise part_error(part.path, message)
        if part.values.get(key) is None and not spec.get("optional"):
            yield key


def _is_parameters(key):
    """Whether a dict under the key is no part, also if the key is misspelt."""
    return key in _NO_PARTS or str(key).startswith(("rope", "rotary"))


def _key_of_language(part, language, specs):
    """The key of the language model in the code or in the release; `None` without one.

    Code of which no part rotates needs no key, for its error names the model.
    """
    if part.model_type in tables()["without_rotary"]:
        return None
    renamed = [key for key in LANGUAGE if key not in specs]
    keys = [language, *renamed] if language else [] if specs else renamed
    return next((key for key in keys if part.has(key)), None)


def child_of(part, key, specs, around, sub_configs):
    """The part under the key, with the model type that its place gives it.

    `sub_configs` is the table of the parts of each model type.
    """
    values = part.values.get(key)
    also = {spec["also"]: spec for spec in specs.values() if "also" in spec}
    spec = specs.get(key, also.get(key, {}))
    if values is None:
        model_type, init = spec.get("model_type"), spec.get("init", {})
        return part.inner(key, init.get("model_type", model_type), init, held=False)
    # Code with a fixed class for the part ignores its model type.
    path = (*part.path, key)
    named = None if spec.get("fixed") else _own_type(values, key, path, sub_configs)
    default = spec.get("model_type") or around.get(key, {}).get("model_type")
    if spec.get("merged"):
        values = _filled(spec["init"], values)
    return part.inner(key, named or default, values)


def _own_type(values, key, path, sub_configs):
    """The model type that a part says itself.

    A part may have the model type of the whole; its key then says which part it is.
    """
    named = model_type_of(values, path)
    whole = sub_configs.get(named, {})
    if key in whole and not any(isinstance(values.get(k), Mapping) for k in whole):
        return whole[key].get("model_type")
    return named


def _filled(init, values):
    """`values`, with those of the code for what they lack.

    A base in `rope_parameters` keeps the `rope_theta` of the code away.
    """
    given = values.get("rope_parameters")
    if isinstance(given, Mapping) and given.get("rope_theta") is not None:
        init = {key: value for key, value in init.items() if key != "rope_theta"}
    return {**init, **values}


def _text_without_a_part(part, language, specs, filled):
    """The language model of a config that has no part for it.

    Its keys stand at the level of the whole, as in first releases. If no keys of a text
    stand anywhere, the code fills it in (`filled`). Keys of a text that nothing would
    read are a problem of the part that is returned.
    """
    code = f"the code of model_type={part.model_type!r}"
    names = _keys_of_texts(specs)
    said = [key for key in part.values if key in names and part.values[key] is not None]
    flat = part.inner(language, specs[language].get("model_type"), part.values)
    flat = replace(flat, path=part.path, rotary=flat.known)
    if not said:
        parts = [key for key in part.values if key not in specs and part.has(key)]
        other = next((key for key in parts if names & part.values[key].keys()), None)
        if other is None:
            return filled
        problem = (
            f"the config holds {other} and no {language}, and {code} reads the latter; "
            "rename it, or remove it"
        )
        return replace(flat, problem=problem)
    rope = any(part.values.get(key) is not None for key in ROTARY)
    if "vocab_size" in part.values or (rope and "patch_size" not in part.values):
        return flat
    others = [key for key in specs if key != language]
    also = f", and those of {' or '.join(others)} into that" if others else ""
    return replace(
        flat,
        problem=f"the config holds {said[0]}={part.values[said[0]]!r}, which {code} "
        f"reads in its parts; write keys of the text into {language}{also}",
    )


def _keys_of_texts(specs):
    """Every key that a language model may read, under all of its names."""
    known = [tables()["models"].get(s.get("model_type"), {}) for s in specs.values()]
    names = {name for values in known for name in values.get("aliases", {}).values()}
    return names | STRUCTURE | ROTARY | FOREIGN.keys()
