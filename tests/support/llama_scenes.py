"""A repository that agrees on what a llama.cpp answers, and the hosts by name that serve it."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import llama
import pytest
from gated import PROTECTED
from llama import Llama
from scenes import row

from fftdeploy.policy import profiles

COUNT = 64
LABELS = ["refund", "billing", "bug", "other"]
SHAPE = {
    "type": "object",
    "properties": {"label": {"type": "string", "enum": LABELS}},
    "required": ["label"],
    "additionalProperties": False,
}
FORMAT = {
    "type": "json_schema",
    "json_schema": {"name": "triage", "strict": True, "schema": SHAPE},
}


def question(number: int) -> str:
    return f"Order {number * 37 % 101} has not arrived, what now?"


def answers(server: Llama, model: str) -> list[str]:
    """Ask the server itself, with no code of ours in between."""
    return [content(server, model, question(number)) for number in range(COUNT)]


def content(server: Llama, model: str, text: str, shape: Mapping[str, Any] = FORMAT) -> str:
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "temperature": 0,
        "max_completion_tokens": 64,
        "response_format": shape,
    }
    said: str = server.ask("/v1/chat/completions", body).body["choices"][0]["message"]["content"]
    return said


STAGING, PRODUCTION = "triage/staging", "triage/production"
V1, V2, V3, NOBODY = "triage-v1", "triage-v2", "triage-v3", "nobody"
POLICY = f"""{PROTECTED}\

[[tasks.triage.gate.graders]]
type = "json_fields"
fields = {{ label = "exact" }}
"""
PROFILE = """\
temperature = 0
max_completion_tokens = 64

[response_format]
type = "json_schema"

[response_format.json_schema]
name = "triage"
strict = true

[response_format.json_schema.schema]
type = "object"
properties = { label = { type = "string", enum = ["refund", "billing", "bug", "other"] } }
required = ["label"]
additionalProperties = false
"""
SHA = profiles.parse(PROFILE.encode(), "label", "profiles/label.toml").sha


def release(n: int, model: str) -> str:
    return row(n, model, "label", profile_sha=SHA)


def write_examples(agreed: list[str]) -> None:
    """Write the profile, and the examples with the answers that were agreed on."""
    for folder in ("profiles", "evals"):
        Path(folder).mkdir()
    Path("profiles/label.toml").write_text(PROFILE)
    with Path("evals/triage.jsonl").open("w") as examples:
        for number, answer in enumerate(agreed):
            turns = [
                {"role": "user", "content": question(number)},
                {"role": "assistant", "content": answer},
            ]
            examples.write(json.dumps({"id": f"e-{number}", "messages": turns}) + "\n")


def commit(message: str) -> None:
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "--quiet", "-m", message], check=True)


def passed(document: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Return how many of how many examples each model passed."""
    arms = document["evaluations"][0]["verdict"]["arms"]
    return {arm["arm"]: (arm["passed"], arm["n"]) for arm in arms}


def hosts(monkeypatch: pytest.MonkeyPatch, folder: Path, **servers: Llama) -> None:
    """Name some servers, each with a key of its own."""
    (folder / "providers.toml").write_text(
        "".join(
            f'[{name}]\nbase_url = "{server.url}"\napi_key_env = "{name.upper()}_KEY"\n'
            for name, server in servers.items()
        )
    )
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(folder / "providers.toml"))
    for name in servers:
        monkeypatch.setenv(f"{name.upper()}_KEY", llama.KEY)
