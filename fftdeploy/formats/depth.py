"""How deep values from files and answers may be nested: the readers' own limits differ."""

from typing import Any

MAX_DEPTH = 100
"""Most arrays and tables, or objects, inside each other."""


def is_deep(value: Any) -> bool:
    """Tell whether `value` is nested deeper than `MAX_DEPTH`; linear, without recursion."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            below
            for above in level
            for below in (above.values() if type(above) is dict else above)
            if type(below) is dict or type(below) is list
        ]
        if not level:
            return False
    return True
