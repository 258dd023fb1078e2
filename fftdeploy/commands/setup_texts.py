"""The TOML of a new repository: the policy and the deployments file, from what they are to say."""

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fftdeploy.commands.setup_facts import SetupFacts
from fftdeploy.evaluation.graders.proposed import ProposedBar
from fftdeploy.formats import document
from fftdeploy.planning import plan
from fftdeploy.planning.plan import Actor
from fftdeploy.releases import edit
from fftdeploy.releases.deployments import Bundle, Target
from fftdeploy.releases.rendering import table, value

Template = Callable[[str], str]
"""Returns a file of `templates/`."""

EXAMPLE_PROFILE = "triage-long"
"""The prompt for models that nobody has tuned, in the example."""
ADOPTED_WHY = "live when fftdeploy was set up"
_WIDTH = 100


def deployments_text(template: Template, facts: SetupFacts, actor: Actor) -> str:
    """Return the deployments file; what is live is a release that nobody has proved yet."""
    record = f'fftdeploy adopt {facts.task}/{facts.last} --model ID --why "live since October"'
    hint = f"\n# Is something live already? Record it as the first release:\n#   {record}"
    text = _filled(template("deployments.toml"), {"LIVE": "" if facts.live else hint})
    for environment in facts.environments:
        if model := facts.live.get(environment):
            found = document.parse(text.encode(), "deployments.toml")
            target = Target(facts.task, environment, model=model)
            made = plan.plan_adoption(target, Bundle(model), replace(actor, why=ADOPTED_WHY))
            text = edit.rewrite(found, None, made.after)
    return text


def policy_text(template: Template, facts: SetupFacts, bar: ProposedBar, examples: str) -> str:
    """Return the policy: the last environment is protected, and the task has a gate."""
    before = facts.environments[-2:-1]
    source = f"from = {value(before)}".ljust(23) + "# a model comes from here, with its prompt"
    words = {
        "ORDER": value(facts.environments),
        "LAST": facts.last,
        "FROM": source if before else "",
        "BLOCK": task_text(template, facts, bar, examples),
    }
    return _filled(template("fftdeploy.toml"), words)


def task_text(template: Template, facts: SetupFacts, bar: ProposedBar, examples: str) -> str:
    """Return the tables of the task: what it is, its gate and its graders."""
    gate, is_example = f"tasks.{facts.task}.gate", facts.is_example
    seen = [f"Inferred from {examples}, {bar.seen[0]}.", *(f"- {each}." for each in bar.seen[1:])]
    if facts.examples is None and not is_example:
        seen = [
            f"{examples} has {bar.seen[0].partition(':')[0]} to start with: replace them by yours,",
            "and what is below with what `fftdeploy init --examples FILE` infers from those.",
        ]
    seen += [f"NOT JUDGED: {each}." for each in bar.not_judged]
    # What `size` needs to be told: a candidate, where none comes from elsewhere.
    candidate = " live" if facts.last in facts.live else " MODEL"
    if any(environment in facts.live for environment in facts.environments[-2:-1]):
        candidate = ""
    described = '# description = "what goes in, and what comes out"'
    if is_example:
        described = 'description = "Customer message in; urgency, category and next step out"'
    profile = EXAMPLE_PROFILE if is_example else f"{facts.task}-long"
    successors = f'successors = [{{ model = "gpt-6-luna", profile = "{profile}" }}]'
    commented = "" if is_example else "# "
    words = {
        "TASK": facts.task,
        "SIZE": f"fftdeploy size {facts.task}/{facts.last}{candidate}",
        "DESCRIPTION": described,
        "SUCCESSORS": f"{commented}{successors}   # for `migrate`, once a model ends",
        "SEEN": "\n".join(
            textwrap.fill(line, _WIDTH, initial_indent="# ", subsequent_indent="#   ")
            for line in seen
        ),
        "EXAMPLES": value([examples]),
        "MUST_PASS": f"must_pass = {value(bar.must_pass or ['edge-case'])}",
        "SLICES": _slices(bar.slices),
        "GRADERS": "\n".join(table(f"[[{gate}.graders]]", each) for each in bar.graders),
    }
    return _filled(template("task.toml"), words)


def _slices(keys: Sequence[str]) -> str:
    """Return the line of the slices, commented out where there are none."""
    line = f"slices = {value(keys or ['language'])}"
    return f"{(line if keys else f'# {line}'):<27} # keys of `meta`, each value watched on its own"


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Return `text` with its `@WORD@`s; a line that is nothing else goes where one is empty."""

    def fill(found: re.Match[str]) -> str:
        said = words.get(found[1], found[0])
        return said.rstrip("\n") + found[2] if said else ""

    return re.sub(r"@([A-Z_]+)@(\n?)", fill, text)
