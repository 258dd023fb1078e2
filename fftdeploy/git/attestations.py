"""Ask `gh` who has signed a file: its only call, and the only question that goes to a forge."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fftdeploy.git.process import absolute_path, ended, executable, last_line

TIMEOUT_S = 30.0
PREDICATE = "https://in-toto.io/attestation/test-result/v0.1"
_KEPT = frozenset(
    {
        *("HOME", "LANG", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SSL_CERT_FILE"),
        *("GH_TOKEN", "GITHUB_TOKEN", "GH_HOST", "GH_ENTERPRISE_TOKEN", "SSL_CERT_DIR"),
        *("HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy"),
    }
)
"""Of the environment: nothing else, and no key of an API, goes to `gh`."""


def unsigned(path: Path, workflow: str, ref: str, environ: Mapping[str, str]) -> str:
    """Say why it is not proved that `workflow`, run on `ref`, has signed a file; "" where it is.

    Args:
        path: The file.
        workflow: `OWNER/REPOSITORY/.github/workflows/FILE.yml`.
        ref: What that ran on, such as `refs/heads/main`.
        environ: The user's environment.

    Raises:
        UsageError: There is no `gh`, or it did not answer: the next question is none better.
    """
    flags = {
        "--repo": "/".join(workflow.split("/")[:2]),
        "--signer-workflow": workflow,
        "--source-ref": ref,
        "--predicate-type": PREDICATE,
        "--format": "json",
    }
    words = [f"{flag}={value}" for flag, value in flags.items()]
    command = (executable(environ, "gh"), "attestation", "verify", str(path.absolute()), *words)
    kept = {name: value for name, value in environ.items() if name in _KEPT}
    own = {"PATH": absolute_path(environ), "GH_PROMPT_DISABLED": "1", "NO_COLOR": "1"}
    done = ended(command, kept | own, TIMEOUT_S)
    if done.returncode:
        return f"gh: {last_line(done.stderr) or 'it gave no reason'}"
    try:
        found = json.loads(done.stdout)
    except (ValueError, RecursionError):
        found = None
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    results = [_at(one, "verificationResult") for one in found] if isinstance(found, list) else []
    if any(_is_about(result, digest, workflow, ref) for result in results):
        return ""
    return "gh did not say that this workflow has signed this file"


def _is_about(result: Any, digest: str, workflow: str, ref: str) -> bool:
    """Tell whether what gh has verified is what it was asked for."""
    certificate = _at(result, "signature", "certificate")
    signer = urlsplit(str(_at(certificate, "buildSignerURI"))).path.partition("@")[0]
    subjects = _at(result, "statement", "subject")
    digests = [_at(one, "digest", "sha256") for one in subjects] if subjects else []
    return (
        signer == f"/{workflow}"
        and _at(certificate, "sourceRepositoryRef") == ref
        and _at(result, "statement", "predicateType") == PREDICATE
        and digest in digests
    )


def _at(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
