"""The commands by what they are for, as the help lists them."""

from typing import Any, NamedTuple

from typer.core import TyperGroup


class Listed(NamedTuple):
    """A command in the help: its summary, and the module that it is imported from."""

    summary: str
    module: str


GROUPS = {
    "Look": {
        "status": Listed("Show what is live, until when, and what you can go back to.", "status"),
        "history": Listed("List releases, newest first; or what was live at a moment.", "history"),
        "diff": Listed("Compare what is live in environments, targets or git refs.", "diff"),
        "models": Listed("List the models this key can see, and the jobs still running.", "models"),
    },
    "Change": {
        "promote": Listed(
            "Make a model live in a target, once it answers and is no worse.", "changing"
        ),
        "rollback": Listed(
            "Go back to the last good release, and hold what it removes.", "changing"
        ),
        "adopt": Listed(
            "Record what is live: a hand edit, or --model in a new target.", "changing"
        ),
        "hold": Listed("Block a model: promote refuses it, rollback passes it over.", "changing"),
        "unhold": Listed("Lift a hold, with the reason on record.", "changing"),
        "migrate": Listed("Move off models that end, to successors that are no worse.", "migrate"),
    },
    "Judge": {
        "check": Listed("Check both files, their history, and that what is live works.", "check"),
        "monitor": Listed("Look once a day at what is live: is it as it was promoted?", "monitor"),
        "scan": Listed("Find model IDs that are written elsewhere than in the file.", "scan"),
        "eval": Listed("Compare a candidate with what is live, on reviewed examples.", "evaluate"),
        "size": Listed("Say how many examples the bar needs, and what a run will cost.", "size"),
        "calibrate": Listed(
            "Hold a model judge against labels of people: may it gate?", "calibrate"
        ),
        "verify": Listed("Recompute the verdicts of evidence, offline.", "verify"),
        "report": Listed("Show an evaluation, or write it as one self-contained page.", "report"),
        "review": Listed(
            "Turn model answers into human-reviewed examples, one at a time.", "review"
        ),
    },
    "Start": {
        "init": Listed("Write the files a repository needs; what exists is kept.", "starting"),
        "demo": Listed("Watch the whole story in a git repository, without a key.", "starting"),
        "schema": Listed(
            "Print the JSON Schemas of the two files and of the JSON output.", "starting"
        ),
    },
    "Serve": {
        "resolve": Listed("Print the model ID that serves a target, and nothing else.", "resolve"),
        "run": Listed("Run a command with the model of a target in its environment.", "run"),
        "export": Listed("Write what is live for gateways, flags and infrastructure.", "export"),
        "mcp": Listed("Let a coding assistant look and plan, and change nothing.", "mcp"),
        "sandbox": Listed("Serve a local OpenAI-compatible API, to try without a key.", "starting"),
    },
}
"""The commands by what they are for, in the order of the help."""
COMMANDS = {name: each for group in GROUPS.values() for name, each in group.items()}


class GroupedHelp(TyperGroup):
    """Lists the commands by what they are for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands before the few options that are left for none of them."""
        widest = max(map(len, COMMANDS))
        for title, listed in GROUPS.items():
            with formatter.section(title):
                rows = [(name.ljust(widest), each.summary) for name, each in listed.items()]
                formatter.write_dl(rows)
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write nothing more."""
