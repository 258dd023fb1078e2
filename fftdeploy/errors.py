"""Every failure a user can act on: what, where, what to type next, and the exit code.

Anything else that is raised is a bug and exits 1.  This module imports nothing, because
`fftdeploy.resolve()` raises from it inside other people's processes.
"""

from typing import ClassVar, NamedTuple


class Outcome(NamedTuple):
    """One way for a command to end; `docs/reference/exit-codes.md` is checked against these."""

    exit_code: int
    name: str
    meaning: str
    action: str
    """What a CI job should do about it."""
    retry: str = "no"
    """`no`, `later` (the same command may work) or `replan` (read the file again first)."""


OK = Outcome(0, "ok", "done, or nothing to do", "go on")
BUG = Outcome(1, "bug", "unexpected error", "report")
USAGE = Outcome(
    2, "usage", "wrong flags, unknown target, or a prompt with no terminal", "fix the call"
)
CONFIG = Outcome(3, "config", "a file is invalid or not allowed to say that", "fix the file")
NOT_READY = Outcome(
    4,
    "not-ready",
    "proved: cannot be used, not ready, retired, or nothing to roll back to",
    "stop",
)
GATE = Outcome(5, "gate", "quality bar not met", "stop")
POLICY = Outcome(6, "policy", "hold, freeze, soak, order, protection, budget", "stop")
INCONCLUSIVE = Outcome(
    7,
    "inconclusive",
    "the examples cannot settle it, or evidence is not comparable",
    "ask a human",
)
CONFLICT = Outcome(
    8,
    "conflict",
    "the file changed underneath, the lock was not free, `--expect-current` differs",
    "plan again from the new file",
    "replan",
)
UNVERIFIED = Outcome(
    9, "unverified", "the API gave no usable answer in time", "retry later", "later"
)
AUTH = Outcome(10, "auth", "key missing, malformed, refused, out of credit", "fix credentials")
IO = Outcome(11, "io", "the local disk or the commit refused", "fix the machine")
FINDING = Outcome(
    12,
    "finding",
    "`check`, `monitor`, `scan`, `status --fail-on` or `diff --exit-code` found something",
    "look",
)

OUTCOMES = (
    OK,
    BUG,
    USAGE,
    CONFIG,
    NOT_READY,
    GATE,
    POLICY,
    INCONCLUSIVE,
    CONFLICT,
    UNVERIFIED,
    AUTH,
    IO,
    FINDING,
)

DECLINED = Outcome(130, "stopped", "a person said no when asked, or pressed Ctrl-C", "stop")
"""Of a person at a terminal, and so of no CI job."""


class FftdeployError(Exception):
    """A failure the user can act on.

    Args:
        message: One line that names the file, target or model at fault.
        hint: The next thing to type or read: a line, or a few to be typed one after the other;
            empty where there is none.
        where: `path:line:column`, a target or an address; empty where the message says it.
        code: A stable name for programs, finer than the outcome (`hold`, `missing`).

    `details` are further faults of the same kind, or what there is to know about the first, one
    line each, shown below it.
    `changed` is the one thing that must never be lost: it is set when the file was already
    replaced before this was raised, and says what it holds now.
    """

    outcome: ClassVar[Outcome] = BUG

    def __init__(self, message: str, *, hint: str = "", where: str = "", code: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where
        self.code = code or self.outcome.name
        self.details: tuple[str, ...] = ()
        self.changed = ""


class UsageError(FftdeployError):
    """The call is wrong; no file was opened for writing and nothing was asked."""

    outcome = USAGE


class UnansweredError(UsageError):
    """Git was asked and did not say: neither yes nor no, so that nothing is judged by it."""


class ConfigError(FftdeployError):
    """A file of the repository, or an address in the environment, may not say that."""

    outcome = CONFIG


class NotReadyError(FftdeployError):
    """The API answered, and the answer is no."""

    outcome = NOT_READY


class GateError(FftdeployError):
    """The quality bar is not met."""

    outcome = GATE


class InconclusiveError(FftdeployError):
    """The examples do not settle it, or no evidence is about exactly this."""

    outcome = INCONCLUSIVE


class PolicyError(FftdeployError):
    """The team's own rules say no."""

    outcome = POLICY


class ConflictError(FftdeployError):
    """Somebody else changed the file, or holds its lock."""

    outcome = CONFLICT


class UnverifiedError(FftdeployError):
    """The API gave no usable answer: neither yes nor no."""

    outcome = UNVERIFIED


class AuthError(FftdeployError):
    """The key is missing, malformed, refused, or out of credit."""

    outcome = AUTH


class DeclinedError(FftdeployError):
    """A person was asked whether to make a change, and said no."""

    outcome = DECLINED


class DiskError(FftdeployError):
    """The local disk, or the commit, refused."""

    outcome = IO


def combined(faults: list[ConfigError], more: tuple[str, ...] = ()) -> ConfigError:
    """Return the first fault, with a line for each of the others, and `more`, as its details."""
    first, *rest = faults
    for fault in rest:
        first.details += (f"{fault.where}: {fault.message}", *fault.details)
    first.details += more
    return first
