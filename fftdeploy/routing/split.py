"""Splits the callers of a target in two, the same way in every language.

It is the split of flagd's `fractional`, as OpenFeature's providers do it since their releases of
2026: MurmurHash3 (x86, 32 bits, seed 0) over the CBOR of `[flag key, targeting key]`, the flag's
key being the target.  Standard library only.
"""

from struct import pack

LONGEST_KEY = 4096
"""Bytes of the longest key, in UTF-8, that can be in a canary: it takes 3 ms to find its place."""
_MASK = 0xFFFFFFFF


def in_canary(target: str, key: str, weight: int) -> bool:
    """Tell whether `key` is among the `weight` percent of a target's callers that go first.

    A key that is in stays in while the weight grows, from 0 (nobody) to 100 (everybody); one that
    is longer than `LONGEST_KEY` never is.  Its test vectors are those of `first_weight`.
    """
    return len(_utf8(key)) <= LONGEST_KEY and first_weight(target, key) <= weight


def first_weight(target: str, key: str) -> int:
    """Return the least weight, from 1 to 100, at which a key is in the canary of a target.

    >>> keys = ("ana", "ben", "user-42", "Zo\u00eb", "", "x" * 300)
    >>> [first_weight("triage/production", key) for key in keys]
    [80, 28, 93, 68, 66, 17]
    """
    return (position(target, key) * 100 >> 32) + 1


def position(target: str, key: str) -> int:
    """Return where a key stands among all, from 0 to 2**32 - 1."""
    return murmur3(b"\x82" + _cbor(target) + _cbor(key))


def _cbor(text: str) -> bytes:
    """Encode a text as CBOR does, with the shortest form of its length (RFC 8949)."""
    raw = _utf8(text)
    size = len(raw)
    if size < 24:
        return bytes((0x60 + size,)) + raw
    if size < 1 << 8:
        return pack(">BB", 0x78, size) + raw
    if size < 1 << 16:
        return pack(">BH", 0x79, size) + raw
    return pack(">BI", 0x7A, size) + raw


def _utf8(text: str) -> bytes:
    """Encode any text, as other languages do: half of a surrogate pair becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace").encode()


def murmur3(data: bytes) -> int:
    """Hash bytes by MurmurHash3_x86_32 with seed 0."""
    whole = len(data) & ~3
    mixed = 0
    for at in range(0, whole, 4):
        mixed ^= _scrambled(int.from_bytes(data[at : at + 4], "little"))
        mixed = (_rotated(mixed, 13) * 5 + 0xE6546B64) & _MASK
    mixed ^= _scrambled(int.from_bytes(data[whole:], "little")) ^ len(data)
    mixed = ((mixed ^ mixed >> 16) * 0x85EBCA6B) & _MASK
    mixed = ((mixed ^ mixed >> 13) * 0xC2B2AE35) & _MASK
    return mixed ^ mixed >> 16


def _scrambled(block: int) -> int:
    return _rotated(block * 0xCC9E2D51 & _MASK, 15) * 0x1B873593 & _MASK


def _rotated(word: int, by: int) -> int:
    return (word << by | word >> 32 - by) & _MASK
