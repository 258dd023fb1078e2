"""Keeps one issue a target, on GitHub or GitLab: opened, kept current, closed once all is well.

An issue is found by a line of its text that readers do not see, which also says what was told in
it: so nothing is told twice, whoever runs this and whatever was lost on this side.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fftdeploy.api.client.outgoing import HttpRequest
from fftdeploy.errors import UnverifiedError, UsageError
from fftdeploy.monitoring.watched import Watched
from fftdeploy.output.clean import clean, one_line
from fftdeploy.output.words import moment
from fftdeploy.telling.posting import Send, conversation

_MARKER = re.compile(r"<!-- fftdeploy:monitor (\S+) \[([a-z0-9,-]*)\] -->")
_PAGES, _PAGE = 100, 100
_TRUSTED = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""Who may write to the repository: what strangers open is never ours."""
_MOST_FINDINGS, _LONGEST = 30, 500
_WELL = "All is well again."
_ANEW = "Calibrated anew: nothing was held against what was before."

Codes = Callable[[Watched, Sequence[str]], list[str]]
"""A target, and the codes that its issue tells -> those that it should tell; none to have none."""


@dataclass(frozen=True, slots=True)
class Forge:
    """How a forge is asked: variables of its jobs, paths, and what it calls the parts of issues."""

    address: str
    token: str
    repository: str
    root: str
    open_ones: str
    number: str
    text: str
    change: str
    closed: Mapping[str, str]
    comments: str
    event: str
    """The variable that says what has started the job."""

    def segments(self, environ: Mapping[str, str], *more: str) -> tuple[str, ...]:
        """Return the path of what is below the repository, such as its issues.

        Raises:
            UsageError: The job does not say which repository it is of.
        """
        if not (name := environ.get(self.repository, "")):
            raise UsageError(f"{self.repository} is not set: a forge is told from a job of its own")
        return (self.root, *name.split("/"), *more)


FORGES = {
    "github": Forge(
        address="GITHUB_API_URL",
        token="GITHUB_TOKEN",  # noqa: S106  the name of a variable
        repository="GITHUB_REPOSITORY",
        root="repos",
        open_ones="state=open",
        number="number",
        text="body",
        change="PATCH",
        closed={"state": "closed"},
        comments="comments",
        event="GITHUB_EVENT_NAME",
    ),
    "gitlab": Forge(
        address="CI_API_V4_URL",
        token="GITLAB_TOKEN",  # noqa: S106  the name of a variable
        repository="CI_PROJECT_ID",
        root="projects",
        open_ones="state=opened&scope=created_by_me",
        number="iid",
        text="description",
        change="PUT",
        closed={"state_event": "close"},
        comments="notes",
        event="CI_PIPELINE_SOURCE",
    ),
}


def keep(
    forge: Forge, environ: Mapping[str, str], watched: Sequence[Watched], codes: Codes
) -> None:
    """Bring the issues of these targets to what is so now.

    Raises:
        ConfigError: The forge's address is not one.
        AuthError: There is no token.
        UsageError: It is no job of the forge's, or one of a proposed change.
        UnverifiedError: The forge refused, or did not answer; what was done stays done.
    """
    event = environ.get(forge.event, "")
    if event.startswith(("pull_request", "merge_request", "external_pull_request")):
        raise UsageError("a job of a proposed change keeps no issues")
    with conversation(environ, forge.address, forge.token) as send:
        kept = _Issues(forge, environ, send)
        there = kept.open_ones()
        for one in watched:
            number, told, text = there.get(one.target, (0, (), ""))
            kept.bring(one, number, told, text, codes(one, told))


