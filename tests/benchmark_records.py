"""Records of benchmarks as the suite writes them, of made-up timings."""


def timed(case, ratios, *, suite="rotation", target=None, limit="copy", **more):
    """The records of one case: of its limit, and of each ratio by name.

    A ratio may be a pair with its interquartile range.
    """
    for name, ratio in {limit: 1.0, **ratios}.items():
        ratio, spread = ratio if isinstance(ratio, tuple) else (ratio, None)
        yield {
            "suite": suite,
            "case": case,
            "rival": name,
            "is_limit": name == limit,
            "median_ms": 2.0 * ratio,
            "iqr_ms": 0.1,
            "ratio": ratio,
            **({} if spread is None else {"ratio_iqr": spread}),
            "target": target if name == "attnax" else None,
            "compile_ms": 50.0,
            "rounds": 25,
            "rounds_ahead": 0,
            **more,
            "device": "a CPU",
            "cores": 2,
            "python": "3.11.0",
            "jax": "0.10.2",
            "numpy": "2.4.0",
        }
