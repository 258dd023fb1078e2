"""Finds the models and prompts that the candidates of `eval` and `size` mean."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from fftdeploy import names
from fftdeploy.commands.changing import typed_models
from fftdeploy.commands.context import Context
from fftdeploy.errors import UsageError
from fftdeploy.evaluation.arms import LIVE
from fftdeploy.model_ids.model_names import fitting
from fftdeploy.planning import bundles
from fftdeploy.releases.deployments import Bundle
from fftdeploy.workspace import Workspace

if TYPE_CHECKING:
    from fftdeploy.api.proof import Prover
    from fftdeploy.evaluation.evidence.quality_bar import QualityBar


@dataclass(frozen=True, slots=True)
class Ungated:
    """A target whose task has no gate, as a place for candidates."""

    workspace: Workspace
    target: str
    provider: str
    baseline: Bundle

    def require_enough(self) -> None:
        """Refuse nothing: there are no examples."""


CandidatePlace: TypeAlias = "QualityBar | Ungated"


def candidates_of(context: Context, bar: CandidatePlace, words: Sequence[str]) -> list[Bundle]:
    """Return the models and prompts that `words` mean; without any, what `promote` would take.

    Raises:
        UsageError: Nothing says what the candidate is, one is named twice, or what they are
            compared with is one of several.
        ConfigError: A profile has no file.
    """
    try:
        found = [_bundle(context, bar, word) for word in (*words,) or (None,)]
    except UsageError as error:
        is_size, live = context.command == "size" and not words, bar.baseline
        if is_size and live is not None and error.code in {"no-source", "unknown-target"}:
            context.console.note(f"note: nothing to promote yet: sized by what is live, {live}")
            return [live]
        if error.code == "no-source":
            verb = "eval" if context.command == "evaluate" else context.command
            command = f"fftdeploy {verb} {bar.target}"
            error.hint = f"name a candidate: {command} MODEL[@PROFILE], or live"
        raise
    if len(set(found)) != len(found):
        raise UsageError("a candidate is named twice", hint="name each of them once")
    if len(found) > 1 and bar.baseline in found:
        raise UsageError(
            f"{bar.baseline} is live: the others are compared with it anyway",
            hint="name the others alone",
        )
    return found


def _bundle(context: Context, bar: CandidatePlace, word: str | None) -> Bundle:
    if word == LIVE:
        return bundles.live_bundle(bar.workspace.target(bar.target), bar.workspace.sha)
    if word is not None and "@" in word:
        return named_bundle(context, bar, word)
    return _chosen(context, bar, word)


def named_bundle(context: Context, bar: CandidatePlace, word: str) -> Bundle:
    """Return the bundle that `[PROVIDER=]MODEL[@PROFILE]` means; without a profile it has none.

    Raises:
        UsageError: It is not of that form.
        ConfigError: The profile has no file.
    """
    model, _, profile = word.partition("@")
    if profile and (problem := names.name_problem(profile)):
        raise UsageError(problem, hint="a profile is the NAME of profiles/NAME.toml")
    if profile:
        bar.workspace.require_profile(profile)
    return _chosen(context, bar, model, profile=profile or None, no_profile=not profile)


def _chosen(context: Context, bar: CandidatePlace, word: str | None, **prompt: Any) -> Bundle:
    """Return what `promote` would take, of the host that the word names, or of the one it knows."""
    workspace = bar.workspace
    task, _, environment = bar.target.partition("/")
    provider, separator, model = (word or "").rpartition("=")
    if separator:
        context.require_provider(provider)
    return bundles.choose_source(
        workspace.deployments,
        (task, environment),
        workspace.policy,
        workspace.sha,
        context.now(),
        model=None if word is None else _model(context, bar, model, provider or None),
        provider=provider or None,
        **prompt,
    ).bundle


def _model(context: Context, bar: CandidatePlace, word: str, provider: str | None) -> str:
    """Return the model that a word means; `size` asks only where the file does not know it."""
    typed = typed_models.in_file(context, provider)
    if context.asks_nobody:
        return typed.known(word)
    host = provider or bar.provider, bar.target.partition("/")[2]
    can_ask = context.can_ask(*host)
    if context.command == "size" and (fitting(word, typed.in_file) or not can_ask):
        return typed.known(word)

    def ask() -> "Prover":
        bar.require_enough()
        return context.prover(is_plain=True).at(*host)

    return typed.asked(word, ask, provider=host[0], can_ask=can_ask)