class _Issues:
    def __init__(self, forge: Forge, environ: Mapping[str, str], send: Send) -> None:
        self._forge, self._environ, self._ask = forge, environ, send

    def open_ones(self) -> dict[str, tuple[int, tuple[str, ...], str]]:
        """Return number, told codes and text of our open issues, by target; the oldest counts."""
        found = {}
        for item in self._listed():
            text, number = str(item.get(self._forge.text) or ""), item.get(self._forge.number)
            marked = _MARKER.match(text)
            if marked and isinstance(number, int) and _is_ours(item):
                found[marked[1]] = number, tuple(filter(None, marked[2].split(","))), text
        return found

    def bring(
        self, one: Watched, number: int, told: Sequence[str], text: str, codes: Sequence[str]
    ) -> None:
        """Open, change or close the issue of a target; a comment goes before what it is about."""
        forge = self._forge
        said = issue_text(one, codes)
        if codes and not number:
            title = f"fftdeploy: {one.target} needs attention"
            self._send({"title": title, forge.text: said})
        elif not codes and number:
            self._send({"body": _well(one)}, str(number), forge.comments)
            self._send({forge.text: said, **forge.closed}, str(number), change=forge.change)
        elif codes and said.strip() != text.replace("\r\n", "\n").strip():
            if list(codes) != list(told):
                self._send({"body": _difference(told, codes)}, str(number), forge.comments)
            self._send({forge.text: said}, str(number), change=forge.change)

    def _listed(self) -> Iterator[Mapping[str, Any]]:
        """Yield what is open, the newest first."""
        path = self._forge.segments(self._environ, "issues")
        for page in range(1, _PAGES + 1):
            query = f"{self._forge.open_ones}&per_page={_PAGE}&page={page}"
            items = self._ask(HttpRequest(path, query))
            if not isinstance(items, list):  # which is not the same as that there are none
                raise UnverifiedError(f"whom {self._forge.address} names has listed no issues")
            yield from (item for item in items if isinstance(item, dict))
            if len(items) < _PAGE:
                return

    def _send(self, body: Mapping[str, str], *below: str, change: str = "") -> None:
        path = self._forge.segments(self._environ, "issues", *below)
        self._ask(HttpRequest(path, body=body, change=change))


def _is_ours(item: Mapping[str, Any]) -> bool:
    """Tell whether somebody wrote an issue who may; GitLab was asked for our own alone."""
    user = item.get("user")
    is_bot = isinstance(user, dict) and user.get("type") == "Bot"
    is_trusted = is_bot or item.get("author_association", "OWNER") in _TRUSTED
    return is_trusted and "pull_request" not in item


def issue_text(one: Watched, codes: Sequence[str]) -> str:
    """Return the text of an issue: the marker, what is wrong, and since which look that is known.

    What comes from files and hosts is shown as code, in which no forge sees a name, a link or a
    command.
    """
    shown = sorted(one.findings, key=lambda finding: finding.severity)[:_MOST_FINDINGS]
    rows = [
        f"- {'✗' if found.severity == 'error' else '!'} `{found.code}` {_code(found.message)}"
        + (f"\n  {_code(found.hint)}" if found.hint else "")
        for found in shown
    ]
    look = one.look
    passed = "" if look.passed is None else f"{look.passed} of {look.answered} examples pass. "
    return "\n".join(
        (
            f"<!-- fftdeploy:monitor {one.target} [{','.join(codes)}] -->",
            f"**{one.target}**: {_codes(codes) or _well(one)}",
            "",
            *rows,
            "",
            f"Live is {_code(look.model)}. {passed}{moment(look.at)}: {look.state}.",
            "`fftdeploy monitor` keeps this text, and closes the issue once nothing is found.",
        )
    )


def _well(one: Watched) -> str:
    return _ANEW if one.look.is_anew else _WELL


def _difference(told: Sequence[str], codes: Sequence[str]) -> str:
    new = [code for code in codes if code not in told]
    gone = [code for code in told if code not in codes]
    parts = [f"{word}: {_codes(some)}." for word, some in (("New", new), ("Gone", gone)) if some]
    return " ".join(parts)


def _codes(codes: Sequence[str]) -> str:
    return ", ".join(f"`{code}`" for code in codes)


def _code(text: str) -> str:
    """Return a text as code on one line, whatever stands in it."""
    shown = one_line(clean(text))[:_LONGEST]
    longest = max(map(len, re.findall("`+", shown)), default=0)
    fence = "`" * (longest + 1)
    return f"{fence} {shown} {fence}" if longest else f"`{shown}`"
