"""Sandbox: the local server in the foreground, until it is told to stop."""

from datetime import datetime

from fftdeploy.cli import signals
from fftdeploy.cli.session import Session
from fftdeploy.commands.context import NOW_VARIABLE
from fftdeploy.commands.screens import ServedThing, Serving
from fftdeploy.errors import Outcome, UsageError
from fftdeploy.output.report import Block, Cell, Raw, Report, Table, line
from fftdeploy.output.results import as_json
from fftdeploy.sandbox import ACME, Sandbox


def serve(session: Session, port: int, now: datetime | None) -> Report:
    """Serve until a signal; the outcome says which.

    Raises:
        UsageError: The port is taken, or not ours to take.
    """
    try:
        server = Sandbox(port=port)
    except OSError as error:
        raise UsageError(
            f"port {port} of 127.0.0.1 can't be used: {error.strerror}",
            hint="--port 0 picks a free one",
            code="port",
        ) from None
    server.set_now(now)
    # Who has typed the lines that this prints has it exported; it is no secret, and redacts none.
    session.output.secrets = [each for each in session.output.secrets if each != server.key]
    try:
        if session.output.form == "text":  # first, so that the lines to type stay in sight
            session.output.say(*_cast(server))
        session.output.report("sandbox", _report(server, now))
        session.output.form = "text"  # the one document is out: what follows are messages
        session.output.note("Ctrl-C ends it")
        server.serve_forever()
    except signals.Stopped as stop:
        session.output.note("sandbox stopped; nothing of it is kept")
        return Report(Outcome(128 + stop.number, "stopped", "", ""))
    finally:
        server.close()
    return Report()


def _report(server: Sandbox, now: datetime | None) -> Report:
    exports = [f"export OPENAI_BASE_URL={server.url}", f"export OPENAI_API_KEY={server.key}"]
    if now is not None:  # commands that do not ask the API have only this to go by
        exports.append(f"export {NOW_VARIABLE}={now:%Y-%m-%dT%H:%M:%SZ}")
    models = tuple(ServedThing(model.id, model.state) for model in ACME.models.values())
    jobs = tuple(ServedThing(job.id, job.phase) for job in ACME.jobs.values())
    result = Serving(server.url, server.key, _control(server), models, jobs)
    return Report(data=as_json(result), body=(Raw("".join(f"{each}\n" for each in exports)),))


def _cast(server: Sandbox) -> tuple[Block, ...]:
    models = tuple(
        _row(model.id, model.state, model.shutdown_date) for model in ACME.models.values()
    )
    jobs = tuple(_row(job.id, job.phase, job.fine_tuned_model) for job in ACME.jobs.values())
    return (
        Table(("model", "state", "shutdown"), models),
        line(""),
        Table(("job", "status", "model"), jobs),
        line(""),
        line(f"faults on request: {_control(server)}/faults, /models, /clock, /requests"),
        line(""),
        line("type these lines into another terminal, in a repository of yours:"),
    )


def _control(server: Sandbox) -> str:
    return f"http://127.0.0.1:{server.port}/control"


def _row(*texts: str | None) -> tuple[Cell, ...]:
    return tuple(Cell(text or "") for text in texts)
