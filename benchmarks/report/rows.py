"""Records by case: what tables and pictures are made of."""

from typing import NamedTuple


class Row(NamedTuple):
    """The records of one case: of its limit, and of every other program by name."""

    suite: str
    case: str
    limit: dict
    programs: dict[str, dict]

    @property
    def attnax(self) -> dict | None:
        """The record that the target is for."""
        return self.programs.get("attnax")

    @property
    def target(self) -> float | None:
        """The ratio that attnax may have at most."""
        return self.attnax and self.attnax["target"]

    @property
    def rivals(self) -> dict[str, dict]:
        """The programs of others with the same result."""
        return {n: record for n, record in self.programs.items() if is_rival(n)}


def is_rival(name: str) -> bool:
    """Whether a program is another's with the same result.

    `"attnax, ..."` is another of our own, and `"... alone"` is a part of the work.
    """
    return not name.startswith("attnax") and " alone" not in name


def rows(records: list[dict]) -> list[Row]:
    """One row per case that was timed, in order; what was counted is left out."""
    by_case = {}
    for record in records:
        if "rival" in record:
            by_case.setdefault((record["suite"], record["case"]), []).append(record)
    return [
        Row(
            suite,
            case,
            next(record for record in found if record["is_limit"]),
            {record["rival"]: record for record in found if not record["is_limit"]},
        )
        for (suite, case), found in by_case.items()
    ]


def by_suite(records: list[dict]) -> dict[str, list[Row]]:
    """The rows of each suite."""
    suites = {}
    for row in rows(records):
        suites.setdefault(row.suite, []).append(row)
    return suites


def missed(row: Row) -> bool:
    """Whether attnax is above its target."""
    return bool(row.target) and row.attnax["ratio"] > row.target


def half_spread(record: dict) -> float:
    """Half the interquartile range of the ratio; 0 in older records without it."""
    return record.get("ratio_iqr", 0.0) / 2


def origin(records: list[dict]) -> str:
    """Machine and versions of all records, and whether they are of a tiny run."""

    def named(form, key):
        found = dict.fromkeys(r[key] for r in records if r.get(key) is not None)
        return [form.format(" and ".join(map(str, found)))] if found else []

    tiny = ["quick run of tiny sizes"] if any(r.get("quick") for r in records) else []
    return ", ".join(
        tiny
        + named("{}", "device")
        + named("{} cores", "cores")
        + named("Python {}", "python")
        + named("jax {}", "jax")
        + named("PyTorch {}", "torch")
    )
