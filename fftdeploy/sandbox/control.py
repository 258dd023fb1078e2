"""The addresses under `/control`: what the tests' own calls do, for programs that speak HTTP."""

from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from fftdeploy.sandbox import refusals
from fftdeploy.sandbox.faults import Faults, parse_fault
from fftdeploy.sandbox.ledger import Ledger
from fftdeploy.sandbox.refusals import RefusedError, Reply
from fftdeploy.sandbox.world import State


def control(ledger: Ledger, faults: Faults, method: str, path: str, body: Any) -> Reply:
    """Change or show the sandbox's state; 400 for a body that is not understood."""
    actions: Mapping[tuple[str, str], Callable[[], Any]] = {
        ("POST", "/control/faults"): lambda: faults.add(parse_fault(_object(body))),
        ("DELETE", "/control/faults"): faults.clear,
        ("POST", "/control/models"): lambda: _set_model(ledger, _object(body)),
        ("POST", "/control/clock"): lambda: _set_clock(ledger, _object(body)),
        ("GET", "/control/requests"): lambda: _requests(ledger),
    }
    try:
        if (method, path) in actions:
            return Reply(200, actions[method, path]() or {"ok": True})
        if any(path == known for _, known in actions):
            raise refusals.wrong_method(method, path)
        raise refusals.unknown_url(method, path)
    except RefusedError as refused:
        return refused.reply
    except KeyError as error:
        return refusals.missing_model(error.args[0]).reply
    except (TypeError, ValueError) as error:
        return refusals.refusal(400, str(error)).reply


def _object(body: Any) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise refusals.unreadable_body()
    return body


def _set_model(ledger: Ledger, body: dict[str, Any]) -> None:
    """Take `{"id", "state", "after"?}`; the state `restored` is the one from the start.

    Or `{"id", "like"?, "fingerprint"?}`: from now on it answers as another model does.
    """
    if body.keys() & {"like", "fingerprint"}:
        _require_keys(body, {"id"}, {"like", "fingerprint"})
        model, like, fingerprint = (body.get(key, "") for key in ("id", "like", "fingerprint"))
        if not all(isinstance(each, str) for each in (model, like, fingerprint)):
            raise ValueError("`id`, `like` and `fingerprint` are texts")
        ledger.change(model, like=like, fingerprint=fingerprint)
        return
    _require_keys(body, {"id", "state"}, {"after"})
    model, state, after = body["id"], body["state"], body.get("after", 0)
    if not isinstance(after, int) or isinstance(after, bool) or after < 0:
        raise ValueError("`after` is a number of requests")
    if after and state != State.GONE:
        raise ValueError('`after` goes with the state "gone" only')
    if state == "restored":
        ledger.restore(model)
    else:
        ledger.set_state(model, State(state), after=after)


def _set_clock(ledger: Ledger, body: dict[str, Any]) -> dict[str, str]:
    """Take `{"now": TIME}` with an offset; null lets the clock run again."""
    _require_keys(body, {"now"}, set())
    now = body["now"]
    ledger.set_now(None if now is None else datetime.fromisoformat(now))
    return {"now": ledger.now().isoformat()}


def _requests(ledger: Ledger) -> dict[str, Any]:
    seen = [asdict(request) for request in ledger.requests()]
    return {"data": [{key: each[key] for key in each if key != "content"} for each in seen]}


def _require_keys(body: dict[str, Any], required: set[str], optional: set[str]) -> None:
    if missing := sorted(required - set(body)):
        raise ValueError(f"missing key `{missing[0]}`")
    if unknown := sorted(set(body) - required - optional):
        raise ValueError(f"unknown key `{unknown[0]}`")
