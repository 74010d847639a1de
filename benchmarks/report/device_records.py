"""The lines of `python -m benchmarks.device`, by kind and by case."""

KERNELS = {
    "rotation": "rotation",
    "cos_sin": "cos and sin",
    "layers": "rotations of layers",
    "lookup": "lookup",
    "head": "heads without logits",
    "rows": "steps on rows",
    "host": "tables on the host",
    "patch": "patches",
    "bias": "position biases",
}
# What cases are compared with, which nobody uses as it is.
LIMITS = (
    *("copy", "gather", "matrix product"),
    *("zeros plus rows", "float32 zeros plus rows"),
    "ready cos/sin + one rope_cos_sin",
    *("copy of the result", "read of the cotangent", "without positions"),
    "the step without a fetch",
)


def chosen(records: list[dict], *kinds: str) -> list[dict]:
    """The lines of these kinds, without those of programs that failed."""
    return [r for r in records if r["kind"] in kinds and "failed" not in r]


def by_case(records: list[dict]) -> list[dict[str, dict]]:
    """The lines of each case by the name of their program."""
    cases = {}
    for record in records:
        key = record["kind"], record["case"], record["dtype"]
        cases.setdefault(key, {})[record["rival"]] = record
    return list(cases.values())
