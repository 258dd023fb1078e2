"""Finds the model that a typed word means: its ID, or a short name that the file or the host knows.

Evidence is not asked: whoever opens a pull request can write it.
"""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fftdeploy import names
from fftdeploy.api.readiness import Readiness
from fftdeploy.commands.context import Context
from fftdeploy.errors import ConflictError, FftdeployError, UsageError
from fftdeploy.model_ids.model_names import fitting, is_whole_id, short_name, shown_names
from fftdeploy.planning import bundles
from fftdeploy.pull_request import conflict
from fftdeploy.releases.deployments import Target

if TYPE_CHECKING:
    from fftdeploy.api.proof import Prover

MODEL_FLAG = "--model"


@dataclass(frozen=True)
class TypedModels:
    """What words mean in one command; the whole ID is said before anything happens."""

    context: Context
    in_file: Collection[str]
    """The models that are known, `where`, and as `what`."""
    where: str
    what: str = "model"
    hint: str = "`fftdeploy models` lists what this key can see"
    flag: str = ""
    """Set where the model is made live: off a terminal its whole ID is wanted there."""

    def known(self, word: str) -> str:
        """Return the model that a word means, which may be any where it is an ID in form.

        UsageError where it is none, and no such model is known, or several are.
        """
        bundles.require_model_id(word)
        if is_whole_id(word, self.in_file):
            return word
        if fits := fitting(word, self.in_file):
            return self._only(word, fits)
        raise self.unknown(word)

    def asked(self, word: str, ask: Callable[[], "Prover"], *, provider: str, can_ask: bool) -> str:
        """Return the model that a word means, looking at the list of the host to `ask` as well.

        The host is `provider`, which `can_ask` says is there to be asked.

        A name that neither knows is left to the host to prove, unless it is OpenAI: other hosts
        serve what they do not list.

        Raises:
            UsageError: There is no such model, or several; or its whole ID is wanted.
            AuthError: The key is missing, and no such model is known without one.
            UnverifiedError: The API gives no usable answer.
        """
        bundles.require_model_id(word, "" if word in self.in_file else provider)
        if is_whole_id(word, self.in_file):
            return word
        if not can_ask and (fits := fitting(word, self.in_file)):
            return self._only(word, fits)
        prover = ask()
        listed = prover.listed_names()
        if listed is not None:
            listed = [name for name in listed if not names.model_problem(name, provider)]
        known = {*self.in_file, *(listed or ())}
        if fits := fitting(word, known):
            return self._only(word, fits)
        if listed is None or prover.connection.kind != names.OPENAI:
            return word
        raise self.unknown(word, listed)

    @property
    def _needs_whole(self) -> bool:
        return bool(self.flag) and not self.context.console.is_interactive

    def _only(self, word: str, fits: list[str]) -> str:
        """Return the one model that fits, and say its ID."""
        model, *others = fits
        if others:
            choices = fits if self._needs_whole else shown_names(fits).values()
            raise UsageError(
                f"{word} is the name of {len(fits)} models: {', '.join(fits)}",
                hint=f"type one of them: {', '.join(choices)}",
                code="several-models",
            )
        if model == word:
            return model
        if self._needs_whole:
            raise UsageError(
                f"{word} is short for {model}: off a terminal, what is made live is named in full",
                hint=f"{self.flag} {model}",
                code="short-name",
            )
        self.context.console.note(f"note: {word} is {model}")
        return model

    def unknown(self, word: str, listed: Collection[str] | None = None) -> UsageError:
        """Build the error for a model that is not known, nor `listed` where there is a list."""
        lacks = f"{self.where} has no {self.what}"
        if listed is not None:
            lacks = f"neither {self.where} nor the API's list has a {self.what}"
        whole = {short_name(model): model for model in (*(listed or ()), *self.in_file)}
        near = names.nearest(word, [*whole, *whole.values()])
        if self._needs_whole:
            near = whole.get(near, near)
        # Nobody was asked: it may be one that is in no target yet.
        aside = "" if listed is not None or self.what != "model" else " Or write its whole ID"
        hint = f"did you mean {near}?{aside}" if near else self.hint
        return UsageError(f"{lacks} {word!a}", hint=hint, code="unknown-model")


def in_file(context: Context, provider: str | None = None, flag: str = "") -> TypedModels:
    """Return what words mean among the models of the deployments file, or those of a provider."""
    workspace = context.workspace
    known = workspace.deployments.models(provider)
    return TypedModels(context, known, where=workspace.shown, flag=flag)


def not_ready(found: Readiness, known: Iterable[str]) -> FftdeployError:
    """Build the error for a model that cannot be used; a mistyped ID's names the one meant."""
    error = found.error()
    if found.code == "missing":
        others = [model for model in known if model != found.model]
        near = names.nearest(found.model, others, names.MISTYPED)
        error.hint = f"did you mean {near}?" if near else error.hint
    return error


def require_current(
    context: Context, name: str, target: Target | None, expected: str | None
) -> None:
    """Refuse to change the target `name` where another model than the expected one is live there.

    None expects nothing.

    Raises:
        ConflictError: It is, by whom and since when; two who act at once get one change.
        UsageError: What is expected is the short name of several models.
    """
    if expected is not None and fitting(expected, context.workspace.deployments.models()):
        expected = in_file(context).known(expected)
    if expected is None or (target is not None and target.model == expected):
        return
    live, by = "nothing", ""
    if target is not None:
        live, by = target.model, f": {conflict.last_change(target)}"
    raise ConflictError(
        f"{live} is live in {name}, not {expected}{by}",
        hint=f"look again: fftdeploy status {name}",
        code="expect-current",
    )
