"""Facts in, verdict out: the words of each situation, the dates, and the bundled table."""

import json
from base64 import b64encode, encodebytes, urlsafe_b64encode
from collections.abc import Callable
from datetime import date
from typing import Any
from urllib.parse import quote

import pytest
from fault_server import KEY

from fftdeploy.api.answers import Answer, error_fields, plain
from fftdeploy.api.client.incoming import retry_after, scrub_all, scrubber
from fftdeploy.api.end_dates import parse_date
from fftdeploy.api.readiness import Readiness, Shutdown
from fftdeploy.api.settings import settings
from fftdeploy.api.verdicts import ModelFacts, judge
from fftdeploy.errors import AuthError, NotReadyError, UnverifiedError
from fftdeploy.model_ids import retirement

MODEL = "ft:gpt-4.1-mini-2025-04-14:acme:triage-v9:CdEf9"
TODAY = date(2026, 11, 21)
SETTINGS = settings({"OPENAI_API_KEY": "sk-test"})
WHERE = SETTINGS.base_url


def failed(status: int, code: str = "", message: str = "", **more: Any) -> Answer:
    body = {"error": {"code": code or None, "message": message}}
    return Answer(status, body=body, kind="openai", **error_fields(body), **more)


RECORD = {"object": "model", "id": MODEL, "created": 1, "owned_by": "acme"}
GOOD = Answer(200, body=RECORD, kind="openai")
SAID = {"object": "chat.completion", "model": MODEL, "choices": [{"index": 0}]}
PROBED = Answer(200, body=SAID, kind="openai")

SITUATIONS = {
    # by the code of the error: what was answered to the retrieve; its kind, message and hint
    "missing": (
        failed(404, "model_not_found", "does not exist"),
        NotReadyError,
        "this key cannot use it: deleted, retired, or another project",
        "`fftdeploy models` lists what this key can see",
    ),
    "retired": (
        failed(404, "model_not_found", "The model `x` has been deprecated, learn more here"),
        NotReadyError,
        "OpenAI has retired it and no longer serves it",
        "OpenAI's table of 2026-11-28 names gpt-6-luna as its replacement",
    ),
    "forbidden": (
        failed(403, "model_not_found", "Project `proj_1` does not have access to model"),
        AuthError,
        "the key's project may not use it, or the model is in another project (403)",
        "allow the model in the project's limits, or use a key of the model's own project",
    ),
    "blocked": (
        failed(403, "model_blocked", "The model `x` is blocked from deployment"),
        NotReadyError,
        "OpenAI's safety checks blocked it from deployment",
        "its job's moderation_checks events say why: https://platform.openai.com/finetune",
    ),
    "key-scope": (
        failed(403, "", "You have insufficient permissions. Missing scopes: api.model.read"),
        AuthError,
        "the key lacks the permission to ask about it",
        "give the key the scopes api.model.read and model.request",
    ),
    "key-refused": (
        failed(401, "invalid_api_key", "Incorrect API key provided: sk-ab***yz"),
        AuthError,
        "the API refused the key (401)",
        "check OPENAI_API_KEY, OPENAI_ORG_ID and OPENAI_PROJECT_ID",
    ),
    "billing": (
        failed(429, "credit_balance_exhausted"),
        AuthError,
        "the account is out of credit or over its limit (credit_balance_exhausted)",
        "asking again does not help; see the organisation's billing and limits",
    ),
    "loading": (
        failed(429, "", "The model is still being loaded"),
        UnverifiedError,
        "it is still being loaded by the API (429)",
        "ask again later; `fftdeploy promote TARGET --model ID --wait 10m` waits for it",
    ),
    "rate-limited": (
        failed(429, "slow_down", retry_after_s=90.0),
        UnverifiedError,
        "too many requests (429)",
        "retry after 90 s, says the API",
    ),
    "no-answer": (
        failed(503, "server_is_overloaded"),
        UnverifiedError,
        "the API could not answer (HTTP 503: server_is_overloaded)",
        "ask again later; nothing is known about the model",
    ),
    "refused": (
        failed(400, "bad\x1b[0m"),
        UnverifiedError,
        "the API refused the question (HTTP 400: bad\\x1b[0m)",
        "nothing is known about the model",
    ),
    "redirect": (
        Answer(302, fault="redirect", problem="redirected to login.example"),
        UnverifiedError,
        "no usable answer: redirected to login.example (HTTP 302)",
        "a redirect is never followed; OPENAI_BASE_URL must be the final address",
    ),
    "not-an-answer": (
        Answer(200, fault="not-json", problem="text/html instead of JSON"),
        UnverifiedError,
        "no usable answer: text/html instead of JSON",
        "look at the address and at any proxy or login page on the way to it",
    ),
    "unreachable": (
        Answer(fault="unreachable", problem="cannot reach api.openai.com"),
        UnverifiedError,
        "cannot reach api.openai.com",
        "ask again later; nothing is known about the model",
    ),
    "tls": (
        Answer(fault="tls", problem="the certificate of api.openai.com is not valid"),
        UnverifiedError,
        "the certificate of api.openai.com is not valid",
        "where a company proxy signs traffic, set SSL_CERT_FILE to its certificate",
    ),
}


