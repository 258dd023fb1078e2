"""Commands that ask: against a sandbox in a process of its own, on the same machine."""

from pathlib import Path

from measure import FFTDEPLOY, PYTHON, Row, Size, environment, milliseconds, once, processes, rounds
from world import deployments, model_id, serving

MODELS = 200
TRIP_S = 0.1
AT_ONCE = 20
# Without aiohttp, which is here for us: as most have it.
IMPORT = [PYTHON, "-c", "import sys; sys.modules['aiohttp'] = None; import openai"]


def promote(folder: Path, runs: int, _size: Size) -> list[Row]:
    """Compare an online promote without latency with the import of the SDK."""
    file = folder / "deployments.toml"
    with serving(3) as server:
        command = [FFTDEPLOY, "promote", "task-00001/production", "--model", model_id(2), "--yes"]
        took = processes(
            {"import": IMPORT, "promote": command},
            runs,
            cwd=folder,
            environ=environment(folder, **server.environ()),
            before=lambda: file.write_text(deployments(2)),
        )
        counts = server.counts()
    each = {name: count / len([*rounds(runs)]) for name, count in counts.items()}
    return [
        Row(
            "online `promote` / `python -c 'import openai'`",
            took["promote"] / took["import"],
            1.5,
            note=f"{milliseconds(took['promote'])}, import {milliseconds(took['import'])}; "
            f"{each['requests']:g} requests on {each['connections']:g} connection",
        )
    ]


def check(folder: Path, runs: int, size: Size) -> list[Row]:
    """Check 200 targets of 200 models at 100 ms a request, without and with a probe."""
    models = size(MODELS)
    (folder / "deployments.toml").write_text(deployments(models))
    commands = {"listed": [FFTDEPLOY, "check"], "probed": [FFTDEPLOY, "check", "--probe"]}
    with serving(models, TRIP_S) as server:
        environ = environment(folder, **server.environ())
        counts = {}
        for name, command in commands.items():
            server.counts()
            once(name, command, cwd=folder, environ=environ)
            counts[name] = server.counts()
        took = processes({"import": IMPORT, **commands}, runs, cwd=folder, environ=environ)
    said = {
        name: f"{milliseconds(took[name])}; {count['requests']} requests on "
        f"{count['connections']} connections"
        for name, count in counts.items()
    }
    limit = models / AT_ONCE * TRIP_S
    return [
        Row(
            f"`check` of {models} targets at 100 ms, over `import openai`",
            (took["listed"] - took["import"]) / TRIP_S,
            3,
            "round trips",
            f"{said['listed']}; import {milliseconds(took['import'])}",
        ),
        Row(
            f"`check --probe`, over `check`, / the limit of {limit:g} s",
            (took["probed"] - took["listed"]) / limit,
            1.3,
            note=said["probed"],
        ),
    ]


def connections(folder: Path, runs: int, size: Size) -> list[Row]:
    """Retrieve 200 models, 20 at once, on kept connections and on a new one each.

    Loopback has no handshake to speak of, so each connection is held up for the two round trips
    that TCP and TLS 1.3 take.
    """
    script = str(Path(__file__).with_name("retrieve.py"))
    models = size(MODELS)
    with serving(models, TRIP_S) as server:
        server.ask(f"handshake {2 * TRIP_S}")
        environ = environment(folder, **server.environ())
        commands = {
            name: [PYTHON, script, name, str(models), str(AT_ONCE)]
            for name in ("none", "kept", "cold")
        }
        counts = {}
        for name in ("kept", "cold"):
            once(name, commands[name], cwd=folder, environ=environ)
            counts[name] = server.counts()
        took = processes(commands, runs, cwd=folder, environ=environ)
    limit = models / AT_ONCE * TRIP_S
    what = f"{models} retrieves at 100 ms, 20 at once"
    return [
        Row(
            f"{what}, connections {name}, / the limit of {limit:g} s",
            (took[name] - took["none"]) / limit,
            note=f"{count['requests']} requests on {count['connections']} connections",
        )
        for name, count in counts.items()
    ]
