"""The split of a target's callers: flagd's own, even, and monotone."""

import doctest
from math import sqrt

import pytest

from fftdeploy.routing import split
from fftdeploy.routing.split import first_weight, in_canary, murmur3

TARGET = "triage/production"
KEYS = [f"user-{number}" for number in range(10_000)]
# MurmurHash3_x86_32 with seed 0, as `mmh3` 5.3.1 has it; every length of a last block.
HASHES = {b"": 0, b"a": 0x3C2569B2, b"ab": 0x9BBFD75F, b"abc": 0xB3DD93FA, b"abcd": 0x43ED676A}


def misses(shares: dict[int, int], among: int) -> list[int]:
    """Return the weights whose share is further from what it should be than chance explains."""
    wrong = []
    for weight, count in shares.items():
        share = weight / 100
        error = sqrt(share * (1 - share) / among)
        wrong += [weight] if abs(count / among - share) > 3 * error else []
    return wrong


def test_the_vectors() -> None:
    assert {data: murmur3(data) for data in HASHES} == HASHES
    assert doctest.testmod(split).failed == 0
    assert doctest.testmod(split).attempted > 0


@pytest.mark.parametrize("size", [0, 22, 23, 24, 255, 256, 65_535, 65_536])
def test_a_key_of_any_length_has_a_place(size: int) -> None:
    assert 1 <= first_weight(TARGET, "\u00eb" * size) <= 100


def test_no_key_costs_much_and_half_a_pair_is_read_as_other_languages_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    halves = [
        ("a\ud800b", "a\ufffdb"),
        ("\ud800" * 2, "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ]
    for half, whole in halves:
        assert first_weight(TARGET, half) == first_weight(TARGET, whole)
    hashed: list[int] = []

    def counted(data: bytes) -> int:
        hashed.append(len(data))
        return 0

    monkeypatch.setattr(split, "murmur3", counted)
    for key in ("x" * 4096, "x" * 4097, "\u00eb" * 2049, "x" * 5_000_000):
        assert in_canary(TARGET, key, 100) == (len(key) == 4096)
    assert [length // 4096 for length in hashed] == [1]


def test_shares_are_even_and_nobody_leaves_as_the_weight_grows() -> None:
    inside = {
        weight: {key for key in KEYS if in_canary(TARGET, key, weight)} for weight in (5, 25, 50)
    }

    assert misses({weight: len(keys) for weight, keys in inside.items()}, len(KEYS)) == []
    assert inside[5] < inside[25] < inside[50]
    assert not any(in_canary(TARGET, key, 0) for key in KEYS[:99])
    assert all(in_canary(TARGET, key, 100) for key in KEYS[:99])
    # Controls: a sum in the place of the hash, and a split that forgets who was in.
    by_sum = {weight: sum(sum(key.encode()) % 100 < weight for key in KEYS) for weight in inside}
    assert misses(by_sum, len(KEYS)) != []
    assert not inside[5] < {key for key in KEYS if in_canary(f"{TARGET} 25", key, 25)}


def test_two_targets_do_not_try_everything_on_the_same_callers() -> None:
    both = [key for key in KEYS if in_canary(TARGET, key, 5) and in_canary("intent/prod", key, 5)]

    assert 8 < len(both) < 50  # of 10,000, 25 are due; all 500 if it were by the key alone
