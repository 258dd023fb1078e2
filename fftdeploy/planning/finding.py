"""Something proved wrong, or due, as a value."""

from dataclasses import dataclass
from typing import Any, Literal

Severity = Literal["error", "notice"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something proved wrong (`error`) or due (`notice`)."""

    code: str
    severity: Severity
    subject: str
    """The target, or the file."""
    message: str
    path: str = ""
    line: int = 0
    hint: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the finding as the JSON output has it."""
        return {
            "code": self.code,
            "severity": self.severity,
            "subject": self.subject,
            "message": self.message,
            "path": self.path or None,
            "line": self.line or None,
            "hint": self.hint or None,
        }
