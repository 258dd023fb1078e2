"""Asks several hosts during one command, each about its own models and with its own key."""

from __future__ import annotations

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
    from fftdeploy.api.proof import Prover, Question
    from fftdeploy.api.providers import Providers

_Host = tuple[str, str]
"""A provider, and the variable with the key for it: two environments may have the same."""


class AskedHosts:
    """The conversations of one command, one with each host and key, begun when it is needed.

    They share one waiting, one deadline for each question, and one idea of the time.  `on_begin` is
    told whom is asked before anything is sent there.  `is_plain` is for what asks models often: it
    goes without the SDK, and probes beside the retrieves.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        providers: Providers,
        asker: Asker,
        on_begin: Callable[[Settings], None],
        *,
        concurrency: int = 16,
        is_plain: bool = False,
    ) -> None:
        self._environ = environ
        self._providers = providers
        self._asker = asker
        self._on_begin = on_begin
        self._concurrency = concurrency
        self._is_plain = is_plain
        self._provers: dict[_Host, Prover] = {}

    def at(self, provider: str = names.OPENAI, environment: str = "") -> Prover:
        """Return the conversation with a provider, as what serves in `environment` has its key.

        Raises:
            AuthError: The key is missing or malformed, or nothing says where the provider is.
            ConfigError: The address may not be used.
        """
        if (found := self.asked(provider, environment)) is not None:
            return found
        from fftdeploy.api.client.connection import Connection
        from fftdeploy.api.proof import Prover

        said, at_once = self._providers.get(provider), self._concurrency
        config = settings(self._environ, said, environment)
        self._on_begin(config)
        with self._asker.waiting():  # its client takes half a second to import
            most = max(at_once, 4)
            connection = Connection(config, max_connections=most, is_plain=self._is_plain)
        early = self._is_plain
        made = Prover(connection, self._asker, concurrency=at_once, probes_early=early)
        self._provers[provider, said.key_variable(environment)] = made
        return made

    def asked(self, provider: str, environment: str) -> Prover | None:
        """Return the conversation with a provider that has begun; None where none has."""
        variable = self._providers.get(provider).key_variable(environment)
        return self._provers.get((provider, variable))

    def of(self, question: Question) -> Prover:
        """Return the conversation with the host of a question; raises as `at` does."""
        return self.at(question.provider, question.environment)

    def begin(self, questions: Iterable[Question]) -> None:
        """Begin to ask about models, as `Prover` does; raises first, and as `at` does."""
        for prover, question in [(self.of(question), question) for question in questions]:
            prover.begin(question)

    def prove(self, question: Question) -> Readiness:
        """Ask about one model, waiting while it loads; raises as `at` does."""
        return self.of(question).prove(question)

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
        return self._ask_each_host(
            questions,
            lambda prover, asked: prover.prove_all(asked, listed=listed, deadline=deadline),
        )

    def check_listed(self, questions: Iterable[Question]) -> dict[Question, Readiness]:
        """Look models up in the lists of their hosts, as `Prover` does; nothing is probed."""
        return self._ask_each_host(questions, lambda prover, asked: prover.check_listed(asked))

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

    def _ask_each_host(
        self,
        questions: Iterable[Question],
        ask: Callable[[Prover, list[Question]], dict[Question, Readiness]],
    ) -> dict[Question, Readiness]:
        found: dict[Question, Readiness] = {}
        by_host: dict[Prover, list[Question]] = {}
        for question in questions:
            try:
                by_host.setdefault(self.of(question), []).append(question)
            except AuthError as error:
                said = error.code, error.message, error.hint
                found[question] = Readiness("unverified", *said, True, question.model)
        answers = each(by_host, lambda prover: ask(prover, by_host[prover]), len(by_host))
        for answered in answers.values():
            found |= answered
        return found
