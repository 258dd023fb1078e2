"""One side of a comparison: a model and prompt, and what of them is sent."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from fftdeploy.names import OPENAI
from fftdeploy.policy.profiles import Profile
from fftdeploy.releases.deployments import Bundle

CANDIDATE, LIVE, BASE = "candidate", "live", "base"
JUDGE = "judge"
"""The model that is asked about the answers of the others; it is never among their results."""


@dataclass(frozen=True, slots=True)
class AskedHost:
    """Whom a run of a command asks: evidence counts only about the same."""

    address: str = ""
    """"" where nobody can be asked; so is `kind`, or while only the host could tell."""
    kind: str = ""
    identity: Mapping[str, str] = field(default_factory=dict, compare=False)
    """What it says of the model that was asked about, by `identity.FACTS`."""
    answered_as: str = field(default="", compare=False)
    """The name by which that has just answered; "" where it was not asked."""


UNKNOWN_HOST = AskedHost()


@dataclass(frozen=True, slots=True)
class Arm:
    """A bundle under the name that it has in results and evidence."""

    name: str
    bundle: Bundle
    profile: Profile | None = field(default=None, hash=False)
    known_as: frozenset[str] = frozenset()
    """Other names that the model may answer by."""
    limit_field: str = "max_completion_tokens"
    """The host's name for the token limit of a chat."""
    address: str = ""
    """Where it is asked; "" where nobody is."""
    identity: Mapping[str, str] = field(default_factory=dict, hash=False)
    """What the host says of the model behind the name."""
    answered_as: str = ""
    """The name by which it has just answered; what was kept under other names is another's."""


def label(bundle: Bundle, called: str = "") -> str:
    """Name a bundle by what tells it from others, as it can be typed: `[PROVIDER=]MODEL[@PROFILE]`.

    Its model may be `called` by a shorter name.
    """
    host = "" if bundle.provider == OPENAI else f"{bundle.provider}="
    prompt = f"@{bundle.profile}" if bundle.profile else ""
    return f"{host}{called or bundle.model}{prompt}"
