"""Proves what is live in several targets."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from fftdeploy.api.proof import Prover
from fftdeploy.api.readiness import Readiness
from fftdeploy.planning.bundles import live_bundle
from fftdeploy.releases.deployments import Target
from fftdeploy.workspace import Questions, Workspace


class LiveModels:
    """The live models of `targets`, about which `prover` is asked."""

    def __init__(self, workspace: Workspace, targets: Iterable[Target], prover: Prover) -> None:
        self.workspace = workspace
        self.targets = list(targets)
        self.prover = prover
        self.questions = Questions(workspace, self.targets)

    def look_up(self, answering: set[str]) -> dict[str, Readiness]:
        """Look all of them up in the list; those of the targets `answering` must answer."""
        project_models = {
            target.model: self.questions.project_models(target.model) for target in self.targets
        }
        listed = self.prover.check_listed(project_models, project_models)
        found = {str(target): listed[target.model] for target in self.targets}
        self._suspect_the_key(found, project_models)
        return found | self.prove([t for t in self.targets if str(t) in answering])

    def prove(self, targets: list[Target] | None = None) -> dict[str, Readiness]:
        """Have all of them answer, or those of `targets`."""
        chosen = self.targets if targets is None else targets
        if not chosen:
            return {}
        shas = self.workspace.sha
        questions = {str(t): self.questions.about(live_bundle(t, shas)) for t in chosen}
        proved = self.prover.prove_all(questions.values(), listed=True)
        return {name: proved[question] for name, question in questions.items()}

    def _suspect_the_key(
        self, found: dict[str, Readiness], project_models: Mapping[str, frozenset[str]]
    ) -> None:
        """Where a key can use no model of a target at all, doubt the key and not the models."""
        missing = [t for t in self.targets if _is_missing(found[str(t)]) and t.models - {t.model}]
        others = {
            model: project_models.get(model, frozenset[str]())
            for target in missing
            for model in sorted(target.models - {target.model})
        }
        known = self.prover.check_listed(others, others) if others else {}
        for target in missing:
            if all(_is_missing(known[model]) for model in target.models - {target.model}):
                found[str(target)] = replace(
                    found[str(target)],
                    state="unverified",
                    is_auth=True,
                    message="this key can use no model of this target",
                    hint="is this the key of another project?",
                )


def _is_missing(readiness: Readiness) -> bool:
    return readiness.code == "missing" and not readiness.dead