@pytest.mark.parametrize("code", SITUATIONS)
def test_each_situation_has_its_own_words_and_next_step(code: str) -> None:
    answer, kind, message, hint = SITUATIONS[code]

    readiness = judge(ModelFacts(MODEL, retrieved=answer), TODAY, SETTINGS)
    error = readiness.error()

    assert type(error) is kind
    assert (error.code, error.message, error.hint, error.where) == (
        code,
        f"{MODEL}: {message}",
        hint,
        WHERE,
    )
    assert readiness.is_auth == (kind is AuthError)


def test_no_two_situations_say_the_same() -> None:
    assert len({message for _, _, message, _ in SITUATIONS.values()}) == len(SITUATIONS)


def test_the_request_id_is_in_the_error() -> None:
    answer = failed(500, request_id="req_7")
    error = judge(ModelFacts(MODEL, retrieved=answer), TODAY, SETTINGS).error()
    assert error.message.endswith("(HTTP 500) (request req_7)")


def test_nothing_asked_is_nothing_proved() -> None:
    assert judge(ModelFacts(MODEL), TODAY, SETTINGS).state == "unverified"


def test_ready_rests_on_what_was_asked() -> None:
    assert judge(ModelFacts(MODEL, retrieved=GOOD, probed=PROBED), TODAY, SETTINGS) == Readiness(
        "ready",
        "ready",
        model=MODEL,
        basis=("retrieved", "probed"),
        shutdown=Shutdown(date(2027, 1, 14), "table of 2026-11-28 (fine-tunes)"),
        where=WHERE,
    )


@pytest.mark.parametrize(
    ("today", "state", "warnings"),
    [
        (date(2026, 12, 1), "ready", 0),
        (date(2026, 12, 15), "ready", 1),
        (date(2027, 1, 13), "ready", 1),
        (date(2027, 1, 14), "ready", 1),
        (date(2027, 6, 1), "ready", 1),
    ],
)
def test_D28_the_nearer_the_end_the_louder(today: date, state: str, warnings: int) -> None:
    readiness = judge(ModelFacts(MODEL, retrieved=GOOD, probed=PROBED), today, SETTINGS)

    assert (readiness.state, len(readiness.warnings)) == (state, warnings)
    assert readiness.runway_days(today) == (date(2027, 1, 14) - today).days


def test_D28_says_how_long_and_who_says_so() -> None:
    readiness = judge(ModelFacts(MODEL, retrieved=GOOD, probed=PROBED), date(2027, 1, 4), SETTINGS)
    assert readiness.warnings == (
        "it shuts down on 2027-01-14, in 10 days (table of 2026-11-28 (fine-tunes))",
    )


FINE_TUNES = {
    "ft:gpt-4.1-nano-2025-04-14:openai::BTz2REMH": (
        "gpt-4.1-nano-2025-04-14",
        "openai",
        None,
        "BTz2REMH",
        None,
    ),
    "ft:gpt-4o-mini-2024-07-18:my-org:custom-suffix:96olL566:ckpt-step-2000": (
        "gpt-4o-mini-2024-07-18",
        "my-org",
        "custom-suffix",
        "96olL566",
        2000,
    ),
    "ft:gpt-4o-mini:acemeco:suffix:abc123": ("gpt-4o-mini", "acemeco", "suffix", "abc123", None),
    "ft:gpt-4o-mini:acemeco:abc123": ("gpt-4o-mini", "acemeco", None, "abc123", None),
    "ft:gpt-4o-mini:acemeco::abc123:ckpt-step-7": ("gpt-4o-mini", "acemeco", None, "abc123", 7),
    "ft:gpt-4o-mini:acemeco": None,
    "ft:::": None,
    "gpt-4o-mini": None,
    "ftjob-abc": None,
    "curie:ft-acme-2022-01-01": None,
}


@pytest.mark.parametrize("model", FINE_TUNES)
def test_the_grammar_of_fine_tunes(model: str) -> None:
    expected = FINE_TUNES[model]
    found = retirement.parse_fine_tune(model)
    assert found == (retirement.FineTune(*expected) if expected else None)
    assert retirement.organisation_of(model) == (expected[1] if expected else "")


DATES = {
    MODEL: (date(2027, 1, 14), "fine-tunes"),
    f"{MODEL}:ckpt-step-4": (date(2027, 1, 14), "fine-tunes"),
    "ft:gpt-4o-mini:acme::x": (date(2027, 1, 14), "fine-tunes"),
    "ft:gpt-4.1-nano:acme::x": (date(2026, 10, 23), "fine-tunes"),
    "ft:davinci-002:acme::x": (date(2026, 10, 23), "fine-tunes"),
    "davinci-002": (date(2026, 9, 28), "davinci-002"),
    "gpt-4o": (date(2027, 1, 14), "gpt-4o-2024-08-06"),
    "gpt-4o-2024-05-13": (date(2026, 10, 23), "gpt-4o-2024-05-13"),
    "gpt-5-2025-08-07": (date(2026, 12, 11), "gpt-5-2025-08-07"),
    "gpt-5.1": (date(2027, 4, 1), "gpt-5.1"),
    "ft:gpt-5:acme::x": (date(2026, 12, 11), "gpt-5"),
    "gpt-4o-audio-preview": None,
    "gpt-5-codex": None,
    "gpt-50": None,
    "gpt-6-luna": None,
    "": None,
}


