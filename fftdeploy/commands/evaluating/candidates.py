"""Finds the models and prompts that the candidates of `eval` and `size` mean."""

from collections.abc import Callable, Sequence
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


@dataclass(frozen=True, slots=True)
class NamedCandidates:
    """Finds what the candidates of one command mean; `foresee` is told what one is likely to be.

    That is while the host's list of models is waited for, which may know better.
    """

    context: Context
    place: CandidatePlace
    foresee: Callable[[Bundle], None] = lambda _: None

    def of(self, words: Sequence[str]) -> list[Bundle]:
        """Return the models and prompts that `words` mean; without any, what `promote` would take.

        Raises:
            UsageError: Nothing says what the candidate is, one is named twice, or what they are
                compared with is one of several.
            ConfigError: A profile has no file.
        """
        context, live = self.context, self.place.baseline
        try:
            found = [self._bundle(word) for word in (*words,) or (None,)]
        except UsageError as error:
            is_size = context.command == "size" and not words
            if is_size and live is not None and error.code in {"no-source", "unknown-target"}:
                context.console.note(f"note: nothing to promote yet: sized by what is live, {live}")
                return [live]
            if error.code == "no-source":
                verb = "eval" if context.command == "evaluate" else context.command
                command = f"fftdeploy {verb} {self.place.target}"
                error.hint = f"name a candidate: {command} MODEL[@PROFILE], or live"
            raise
        if len(set(found)) != len(found):
            raise UsageError("a candidate is named twice", hint="name each of them once")
        if len(found) > 1 and live in found:
            raise UsageError(
                f"{live} is live: the others are compared with it anyway",
                hint="name the others alone",
            )
        return found

    def _bundle(self, word: str | None) -> Bundle:
        if word == LIVE:
            workspace = self.place.workspace
            return bundles.live_bundle(workspace.target(self.place.target), workspace.sha)
        return self.named(word) if word is not None and "@" in word else self._chosen(word)

    def named(self, word: str) -> Bundle:
        """Return the bundle that `[PROVIDER=]MODEL[@PROFILE]` means; without a profile it has none.

        Raises:
            UsageError: It is not of that form.
            ConfigError: The profile has no file.
        """
        model, _, profile = word.partition("@")
        if profile and (problem := names.name_problem(profile)):
            raise UsageError(problem, hint="a profile is the NAME of profiles/NAME.toml")
        if profile:
            self.place.workspace.require_profile(profile)
        return self._chosen(model, profile=profile or None, no_profile=not profile)

    def _chosen(self, word: str | None, **prompt: Any) -> Bundle:
        """Return what `promote` would take, of the host that the word names or of that it knows."""
        task, _, environment = self.place.target.partition("/")
        provider, separator, typed = (word or "").rpartition("=")
        if separator:
            self.context.require_provider(provider)

        def bundle(model: str | None) -> Bundle:
            return bundles.choose_source(
                self.place.workspace.facts(self.context.now()),
                (task, environment),
                model=model,
                provider=provider or None,
                **prompt,
            ).bundle

        if word is None:
            return bundle(None)
        return bundle(self._model(typed, provider or None, lambda: self.foresee(bundle(typed))))

    def _model(self, word: str, provider: str | None, foresee: Callable[[], None]) -> str:
        """Return the model that a word means; `size` asks only where the file does not know it."""
        context, place = self.context, self.place
        typed = typed_models.in_file(context, provider)
        if context.asks_nobody:
            return typed.known(word)
        host = provider or place.provider, place.target.partition("/")[2]
        can_ask = context.can_ask(*host)
        if context.command == "size" and (fitting(word, typed.in_file) or not can_ask):
            return typed.known(word)

        def ask() -> "Prover":
            place.require_enough()
            prover = context.prover(is_plain=True).at(*host)
            if prover.connection.kind != names.OPENAI and not fitting(word, typed.in_file):
                foresee()  # any name may be a whole one
            return prover

        return typed.asked(word, ask, provider=host[0], can_ask=can_ask)
