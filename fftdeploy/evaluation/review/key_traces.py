"""Looks for what may be a key or a password in texts from a log, which are about to be kept."""

import re

_SHAPES = re.compile(
    r"""
      (?<![\w-])(?:
        sk-(?=[A-Za-z_-]*[0-9])[A-Za-z0-9_-]{16,}                 # OpenAI and those like it
      | (?:ghp|gho|ghs|ghu|ghr)_[A-Za-z0-9]{30,} | github_pat_[A-Za-z0-9_]{40,}
      | glpat-[A-Za-z0-9_-]{20,} | hf_[A-Za-z0-9]{30,} | xox[abprs]-[A-Za-z0-9-]{10,}
      | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[A-Za-z0-9_-]{35}
      | (?:sk|rk)_live_[A-Za-z0-9]{16,}
      | eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}     # JSON web token
      )
    | -----BEGIN[ ][A-Z ]{0,20}PRIVATE[ ]KEY-----
    | \b[Bb]earer[ ]+[A-Za-z0-9._~+/-]{20,}
    | \b[a-z][a-z0-9+]{1,10}://[^\s/:@]{1,64}:[^\s/@]{3,64}@          # a password in an address
    | \b(?:api[_-]?key|password|passwd|secret|access[_-]?token)\b["']?\s*[:=]\s*["']?[^\s"',;]{12,}
    """,
    re.VERBOSE,
)


def has_key(text: str) -> bool:
    """Whether something in `text` looks like a key; it finds the usual shapes, not every secret."""
    return _SHAPES.search(text) is not None