@pytest.mark.parametrize("model", DATES)
def test_the_table_matches_whole_names_only(model: str) -> None:
    dated = DATES[model]
    found = (dated[0], f"table of 2026-11-28 ({dated[1]})") if dated else None
    assert retirement.table_date(model) == found


def test_every_row_of_the_table_dates_something_once() -> None:
    names = [*retirement.table().models]
    assert len(names) == len(set(names))
    assert all(row.fine_tunes or row.itself for row in retirement.table().models.values())
    assert set(retirement.table().aliases.values()) <= set(names)
    assert retirement.table().source.startswith("https://")


@pytest.mark.parametrize(
    "value",
    [
        "20270114",
        "2027-W02-4",
        "2027-1-4",
        "2027-02-30",
        " 2027-01-14",
        "2027-01-14\n",
        "",
        20270114,
    ],
)
def test_D29_only_one_way_to_write_a_date(value: object) -> None:
    assert parse_date(value) is None
    assert parse_date("2027-01-14") == date(2027, 1, 14)


def test_D7_untrusted_text_is_one_printable_line() -> None:
    text = "a\x1b[2J\n\r\t\x9b\u202e\u2066\u200b\ud800\x00 \u00e9\u6f22"
    assert plain(text) == ("a\\x1b[2J\\n\\r\\t\\x9b\\u202e\\u2066\\u200b\\ud800\\x00 \u00e9\u6f22")
    assert plain("x" * 201) == "x" * 200 + "..."


def test_a_short_key_does_not_eat_model_names() -> None:
    assert scrubber("changeme")("better change me") == "better change me"
    scrub = scrubber("test")
    assert scrub_all({"id": ["ft:gpt:test::x", 1, None]}, scrub) == {
        "id": ["ft:gpt:test::x", 1, None]
    }


def entities(text: str) -> str:
    return "".join(f"&#{ord(char)};" for char in text)


def b64(text: str) -> str:
    return b64encode(text.encode()).decode()


ENCODINGS: dict[str, Callable[[str], str]] = {
    "base64": b64,
    "of Bearer": lambda key: b64(f"Bearer {key}"),
    "of a password": lambda key: b64(f":{key}"),
    "of a user": lambda key: b64(f"me:{key}!"),
    "of a header, for URLs": lambda key: urlsafe_b64encode(f"a: {key}, b".encode()).decode(),
    "of a header, over lines": lambda key: encodebytes(
        f"Authorization: Bearer {key}".encode()
    ).decode(),
    "percent": lambda key: quote(key, safe=""),
    "percent, twice": lambda key: quote(quote(key, safe="").replace("%2F", "%2f")),
    "all percent": lambda key: "".join(f"%{ord(char):02x}" for char in key),
    "base64, percent": lambda key: quote(b64(key), safe=""),
    "HTML": lambda key: key.replace("/", "&sol;").replace("+", "&plus;"),
    "all HTML": entities,
    "HTML of percent": lambda key: entities(quote(key, safe="")),
    "JSON": lambda key: "".join(f"\\u{ord(char):04x}" for char in key),
    "JSON in JSON": lambda key: json.dumps(json.dumps(key).replace("/", "\\/")),
    "two lines": lambda key: f"{key[:9]}\n{key[9:]}",
    "two lines, in JSON": lambda key: json.dumps(f"{key[:9]}\r\n  {key[9:]}"),
}


@pytest.mark.parametrize("encode", ENCODINGS.values(), ids=ENCODINGS)
def test_J36_the_key_is_struck_out_however_it_is_encoded(encode: Callable[[str], str]) -> None:
    scrub = scrubber(KEY)
    pieces = [encode(KEY)[place : place + 12] for place in range(12, len(encode(KEY)) - 24)]
    said = scrub(f"400: you sent {encode(KEY)}, \u00e9")

    assert "[key]" in said
    assert [piece for piece in pieces if piece in said] == []
    for honest in (encode("no key at all"), f"a 100% sure \\ & so on \n{encode('sk-proj-')}"):
        assert scrub(honest) is honest


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("1.5", 1.5), ("1e9", None), ("\u0663", None), ("", None), ("9" * 30, None)],
)
def test_D15_retry_after_is_plain_seconds(value: str, seconds: float | None) -> None:
    assert retry_after({"retry-after": value}, None) == seconds


def test_D15_milliseconds_go_before_seconds() -> None:
    said = {"retry-after-ms": "120", "retry-after": "1"}
    assert retry_after(said, None) == 0.12
    assert retry_after(said | {"retry-after-ms": "soon"}, None) == 1.0
