"""Asks several hosts during one command, each about its own models and with its own key."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from fftdeploy import names
from fftdeploy.api.readiness import Readiness
from fftdeploy.api.settings import Settings, settings
from fftdeploy.api.threads import each
from fftdeploy.errors import AuthError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime

    from fftdeploy.api.asking import Asker
    from fftdeploy.api.hosts import Kind
    from fftdeploy.api.proof import Prover, Question
    from fftdeploy.api.providers import Providers

_Host = tuple[str, str]
"""A provider, and the variable with the key for it: two environments may have the same."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How hosts are asked."""

    concurrency: int = 16
    is_plain: bool = False
    """Whether it goes without the SDK."""


class AskedHosts:
    """The conversations of one command, one with each host and key, begun when it is needed.

    They share one waiting, one deadline for each question, and one idea of the time.  `on_begin` is
    told whom is asked before anything is sent there.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        providers: Providers,
        asker: Asker,
        manner: Manner,
        on_begin: Callable[[Settings], None],
    ) -> None:
        self._environ = environ
        self._providers = providers
        self._asker = asker
        self._manner = manner
        self._on_begin = on_begin
        self._provers: dict[_Host, Prover] = {}

    def at(self, provider: str = names.OPENAI, environment: str = "") -> Prover:
        """Return the conversation with a provider, as what serves in `environment` has its key.

        Raises:
            AuthError: The key is missing or malformed, or nothing says where the provider is.
            ConfigError: The address may not be used.
        """
        said = self._providers.get(provider)
        host = (provider, said.key_variable(environment))
        if host not in self._provers:
            from fftdeploy.api.client.connection import Connection
            from fftdeploy.api.proof import Prover

            config = settings(self._environ, said, environment)
            self._on_begin(config)
            with self._asker.waiting():  # its client takes half a second to import
                connection = Connection(
                    config,
                    max_connections=max(self._manner.concurrency, 4),
                    is_plain=self._manner.is_plain,
                )
            self._provers[host] = Prover(
                connection, self._asker, concurrency=self._manner.concurrency
            )
        return self._provers[host]

    def of(self, question: Question) -> Prover:
        """Return the conversation with the host of a question; raises as `at` does."""
        return self.at(question.provider, question.environment)

    def prove(self, question: Question) -> Readiness:
        """Ask about one model, waiting while it loads; raises as `at` does."""
        return self.of(question).prove(self._once(question))

    def prove_all(
        self,
        questions: Iterable[Question],
        *,
        listed: bool = False,
        deadline: float | None = None,
    ) -> dict[Question, Readiness]:
        """Ask about many at once, all hosts at a time, under one deadline, as `Prover` does.

        What is asked of a host that cannot be asked, for want of a key, is unverified.
        """
        deadline = self.deadline() if deadline is None else deadline

        def ask(prover: Prover, asked: list[Question]) -> dict[Question, Readiness]:
            return prover.prove_all(asked, listed=listed, deadline=deadline)

        return self._ask_each_host(questions, ask)

    def check_listed(self, questions: Iterable[Question]) -> dict[Question, Readiness]:
        """Look models up in the lists of their hosts, as `Prover` does; nothing is probed."""

        def ask(prover: Prover, asked: list[Question]) -> dict[Question, Readiness]:
            found = prover.check_listed(
                [one.model for one in asked], {one.model: one.project_models for one in asked}
            )
            return {one: found[one.model] for one in asked}

        return self._ask_each_host(questions, ask)

    def confirm(self, question: Question) -> Readiness:
        """Prove a ready model a second time, as `Prover` does."""
        return self.of(question).confirm(self._once(question))

    def is_stale(self, question: Question) -> bool:
        """Whether there is no proof of the last minute."""
        return self.of(question).is_stale(self._once(question))

    def known_as(self, question: Question) -> frozenset[str]:
        """Return the names that answers of the question's model may have, as far as was asked."""
        return self.of(question).known_as(self._once(question))

    def limit_field(self, question: Question) -> str:
        """Return the name of the token limit that the model takes, as far as it was tried."""
        return self.of(question).limit_field(self._once(question))

    def kind(self, provider: str, environment: str) -> Kind | None:
        """Return what kind of host a provider is, as far as it was asked."""
        host = (provider, self._providers.get(provider).key_variable(environment))
        return self._provers[host].connection.kind if host in self._provers else None

    def identity(self, provider: str, environment: str, model: str) -> Mapping[str, str]:
        """Return what a host's list says of a model, as `Prover` does, if that host was asked."""
        host = (provider, self._providers.get(provider).key_variable(environment))
        return self._provers[host].identity(model) if host in self._provers else {}

    def now(self) -> datetime:
        """Return the time: the servers', where their clocks differ by more than 5 minutes."""
        return self._asker.now()

    def deadline(self) -> float:
        """Return the monotonic time at which what is asked from now on is given up."""
        return self._asker.deadline()

    def close(self) -> None:
        """Close the kept connections."""
        for prover in self._provers.values():
            prover.connection.close()

    def _once(self, question: Question) -> Question:
        """Return the question as it is for all environments that have the same key."""
        environment = self._providers.keyed(question.provider, question.environment)
        return replace(question, environment=environment)

    def _ask_each_host(
        self,
        questions: Iterable[Question],
        ask: Callable[[Prover, list[Question]], dict[Question, Readiness]],
    ) -> dict[Question, Readiness]:
        found: dict[Question, Readiness] = {}
        same: dict[Question, Question] = {}
        by_host: dict[Prover, dict[Question, None]] = {}
        for question in questions:
            try:
                prover = self.of(question)
            except AuthError as error:
                said = error.code, error.message, error.hint
                found[question] = Readiness("unverified", *said, True, question.model)
            else:
                same[question] = self._once(question)
                by_host.setdefault(prover, {})[same[question]] = None
        answers = each(by_host, lambda prover: ask(prover, [*by_host[prover]]), len(by_host))
        known: dict[Question, Readiness] = {}
        for answered in answers.values():
            known |= answered
        return found | {question: known[one] for question, one in same.items()}
