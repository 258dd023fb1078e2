"""Ask git about the repository and, for `--commit`, make one commit.

The only git subprocess.  Questions run in a fixed environment with everything switched off that
a repository's own configuration could start; no call ever goes to the network.  Only `commit`
runs the user's hooks and signing, and API keys are taken out of its environment.  `unsigned` is
the one question to `gh`, which does go there.
"""

from fftdeploy.git.attestations import unsigned
from fftdeploy.git.committing import (
    check_committable,
    commit,
    commit_environ,
    create_repository,
    pushing_line,
)
from fftdeploy.git.index import Tracked, restoring_line, tracked, tracked_by_head_too
from fftdeploy.git.objects import Changes
from fftdeploy.git.repository import Repository, find_version, open_repository, user_email
from fftdeploy.git.unanswered import Held, blob_id

__all__ = [
    "Changes",
    "Held",
    "Repository",
    "Tracked",
    "blob_id",
    "check_committable",
    "commit",
    "commit_environ",
    "create_repository",
    "find_version",
    "open_repository",
    "pushing_line",
    "restoring_line",
    "tracked",
    "tracked_by_head_too",
    "unsigned",
    "user_email",
]
