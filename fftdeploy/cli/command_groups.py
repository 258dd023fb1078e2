"""The commands by what they are for, as the help lists them."""

from typing import Any

from typer.core import TyperGroup

GROUPS = {
    "Look": {
        "status": "status",
        "history": "history",
        "diff": "diff",
        "models": "models",
    },
    "Change": dict.fromkeys(("promote", "rollback", "adopt", "hold", "unhold"), "changing")
    | {"migrate": "migrate"},
    "Judge": {
        "check": "check",
        "monitor": "monitor",
        "scan": "scan",
        "eval": "evaluate",
        "size": "size",
        "calibrate": "calibrate",
        "verify": "verify",
        "report": "report",
        "review": "review",
    },
    "Start": dict.fromkeys(("init", "demo", "schema"), "starting"),
    "Serve": {
        "resolve": "resolve",
        "run": "run",
        "export": "export",
        "mcp": "mcp",
        "sandbox": "starting",
    },
}
"""The commands by what they are for, in the order of the help, each with its module."""
COMMANDS = {name: module for group in GROUPS.values() for name, module in group.items()}


class GroupedHelp(TyperGroup):
    """Lists the commands by what they are for."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands before the few options that are left for none of them."""
        widest = max(map(len, COMMANDS))
        room = formatter.width - widest - 6
        for title, names in GROUPS.items():
            with formatter.section(title):
                shown = ((name, self.commands[name].get_short_help_str(room)) for name in names)
                formatter.write_dl([(name.ljust(widest), text) for name, text in shown])
        super().format_options(ctx, formatter)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write nothing more."""
