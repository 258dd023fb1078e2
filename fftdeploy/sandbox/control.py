"""The addresses under `/control`: what the tests' own calls do, for programs that speak HTTP."""

from datetime import datetime
from typing import Any

from fftdeploy.sandbox import refusals
from fftdeploy.sandbox.faults import Faults, parse_fault
from fftdeploy.sandbox.ledger import Ledger, Request
from fftdeploy.sandbox.refusals import RefusedError, Reply
from fftdeploy.sandbox.world import State


def control(ledger: Ledger, faults: Faults, method: str, path: str, body: Any) -> Reply:
    """Change or show the sandbox's state; 400 for a body that is not understood."""
    actions = {
        ("POST", "/control/faults"): lambda: _add_fault(faults, body),
        ("DELETE", "/control/faults"): lambda: _clear_faults(faults),
        ("POST", "/control/models"): lambda: _set_model(ledger, body),
        ("POST", "/control/clock"): lambda: _set_clock(ledger, body),
        ("GET", "/control/requests"): lambda: _requests(ledger),
    }
    try:
        if (method, path) in actions:
            return actions[method, path]()
        if any(path == known for _, known in actions):
            raise refusals.wrong_method(method, path)
        raise refusals.unknown_url(method, path)
    except RefusedError as refused:
        return refused.reply
    except (TypeError, ValueError) as error:
        return refusals.refusal(400, str(error)).reply


def _add_fault(faults: Faults, body: Any) -> Reply:
    if not isinstance(body, dict):
        raise refusals.unreadable_body()
    faults.add(parse_fault(body))
    return Reply(200, {"ok": True})


def _clear_faults(faults: Faults) -> Reply:
    faults.clear()
    return Reply(200, {"ok": True})


def _set_model(ledger: Ledger, body: Any) -> Reply:
    """Take `{"id", "state", "after"?}`; the state `restored` is the one from the start.

    Or `{"id", "like"?, "fingerprint"?}`: from now on it answers as another model does.
    """
    if isinstance(body, dict) and body.keys() & {"like", "fingerprint"}:
        return _change_model(ledger, body)
    _require_keys(body, {"id", "state"}, {"after"})
    model, state, after = body["id"], body["state"], body.get("after", 0)
    if not isinstance(after, int) or isinstance(after, bool) or after < 0:
        raise ValueError("`after` is a number of requests")
    if after and state != State.GONE:
        raise ValueError('`after` goes with the state "gone" only')
    try:
        if state == "restored":
            ledger.restore(model)
        else:
            ledger.set_state(model, State(state), after=after)
    except KeyError:
        raise refusals.missing_model(str(model)) from None
    return Reply(200, {"ok": True})


def _change_model(ledger: Ledger, body: dict[str, Any]) -> Reply:
    _require_keys(body, {"id"}, {"like", "fingerprint"})
    model, like, fingerprint = (body.get(key, "") for key in ("id", "like", "fingerprint"))
    if not all(isinstance(each, str) for each in (model, like, fingerprint)):
        raise ValueError("`id`, `like` and `fingerprint` are texts")
    try:
        ledger.change(model, like=like, fingerprint=fingerprint)
    except KeyError as error:
        raise refusals.missing_model(str(error.args[0])) from None
    return Reply(200, {"ok": True})


def _set_clock(ledger: Ledger, body: Any) -> Reply:
    """Take `{"now": TIME}` with an offset; null lets the clock run again."""
    _require_keys(body, {"now"}, set())
    now = body["now"]
    ledger.set_now(None if now is None else datetime.fromisoformat(now))
    return Reply(200, {"now": ledger.now().isoformat()})


def _requests(ledger: Ledger) -> Reply:
    return Reply(200, {"data": [_request_body(request) for request in ledger.requests()]})


def _request_body(request: Request) -> dict[str, Any]:
    return {
        "index": request.index,
        "method": request.method,
        "path": request.path,
        "headers": dict(request.headers),
        "body": request.body,
        "is_authorised": request.is_authorised,
    }


def _require_keys(body: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(body, dict):
        raise refusals.unreadable_body()
    if missing := sorted(required - set(body)):
        raise ValueError(f"missing key `{missing[0]}`")
    if unknown := sorted(set(body) - required - optional):
        raise ValueError(f"unknown key `{unknown[0]}`")
