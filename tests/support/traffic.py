"""Requests of a triage task as a log has them: who asks what, how the model answers, how fast."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

CATEGORIES = {"billing": 0.3, "shipping": 0.25, "refund": 0.2, "account": 0.15, "bug": 0.1}
TARGET, MODEL = "triage/production", "ft:gpt-4.1-mini-2025-04-14:acme:triage-v8:BbCc8"


@dataclass(frozen=True)
class Traffic:
    """What reaches a target, and how it is answered."""

    asked: Mapping[str, float] = field(default_factory=lambda: CATEGORIES)
    """Shares of what the requests are about."""
    distinct: int = 400
    """Different inputs about each."""
    wavers: float = 0.03
    """Share of the answers that name another category, drawn anew each time."""
    confuses: float = 0.0
    """Share of the inputs about billing that are always called a refund."""
    invalid: float = 0.005
    refused: float = 0.004
    cut_off: float = 0.002
    latency_ms: float = 400
    model: str = MODEL
    release: int = 1

    def requests(
        self, count: int, seed: int, at: float = 1_795_000_000
    ) -> Iterator[dict[str, Any]]:
        """Yield so many lines of a request log, ten seconds apart."""
        random = Random(seed)
        for number in range(count):
            yield self._request(random, at + 10 * number)

    def _request(self, random: Random, at: float) -> dict[str, Any]:
        topic = _pick(random, self.asked)
        number = int(self.distinct * random.random() ** 2)  # a few inputs come often
        asked = [
            {"role": "system", "content": "Triage the customer message."},
            {"role": "user", "content": f"message {number} about {topic}"},
        ]
        message, finish = self._answer(random, topic, number)
        tokens = {"prompt_tokens": 20 + len(asked[1]["content"]) // 4, "completion_tokens": 12}
        return {
            "target": TARGET,
            "release": self.release,
            "at": at,
            "latency_ms": round(self.latency_ms * random.lognormvariate(0, 0.4)),
            "request": {"model": MODEL, "messages": asked},
            "response": {
                "object": "chat.completion",
                "model": self.model,
                "choices": [{"index": 0, "message": message, "finish_reason": finish}],
                "usage": tokens,
            },
        }

    def _answer(self, random: Random, topic: str, number: int) -> tuple[dict[str, Any], str]:
        named = topic
        if topic == "billing" and number % 100 < 100 * self.confuses:
            named = "refund"
        if random.random() < self.wavers:
            named = random.choice(list(CATEGORIES))
        text = json.dumps(
            {"urgency": ("low", "high")[number % 5 == 0], "category": named, "next_step": "reply"}
        )
        luck = random.random()
        if luck < self.refused:
            return {"role": "assistant", "content": None, "refusal": "I can't."}, "stop"
        if luck < self.refused + self.invalid:
            text = f"Sure! {text}"
        if luck > 1 - self.cut_off:
            return {"role": "assistant", "content": text[:30]}, "length"
        return {"role": "assistant", "content": text}, "stop"


def more_of(topic: str, points: float) -> Mapping[str, float]:
    """Return shares of which one is larger by so much, and the others smaller."""
    left = 1 - CATEGORIES[topic]
    return {
        name: share + points if name == topic else share * (left - points) / left
        for name, share in CATEGORIES.items()
    }


def changed(**what: Any) -> Traffic:
    """Return the usual traffic, but for what has changed."""
    return replace(Traffic(), **what)


def _pick(random: Random, shares: Mapping[str, float]) -> str:
    return random.choices(list(shares), list(shares.values()))[0]


def lines(requests: Iterator[dict[str, Any]]) -> str:
    """Return requests as a log."""
    return "".join(f"{json.dumps(each)}\n" for each in requests)
