"""JSON Schema of what `diff` prints.  Pure."""

from fftdeploy.output.schema.parts import DAY, FLAG, Schema, closed, many, text

_NUMBER: Schema = {"type": "number"}
_COUNT: Schema = {"type": "integer", "minimum": 0}
_DAYS: Schema = {"type": "integer"}
_RULING: Schema = {"enum": ["pass", "fail", "inconclusive"]}


def diff(target: Schema) -> tuple[dict[str, Schema], tuple[str, ...]]:
    """Return the properties of the document, and those that a success has."""
    end = _whole({"name": _or_null(text()), "commit": _or_null(text("^[0-9a-f]{40,64}$"))})
    properties: dict[str, Schema] = {
        "kind": {"enum": ["targets", "refs"]},
        "a": end,
        "b": end,
        "differing": _COUNT,
        "compared": _COUNT,
        "comparisons": many(_comparison(target)),
    }
    return properties, tuple(properties)


def _comparison(target: Schema) -> Schema:
    side = _or_null(_side(target))
    held = many(_ref("held"))
    change = {"kind": text(), "message": text(), "release": _or_null(_COUNT)}
    together = {
        "evidence": text(),
        "candidate": _ref("place"),
        "ruling": _RULING,
        "headline": text(),
    }
    return _whole(
        {
            "targets": {**many(target), "minItems": 2, "maxItems": 2},
            "differs": FLAG,
            "fields": many(text()),
            "before": side,
            "after": side,
            "profile": many(_whole({"key": text(), "before": {}, "after": {}})),
            "holds": _whole({"before": held, "after": held}),
            "changes": many(_whole(change)),
            "together": _or_null(_whole(together)),
        }
    )


def _side(target: Schema) -> Schema:
    named = {"id": text(), "ruling": _or_null(text()), "problem": _or_null(text())}
    prices = dict.fromkeys(("input", "cached_input", "output"), _NUMBER)
    return _whole(
        {
            "target": target,
            **_bundle(),
            "tuned": _or_null(_whole(_tuned())),
            "job": _or_null(text()),
            "recorded": FLAG,
            "release": _or_null(_ref("release")),
            "hold": _or_null(_ref("held")),
            "evidence": _or_null(_whole(named)),
            "measured": _or_null(_whole(_measured())),
            "price": _or_null(_whole(prices)),
            "shutdown_date": _or_null(text(DAY)),
            "shutdown_source": _or_null(text()),
            "runway_days": _or_null(_DAYS),
            "rollback": _or_null(_whole({"n": _COUNT, **_bundle(), "problem": _or_null(text())})),
        }
    )


def _bundle() -> dict[str, Schema]:
    missing = _or_null(text())
    return {"model": text(), "provider": text(), "profile": missing, "profile_sha": missing}


def _tuned() -> dict[str, Schema]:
    return {
        "base": text(),
        "organisation": text(),
        "suffix": _or_null(text()),
        "id": text(),
        "step": _or_null(_COUNT),
    }


def _measured() -> dict[str, Schema]:
    return {
        "evidence": text(),
        "n": _COUNT,
        "passed": _COUNT,
        **dict.fromkeys(("rate", "low", "high"), _NUMBER),
        "p95_latency_ms": _or_null(_COUNT),
        "usd_per_1k_requests": _or_null(_NUMBER),
    }


def _whole(properties: dict[str, Schema]) -> Schema:
    return closed(properties, tuple(properties))


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}
