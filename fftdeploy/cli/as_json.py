"""Values of the middle layers as the JSON output has them; `schema output` describes it."""

from typing import Any

from fftdeploy.releases.deployments import Bundle, Hold, Release, Target


def bundle_json(bundle: Bundle | Target) -> dict[str, Any]:
    """Return a bundle as the JSON output has it."""
    return {
        "model": bundle.model,
        "provider": bundle.provider,
        "profile": bundle.profile,
        **({"profile_sha": bundle.profile_sha} if isinstance(bundle, Bundle) else {}),
    }


def release_json(release: Release) -> dict[str, Any]:
    """Return a release as the JSON output has it."""
    return {
        "n": release.n,
        **bundle_json(release.bundle),
        "at": f"{release.at:%Y-%m-%dT%H:%M:%SZ}",
        "by": release.by,
        "via": release.via,
        "job": release.job,
        "evidence": release.evidence,
        "to": release.to,
        "why": release.why,
        "verified": release.verified,
        "overrides": list(release.overrides),
    }


def hold_json(hold: Hold) -> dict[str, Any]:
    """Return a hold as the JSON output has it."""
    return {
        "model": hold.model,
        "provider": hold.provider,
        "release": hold.release,
        "since": f"{hold.since:%Y-%m-%dT%H:%M:%SZ}",
        "by": hold.by,
        "why": hold.why,
        "until": f"{hold.until:%Y-%m-%dT%H:%M:%SZ}" if hold.until else None,
        "lifted": f"{hold.lifted:%Y-%m-%dT%H:%M:%SZ}" if hold.lifted else None,
        "lifted_by": hold.lifted_by,
        "lifted_why": hold.lifted_why,
    }
