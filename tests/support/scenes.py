"""Files to begin with: targets with a past, a policy, and the models of the sandbox."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from fftdeploy.policy import profiles
from fftdeploy.releases import deployments
from fftdeploy.releases.deployments import Release, Target
from fftdeploy.sandbox import STORY_NOW

FT = "ft:gpt-4.1-mini-2025-04-14:acme:triage-"
V6, V7, V8, V9, V10 = (
    FT + name for name in ("v6:AaBb6", "v7:AbBc7", "v8:BbCc8", "v9:CdEf9", "v10:DeFg0")
)
GHOST, COLD, LOADING = FT + "ghost:Gh0st", FT + "cold:Co1d", FT + "loading:Lo4d"
OTHER, SOON = FT + "other:Oth3r", FT + "soon:So0n"
RETIRED = "ft:gpt-3.5-turbo-1106:acme:triage-v5:Zy5"
SHUT = "ft:gpt-4.1-nano-2025-04-14:acme:triage-nano:Na01"
LUNA = "gpt-6-luna"
EVAL = ("--eval", "--max-requests", "999")
FILE, POLICY_FILE = Path("deployments.toml"), Path("fftdeploy.toml")

POLICY = """\
version = 1
order = ["dev", "staging", "production"]

[environments.production]
from = ["staging"]
protected = true

[tasks.triage]
owner = "support-ml"
"""

_FIRST = STORY_NOW - timedelta(days=40)


def row(n: int, model: str, profile: str = "", **more: object) -> str:
    """Write one release, made `40 - n` days before the story."""
    values: dict[str, object] = {"n": n, "model": model}
    if profile:
        values |= {"profile": profile, "profile_sha": sha(profile)}
    values |= {"at": _FIRST + timedelta(days=n), "by": "ci", "via": "model"} | more
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in values.items()) + " }"


def hold(model: str, **more: object) -> str:
    """Write one hold."""
    values = {"model": model, "since": STORY_NOW, "by": "ana", "why": "INC-88"} | more
    return "{ " + ", ".join(f"{key} = {_value(value)}" for key, value in values.items()) + " }"


def table(
    name: str, model: str, rows: Iterable[str], holds: Iterable[str] = (), profile: str = ""
) -> str:
    """Write one target; `rows` are newest first."""
    task, environment = name.split("/")
    lines = [f"[{task}.{environment}]", f'model = "{model}"']
    lines += [f'profile = "{profile}"'] if profile else []
    for key, values in (("releases", [*rows]), ("holds", [*holds])):
        lines += [f"{key} = [", *(f"  {value}," for value in values), "]"] if values else []
    return "\n".join(lines) + "\n"


def past(name: str, *models: str, holds: Iterable[str] = ()) -> str:
    """Write a target in which `models` were live one after the other, the last one now."""
    rows = [row(n, model) for n, model in enumerate(models, 1)]
    return table(name, models[-1], reversed(rows), holds)


def write(*tables: str, policy: str = "", file: Path = FILE) -> bytes:
    """Write the deployments file, and the policy where there is one; return the file's bytes."""
    if policy:
        POLICY_FILE.write_text(policy)
    file.write_text("\n".join(["version = 1\n", *tables]))
    return file.read_bytes()


def write_profile(name: str, system: str = "") -> str:
    """Write `profiles/NAME.toml` and return its hash."""
    Path("profiles").mkdir(exist_ok=True)
    Path(f"profiles/{name}.toml").write_text(f'system = "{system or name}"\n')
    return sha(name, system)


def sha(name: str, system: str = "") -> str:
    """Return the hash of what `write_profile` writes."""
    return profiles.content_sha({"system": system or name})


def read(name: str, file: Path = FILE) -> Target:
    """Return a target as the file has it."""
    found = deployments.parse(file.read_bytes()).find(name)
    assert found is not None
    return found


def newest(name: str) -> Release:
    """Return the newest release of a target."""
    found = read(name).newest
    assert found is not None
    return found


def _value(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%SZ}"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping | list | tuple):
        return "[" + ", ".join(_value(item) for item in value) + "]"
    return str(value) if isinstance(value, int) else f'"{value}"'
