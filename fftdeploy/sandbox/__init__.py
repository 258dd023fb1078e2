"""A local OpenAI-compatible server to try everything without a key.

    with Sandbox() as sandbox:
        client = openai.OpenAI(base_url=sandbox.url, api_key=sandbox.key)

`ACME` is what it knows unless told otherwise: models and jobs in every state of the API.
"""

from fftdeploy.sandbox.faults import Fault
from fftdeploy.sandbox.ledger import Clock, Request
from fftdeploy.sandbox.server import Sandbox
from fftdeploy.sandbox.triage import Skill
from fftdeploy.sandbox.world import (
    ACME,
    STORY_NOW,
    Checkpoint,
    Model,
    Phase,
    SandboxJob,
    State,
    World,
)

__all__ = [
    "ACME",
    "STORY_NOW",
    "Checkpoint",
    "Clock",
    "Fault",
    "Model",
    "Phase",
    "Request",
    "Sandbox",
    "SandboxJob",
    "Skill",
    "State",
    "World",
]
