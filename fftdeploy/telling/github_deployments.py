"""Tells GitHub what a push has made live: a Deployment a target, once for each commit.

The environment is the target's name, the status is success, and the page of the environment leads
to the evidence. GitHub takes the one before it out of service by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from fftdeploy.api.client.outgoing import HttpRequest
from fftdeploy.errors import UnverifiedError, UsageError
from fftdeploy.telling.issues import FORGES
from fftdeploy.telling.posting import conversation

_TASK = "fftdeploy"
"""What GitHub calls the kind of a deployment; ours are told from others' by it."""
_LONGEST = 140
"""Characters that GitHub takes in a description."""


@dataclass(frozen=True, slots=True)
class MadeLive:
    """What a commit has made live in a target."""

    target: str
    description: str
    evidence: str | None
    """Path of the evidence from the root of the repository."""
    payload: Mapping[str, Any]
    """For programs that look."""


def record(environ: Mapping[str, str], sha: str, made: Sequence[MadeLive]) -> None:
    """Record what the commit `sha` has made live, unless that is recorded already.

    Raises:
        UsageError: This is no job of a push to a branch.
        ConfigError: GitHub's address is not one.
        AuthError: There is no token.
        UnverifiedError: GitHub refused, or did not answer; what was recorded stays so.
    """
    github = FORGES["github"]
    if (environ.get(github.event), environ.get("GITHUB_REF_TYPE")) != ("push", "branch"):
        raise UsageError("--record is for a job of GitHub that a push to a branch has started")
    path = github.segments(environ, "deployments")
    with conversation(environ, github.address, github.token) as send:
        for one in made:
            mine = {"sha": sha, "environment": one.target, "task": _TASK, "per_page": 1}
            there = send(HttpRequest(path, urlencode(mine)))
            number = _number(there[0] if there else send(_deployment(path, sha, one)))
            statuses = (*path, number, "statuses")
            # One that has a status has had this one, and may be out of service by now.
            if not there or not send(HttpRequest(statuses, "per_page=1")):
                send(HttpRequest(statuses, body=_status(environ, sha, one)))


def _deployment(path: tuple[str, ...], sha: str, one: MadeLive) -> HttpRequest:
    """Ask for a record and nothing else: no merge, and no waiting for checks."""
    body = {
        "ref": sha,
        "task": _TASK,
        "environment": one.target,
        "description": one.description[:_LONGEST],
        "payload": one.payload,
        "auto_merge": False,
        "required_contexts": [],
    }
    return HttpRequest(path, body=body)


def _status(environ: Mapping[str, str], sha: str, one: MadeLive) -> dict[str, str]:
    page = f"{environ.get('GITHUB_SERVER_URL', '')}/{environ['GITHUB_REPOSITORY']}"
    body = {
        "state": "success",
        "description": one.description[:_LONGEST],
        "log_url": f"{page}/actions/runs/{environ.get('GITHUB_RUN_ID', '')}",
    }
    if one.evidence:
        body["environment_url"] = f"{page}/blob/{sha}/{quote(one.evidence)}"
    return body


def _number(deployment: Any) -> str:
    number = deployment.get("id") if isinstance(deployment, dict) else None
    if not isinstance(number, int):
        raise UnverifiedError("GitHub has answered with no deployment")
    return str(number)
