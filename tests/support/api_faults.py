"""Rows D: what an API answers, and what that proves."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from fault_server import (
    GOOD,
    KEY,
    MODEL,
    FaultServer,
    Reply,
    close_at_once,
    cut_short,
    error,
    good_chat,
    good_model,
    loading,
    missing,
    model_body,
    reply,
    reset_mid_body,
    ssh_banner,
)

from fftdeploy.api.client.connection import Connection
from fftdeploy.api.settings import settings


def html(status: int = 200) -> Reply:
    page = b"<html><title>Please log in</title></html>"
    return reply(status, raw=page, content_type="text/html; charset=utf-8", name=str(status))


def deep() -> bytes:
    return b"[" * 100_000 + b"]" * 100_000


def key_twice() -> bytes:
    return json.dumps(model_body()).replace("{", '{"owned_by": "acme", ', 1).encode()


def with_nan() -> bytes:
    return json.dumps(model_body(extra=float("nan"))).encode()


IS_NONE = ("unverified", "not-an-answer", 1)
RETRIEVES: dict[str, tuple[list[Reply], str, str, int]] = {
    # id: replies to the retrieve, state, code, retrieves sent
    "D1-another-model": ([good_model(id="gpt-4.1")], *IS_NONE),
    "D2-empty-object": ([reply(body={})], *IS_NONE),
    "D2-error-in-200": ([reply(body={"error": {"message": "x"}})], *IS_NONE),
    "D2-null": ([reply(raw=b"null")], *IS_NONE),
    "D2-array": ([reply(raw=b"[]")], *IS_NONE),
    "D2-string": ([reply(raw=b'"ready"')], *IS_NONE),
    "D2-number": ([reply(raw=b"200")], *IS_NONE),
    "D2-204": ([reply(204, raw=b"", content_type=None)], *IS_NONE),
    "D3-html": ([html()], *IS_NONE),
    "D4-id-number": ([good_model(id=5)], *IS_NONE),
    "D4-created-text": ([good_model(created="z")], *IS_NONE),
    "D4-created-true": ([good_model(created=True)], *IS_NONE),
    "D4-owner-list": ([good_model(owned_by=[])], *IS_NONE),
    "D4-object-absent": ([good_model(object=None)], *IS_NONE),
    "D4-date-number": ([good_model(shutdown_date=12)], *IS_NONE),
    "D5-truncated": ([reply(raw=b'{"id": "ft:')], *IS_NONE),
    "D5-empty": ([reply(raw=b"")], *IS_NONE),
    "D5-not-utf8": ([reply(raw=b'{"id": "\xff\xfe"}')], *IS_NONE),
    "D5-deep": ([reply(raw=deep())], *IS_NONE),
    "D5-nan": ([reply(raw=with_nan())], *IS_NONE),
    "D5-key-twice": ([reply(raw=key_twice())], *IS_NONE),
    "D5-long-number": ([reply(raw=b"9" * 9000)], *IS_NONE),
    "D6-text-plain": ([reply(body=model_body(), content_type="text/plain")], *IS_NONE),
    "D6-no-type": ([reply(body=model_body(), content_type=None)], *IS_NONE),
    "D7-control-id": ([good_model(id="\x1b[2J::error::x\n")], *IS_NONE),
    "D7-control-message": (
        [error(400, None, "\x1b]0;x\x07\n::error::")],
        "unverified",
        "refused",
        1,
    ),
    "D8-gzip": ([reply(raw=b"\x1f\x8b\x08", headers=[("Content-Encoding", "gzip")])], *IS_NONE),
    "D8-two-mib": ([reply(raw=b'"' + b"x" * (2 << 20) + b'"')], *IS_NONE),
    "D9-400": ([error(400, "bad_thing")], "unverified", "refused", 1),
    "D9-422": ([error(422, None, "what?")], "unverified", "refused", 1),
    "D10-401": (
        [error(401, "invalid_api_key", f"Incorrect: {KEY}")],
        "unverified",
        "key-refused",
        1,
    ),
    "D10-401-html": ([html(401)], *IS_NONE),
    "D11-403-project": (
        [error(403, "model_not_found", "Project `proj_x` does not have access")],
        "unverified",
        "forbidden",
        1,
    ),
    "D12-404": ([missing()], "not-ready", "missing", 1),
    "D12-404-deprecated": (
        [missing("The model `x` has been deprecated, learn more here")],
        "not-ready",
        "retired",
        1,
    ),
    "D12-J3-404-no-code": ([error(404, None, "no such model")], "ready", "ready", 1),
    "D13-J3-404-html": ([html(404)], "ready", "ready", 1),
    "D14-409": ([error(409, None)], "unverified", "no-answer", 3),
    "D15-429": ([error(429, "slow_down")], "unverified", "rate-limited", 3),
    "D16-insufficient_quota": ([error(429, "insufficient_quota")], "unverified", "billing", 1),
    "D16-by-type": ([error(429, None, type="insufficient_quota")], "unverified", "billing", 1),
    "D16-credit": ([error(429, "credit_balance_exhausted")], "unverified", "billing", 1),
    "D16-project": ([error(429, "project_spend_limit_exceeded")], "unverified", "billing", 1),
    "D16-organization": (
        [error(429, "organization_spend_limit_exceeded")],
        "unverified",
        "billing",
        1,
    ),
    "D16-usage": ([error(429, "organization_usage_limit_exceeded")], "unverified", "billing", 1),
    "D17-500": ([error(500, None)], "unverified", "no-answer", 3),
    "D17-502-html": ([html(502)], "unverified", "no-answer", 3),
    "D17-503": ([error(503, "server_is_overloaded")], "unverified", "no-answer", 3),
    "D17-504-html": ([html(504)], "unverified", "no-answer", 3),
    "D17-520-empty": ([reply(520, raw=b"")], "unverified", "no-answer", 3),
    "D18-503-503-200": ([error(503, None), error(503, None), good_model()], "ready", "ready", 3),
    "D18-reset-200": ([Reply("x", act=reset_mid_body), good_model()], "ready", "ready", 2),
    "D21-reset-mid-body": ([Reply("x", act=reset_mid_body)], "unverified", "no-answer", 3),
    "D21-length-too-long": ([Reply("x", act=cut_short)], "unverified", "no-answer", 3),
    "D21-closed": ([Reply("x", act=close_at_once)], "unverified", "no-answer", 3),
    "D21-ssh": ([Reply("x", act=ssh_banner)], "unverified", "no-answer", 3),
    "D24-no-location": ([reply(302, raw=b"")], "unverified", "redirect", 1),
    "D27-past": ([good_model(shutdown_date="2026-11-20")], "not-ready", "shutdown", 1),
    "D27-today": ([good_model(shutdown_date="2026-11-21")], "not-ready", "shutdown", 1),
    "D28-soon": (
        [reply(body=model_body(shutdown_date="2026-12-01"), name=GOOD)],
        "ready",
        "ready",
        1,
    ),
    "D28-null": ([reply(body=model_body(shutdown_date=None), name=GOOD)], "ready", "ready", 1),
}
NO_DATES: tuple[object, ...] = (
    "soon",
    "",
    "2026-13-01",
    "2027-01-14T00:00:00Z",
    " 2027-01-14",
    "2027-01-14\n",
    "\u0662\u0660\u0662\u0667-01-14",
    "20270114",
    "2027-W02-4",
    False,
    [],
)
RETRIEVES |= {f"D29-{value!a}": ([good_model(shutdown_date=value)], *IS_NONE) for value in NO_DATES}
PROBES: dict[str, tuple[list[Reply], str, str, int]] = {
    # id: replies to the probe, state, code, probes sent
    "P-empty-content": ([good_chat()], "ready", "ready", 1),
    "P-no-choices": ([good_chat(choices=[])], *IS_NONE),
    "P-choices-null": ([good_chat(choices=None)], *IS_NONE),
    "P-choices-of-nothing": ([good_chat(choices=[None])], *IS_NONE),
    "P-another-model": ([good_chat(model="gpt-4.1")], "unverified", "other-model", 1),
    "P-no-model": ([good_chat(model=None)], *IS_NONE),
    "P-a-stream": ([reply(raw=b"data: {}", content_type="text/event-stream")], *IS_NONE),
    "P-another-object": ([good_chat(object="list")], *IS_NONE),
    "P-html": ([html()], *IS_NONE),
    "P-max_tokens": (
        [
            error(400, "unsupported_parameter", "use 'max_tokens'", param="max_completion_tokens"),
            good_chat(),
        ],
        "ready",
        "ready",
        2,
    ),
    "P-neither": (
        [
            error(400, None, "Unknown parameter: 'max_completion_tokens'"),
            error(400, None, "Could not finish the message because max_tokens was reached"),
            good_chat(),
        ],
        "ready",
        "ready",
        3,
    ),
    "P-400-else": ([error(400, "invalid_value", param="messages")], "unverified", "refused", 1),
    "P-400-always": ([error(400, None, "max_tokens")], "unverified", "refused", 3),
    "P-not-chat": (
        [error(404, None, "This is not a chat model and thus not supported")],
        "not-ready",
        "not-chat",
        1,
    ),
    "P-embedding": (
        [error(403, None, "You are not allowed to sample from this model")],
        "not-ready",
        "not-chat",
        1,
    ),
    "P-responses-only": (
        [error(404, None, "This model is only supported in v1/responses and not in chat")],
        "not-ready",
        "not-chat",
        1,
    ),
    "P-blocked": (
        [error(403, None, "This model was blocked from deployment by safety evaluations")],
        "not-ready",
        "blocked",
        1,
    ),
    "P-blocked-by-code": ([error(403, "model_blocked")], "not-ready", "blocked", 1),
    "P-a-blocked-request": ([error(403, None, "Request blocked.")], "unverified", "forbidden", 1),
    "P-listed-but-404": ([missing()], "unverified", "loading", 1),
    "P-retired": ([missing("The model has been deprecated")], "not-ready", "retired", 1),
    "P-loading": ([loading()], "unverified", "loading", 1),
    "P-quota": ([error(429, "insufficient_quota")], "unverified", "billing", 1),
    "P-scope": ([error(403, None, "Missing scopes: model.request")], "unverified", "key-scope", 1),
    "P-401": ([error(401, "invalid_api_key")], "unverified", "key-refused", 1),
    "P-503-then-good": ([error(503, None), good_chat()], "ready", "ready", 2),
}
LOCATIONS = {
    "absolute": "http://127.0.0.1:{trap}/v1/models/x",
    "scheme-relative": "//127.0.0.1:{trap}/v1/models/x",
    "with-user": "http://api.openai.com@127.0.0.1:{trap}/",
    "https": "https://127.0.0.1:{trap}/",
    "same-host-other-path": "/v1/elsewhere",
    "itself": "/v1/models/" + MODEL,
    "unreadable": "http://[::1/",
}


@contextmanager
def connected(api: FaultServer, **environ: str) -> Iterator[Connection]:
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": api.url} | environ
    connection = Connection(settings(environ))
    try:
        yield connection
    finally:
        connection.close()
