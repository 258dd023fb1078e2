"""One side of a comparison: a model and prompt, and what of them is sent."""

from dataclasses import dataclass

from fftdeploy.policy.profiles import Profile
from fftdeploy.releases.deployments import Bundle

CANDIDATE, LIVE, BASE = "candidate", "live", "base"


@dataclass(frozen=True, slots=True)
class Arm:
    """A bundle under the name that it has in results and evidence."""

    name: str
    bundle: Bundle
    profile: Profile | None = None
    known_as: frozenset[str] = frozenset()
    """Other names that the model may answer by."""
    limit_field: str = "max_completion_tokens"
    """The host's name for the token limit of a chat."""


def label(bundle: Bundle) -> str:
    """Name a bundle by what tells it from others: `MODEL[@PROFILE]`."""
    return f"{bundle.model}@{bundle.profile}" if bundle.profile else bundle.model
