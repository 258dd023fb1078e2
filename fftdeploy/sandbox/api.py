"""The addresses under `/v1`: one request -> one reply, from the world and its ledger."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qs, unquote

from fftdeploy.sandbox import completions, refusals
from fftdeploy.sandbox.batches import BatchFault
from fftdeploy.sandbox.ledger import Ledger, Request
from fftdeploy.sandbox.refusals import RefusedError, Reply
from fftdeploy.sandbox.world import ORGANISATION, PROJECT, Model, Phase, SandboxJob, State

_Query = Mapping[str, list[str]]
_Completer = Callable[..., dict[str, Any]]
_NO_FAULT = BatchFault()


def answer(ledger: Ledger, request: Request, batch_fault: BatchFault = _NO_FAULT) -> Reply:
    """Answer one authorised request; never raises for anything a client can send.

    `batch_fault` is of the batch that the request makes.
    """
    bare, _, raw_query = request.path.partition("?")
    parts = [unquote(part) for part in bare.split("/")[2:]]
    try:
        return Reply(200, _route(ledger, request, parts, parse_qs(raw_query), batch_fault))
    except RefusedError as refused:
        return refused.reply


def _route(
    ledger: Ledger, request: Request, parts: list[str], query: _Query, fault: BatchFault
) -> Any:
    """Answer; the requests of batches are in the log too, once they are answered."""

    def answered(path: str, body: Any) -> Reply:
        return answer(ledger, ledger.record("POST", path, {}, body, is_authorised=True))

    queue, form = ledger.batches, request.body if isinstance(request.body, dict) else {}
    pages = partial(_page_with_ends, query=query)
    routes: Mapping[tuple[str, str], Callable[..., Any]] = {
        ("GET", "models"): lambda: {"object": "list", "data": [*map(_model_body, ledger.models())]},
        ("GET", "models/*"): lambda name: _model_body(_visible(ledger.model(name))),
        ("GET", "fine_tuning/jobs"): lambda: _page([*map(_job_body, ledger.jobs())], query),
        ("GET", "fine_tuning/jobs/*"): lambda job: _job_body(ledger.job(job, is_retrieve=True)),
        ("GET", "fine_tuning/jobs/*/events"): lambda job: _page(_events(ledger.job(job)), query),
        ("GET", "fine_tuning/jobs/*/checkpoints"): lambda job: pages(_checkpoints(ledger.job(job))),
        ("POST", "chat/completions"): lambda: _complete(ledger, request, completions.chat),
        ("POST", "responses"): lambda: _complete(ledger, request, completions.respond),
        ("POST", "files"): lambda: queue.upload(form, request.content),
        ("GET", "files"): lambda: pages(queue.files()),
        ("GET", "files/*"): queue.file,
        ("DELETE", "files/*"): queue.delete,
        ("GET", "files/*/content"): queue.content,
        ("POST", "batches"): lambda: queue.create(request.body, fault),
        ("GET", "batches"): lambda: pages(queue.batches()),
        ("GET", "batches/*"): lambda batch: queue.retrieve(batch, answered),
        ("POST", "batches/*/cancel"): lambda batch: queue.cancel(batch, answered),
    }
    refused = refusals.unknown_url
    for (method, route), reply in routes.items():
        pairs = list(zip(route.split("/"), parts, strict=False))
        is_meant = len(pairs) == len(parts) == route.count("/") + 1
        if not is_meant or not all(known in {"*", part} for known, part in pairs):
            continue
        if method == request.method:
            return reply(*(part for known, part in pairs if known == "*"))
        refused = refusals.wrong_method
    raise refused(request.method, request.path.partition("?")[0])


def _visible(model: Model) -> Model:
    if model.state is State.GONE:
        raise refusals.missing_model(model.id)
    if model.state is State.RETIRED:
        raise refusals.retired_model(model.id)
    if model.state is State.OTHER_PROJECT:
        raise refusals.other_project(model.id, PROJECT)
    return model


def _complete(ledger: Ledger, request: Request, complete: _Completer) -> dict[str, Any]:
    body = request.body
    if not isinstance(body, dict):
        raise refusals.unreadable_body()
    if "model" not in body:
        raise refusals.missing_parameter("model")
    if not isinstance(body["model"], str):
        raise refusals.invalid_type("model", "a string")
    model = ledger.model(body["model"])
    _require_usable(ledger, model, request.path)
    return complete(model, body, request.index, ledger.now())


def _require_usable(ledger: Ledger, model: Model, path: str) -> None:
    _visible(model)
    if model.state is State.NOT_CHAT:
        raise refusals.not_chat_model(path.removeprefix("/").split("?")[0])
    if model.shutdown_date and model.shutdown_date <= ledger.now().date().isoformat():
        raise refusals.retired_model(model.id)
    if model.state is State.GHOST:
        raise refusals.missing_model(model.id)
    if model.state is State.BLOCKED:
        raise refusals.blocked_model(model.id)
    if model.state is State.LOADING and not ledger.is_loaded(model):
        raise refusals.loading_model(model.id)


def _page(items: list[dict[str, Any]], query: _Query) -> dict[str, Any]:
    """Return the page of `items` after the ID `after`, at most `limit` (20) of them."""
    raw = query.get("limit", ["20"])[-1]
    if not raw.isdecimal() or len(raw) > 3 or not 1 <= int(raw) <= 100:
        raise refusals.invalid_type("limit", "an integer from 1 to 100")
    start = 0
    if after := query.get("after", [""])[-1]:
        places = [place for place, item in enumerate(items) if item["id"] == after]
        if not places:
            raise refusals.refusal(404, f"No such cursor: {after}", param="after")
        start = places[0] + 1
    end = start + int(raw)
    return {"object": "list", "data": items[start:end], "has_more": end < len(items)}


def _page_with_ends(items: list[dict[str, Any]], query: _Query) -> dict[str, Any]:
    page = _page(items, query)
    ids = [each["id"] for each in page["data"]] or [None]
    return page | {"first_id": ids[0], "last_id": ids[-1]}


def _model_body(model: Model) -> dict[str, Any]:
    return {
        "id": model.id,
        "object": "model",
        "created": int(model.created.timestamp()),
        "owned_by": model.owned_by,
        "shutdown_date": model.shutdown_date,
    }


def _job_body(job: SandboxJob) -> dict[str, Any]:
    hyperparameters = {"n_epochs": 3, "batch_size": 4, "learning_rate_multiplier": 1.8}
    is_done = job.phase is Phase.SUCCEEDED
    code, message = job.error or ("", "")
    return {
        "object": "fine_tuning.job",
        "id": job.id,
        "model": job.model,
        "created_at": int(job.created.timestamp()),
        "finished_at": int(job.finished.timestamp()) if job.finished else None,
        "fine_tuned_model": job.fine_tuned_model,
        "organization_id": f"org-{ORGANISATION}",
        "result_files": [f"file-results-{job.id}"] if is_done else [],
        "status": job.phase.value,
        "validation_file": None,
        "training_file": "file-triage-training",
        "hyperparameters": hyperparameters,
        "trained_tokens": 48_213 if is_done else None,
        "error": {"code": code, "message": message, "param": "training_file"} if code else None,
        "user_provided_suffix": job.suffix,
        "seed": 42,
        "estimated_finish": None,
        "integrations": [],
        "metadata": None,
        "method": {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}},
    }


_PHASE_MESSAGES = {
    Phase.VALIDATING: "Validating training file: file-triage-training",
    Phase.QUEUED: "Fine-tuning job is queued",
    Phase.RUNNING: "Fine-tuning job started",
    Phase.PAUSED: "Fine-tuning job paused",
    Phase.SUCCEEDED: "The job has successfully completed",
    Phase.FAILED: "The job failed",
    Phase.CANCELLED: "The job was cancelled",
}


_BLOCKED = (
    "Moderation checks failed: this fine-tuned model is blocked from deployment "
    "(category: illicit/violent)."
)


def _events(job: SandboxJob) -> list[dict[str, Any]]:
    """Return what happened to the job, newest first as the API does."""
    level = "error" if job.phase is Phase.FAILED else "info"
    told: list[tuple[str, str, str, dict[str, Any]]] = [
        ("info", f"Created fine-tuning job: {job.id}", "message", {}),
        (level, _PHASE_MESSAGES[job.phase], "message", {}),
    ]
    if job.is_blocked:
        data = {"blocked": True, "category": "illicit/violent"}
        told.append(("error", _BLOCKED, "moderation_checks", data))
    at = int((job.finished or job.created).timestamp())
    events = [
        {
            "object": "fine_tuning.job.event",
            "id": f"ftevent-{job.id.removeprefix('ftjob-')}-{place}",
            "created_at": at + place,
            "level": level,
            "message": message,
            "type": kind,
            "data": data,
        }
        for place, (level, message, kind, data) in enumerate(told)
    ]
    return events[::-1]


def _checkpoints(job: SandboxJob) -> list[dict[str, Any]]:
    created = int((job.finished or job.created).timestamp())
    return [
        {
            "object": "fine_tuning.job.checkpoint",
            "id": checkpoint.id,
            "created_at": created,
            "fine_tuned_model_checkpoint": checkpoint.model,
            "fine_tuning_job_id": job.id,
            "step_number": checkpoint.step,
            "metrics": {"step": checkpoint.step, "train_loss": 0.31, "valid_loss": 0.35},
        }
        for checkpoint in job.checkpoints
    ]
