"""How the sandbox's models triage a customer message: honest rules, more of them in better models.

A rule is a pattern and the first level of skill that has learned it.  No rule knows the reviewed
examples; models differ because the weaker ones miss German, context or tone, as real ones do.

Judges mark such answers mostly as they are, wrongly as often as they say.  A judge finds the
customer's message and the answer in its prompt between `<message>` and `<answer>` tags.  The answer
is good where it is what the best of the models says.  Which ones are judged wrongly follows from a
hash: always the same.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Skill:
    """How well a model triages: the rules up to `level`, and what it gets wrong on purpose.

    A model that is not `is_tuned` was never shown the format; it needs a prompt that names it.
    """

    level: int
    is_tuned: bool = True
    misroutes: tuple[str, str] | None = None
    """A category, and the one this model takes it for."""


BASE = Skill(1, is_tuned=False)
V6 = Skill(2)
V7 = Skill(3)
V8 = Skill(4)
LUNA = Skill(5, is_tuned=False)
V10 = Skill(6)
V9 = Skill(6, misroutes=("refund", "billing"))


@dataclass(frozen=True, slots=True)
class Accuracy:
    """How often a judge passes a good answer, and rejects a bad one."""

    sensitivity: float
    specificity: float


GOOD_JUDGE = Accuracy(0.95, 0.9)
POOR_JUDGE = Accuracy(0.7, 0.55)

FIELDS = ("urgency", "category", "next_step")


@dataclass(frozen=True, slots=True)
class _Rule:
    level: int
    label: str
    pattern: str


# The first rule that matches wins: what harms the customer most comes first.
_CATEGORIES = (
    _Rule(2, "security", r"hacked|phishing|fraud"),
    _Rule(3, "security", r"stolen|gehackt|betrug"),
    _Rule(4, "security", r"did(n't| not) (log|sign) in|someone else"),
    _Rule(5, "security", r"unbekannt\w* (gerät|zugriff|anmeldung)|data leak|datenleck"),
    _Rule(5, "bug", r"double[- ]?(click|submit)"),
    _Rule(2, "cancellation", r"\bcancel"),
    _Rule(3, "cancellation", r"kündig|storno|stornier"),
    _Rule(4, "cancellation", r"unsubscribe|(end|stop) my (plan|subscription)"),
    _Rule(5, "cancellation", r"nicht verlänger|(do not|don't) renew"),
    _Rule(1, "refund", r"\brefund"),
    _Rule(2, "refund", r"money back|charged twice"),
    _Rule(3, "refund", r"erstattung|geld zurück"),
    _Rule(4, "refund", r"doppelt abgebucht|erstatte|\breturn(ed|ing)?\b.*\b(paid|money|credit)"),
    _Rule(5, "refund", r"gutschrift|zurückgeschickt"),
    _Rule(6, "refund", r"reimburse"),
    _Rule(2, "shipping", r"\b(parcel|package|deliver(y|ed)|shipping|tracking|courier)\b"),
    _Rule(3, "shipping", r"paket|lieferung|arrived (broken|damaged)"),
    _Rule(4, "shipping", r"geliefert|lieferadresse|\border\b.*\b(arriv|come|came)"),
    _Rule(6, "shipping", r"sendung|versand"),
    _Rule(1, "billing", r"\binvoice\b|\bpayment\b"),
    _Rule(2, "billing", r"\bbill(ed|ing)?\b|credit card|\bvat\b"),
    _Rule(3, "billing", r"rechnung|kreditkarte|zahlung"),
    _Rule(4, "billing", r"lastschrift|\bcharged?\b"),
    _Rule(5, "billing", r"abgebucht|steuernummer|\bsepa\b"),
    _Rule(1, "account", r"\bpassword\b|\blog ?in\b"),
    _Rule(2, "account", r"(change|update) my (e-?mail|name)|locked out|two-factor|2fa"),
    _Rule(3, "account", r"passwort|anmelden|einloggen"),
    _Rule(4, "account", r"gdpr|dsgvo|delete my (account|data)"),
    _Rule(5, "account", r"konto|\bprofile?\b|my data"),
    _Rule(1, "bug", r"\b(crash(es|ed)?|bug)\b"),
    _Rule(2, "bug", r"\berror\b|does(n't| not) work|\b(down|offline)\b"),
    _Rule(3, "bug", r"fehler|funktioniert nicht|broken|stürzt|blank (page|screen)"),
    _Rule(4, "bug", r"abgestürzt|freez|geht nicht|lädt nicht|ausgefallen"),
    _Rule(5, "bug", r"times? out|\b50[0234]\b|spins? forever"),
)

_URGENCIES = (
    _Rule(5, "low", r"no (rush|hurry)|not urgent|whenever you|keine eile|nicht eilig|eilt nicht"),
    _Rule(2, "high", r"\burgent|\basap\b|immediately"),
    _Rule(3, "high", r"dringend|sofort|production|right now"),
    _Rule(4, "high", r"\btoday\b|\bheute\b|whole (team|company)|niemand kann"),
    _Rule(5, "high", r"lawyer|anwalt|all of our|nobody|alle mitarbeiter|insulin|medicine"),
)

_LEARNS_URGENCY, _LEARNS_THAT_SECURITY_IS_URGENT = 2, 3

_NEXT_STEPS = {
    "security": "lock account",
    "cancellation": "confirm cancellation",
    "refund": "check refund eligibility",
    "shipping": "trace parcel",
    "billing": "review invoice",
    "account": "verify identity",
    "bug": "reproduce issue",
    "question": "send help article",
}

_PARTS = re.compile(r"<message>(.*?)</message>.*<answer>(.*?)</answer>", re.DOTALL)
_DAMAGED = re.compile(r"broken|damaged|kaputt|beschädigt|zerbrochen|smashed")
_QUOTED = re.compile(r"^>.*$", re.MULTILINE)
_NEGATED = re.compile(
    r"\b(?:no|(?:don't|do not) (?:want|need)|without|kein\w*)\s+(?:\w+\s+){0,2}?"
    r"(?:refund\w*|cancellation|erstattung|kündigung|money back)"
)
_ENGLISH_SHORTHAND = (
    ("pls", "please"),
    ("pkg", "package"),
    ("pwd", "password"),
    ("acct", "account"),
)


def answer(skill: Skill, system: str, message: str) -> str:
    """Answer `message` as a model of this skill does that was told, and shown, `system` before.

    A tuned model triages whatever it is told, except small talk without instructions; the
    others triage only where instructions or worked examples name the three fields.
    """
    knows_format = all(name in system for name in FIELDS)
    text = _read(skill.level, message)
    if not (skill.is_tuned or knows_format):
        return "OK." if not system else "Thank you for your message. How can I help you with it?"
    if not system and _first(_CATEGORIES, skill.level, text) is None:
        return "OK."
    return triage(skill, message)


def triage(skill: Skill, message: str) -> str:
    """Return the JSON text of `message`'s urgency, category and next step."""
    text = _read(skill.level, message)
    category = _first(_CATEGORIES, skill.level, text) or "question"
    if skill.misroutes and category == skill.misroutes[0]:
        category = skill.misroutes[1]
    urgency = _urgency(skill.level, category, text)
    next_step = _NEXT_STEPS[category]
    if category == "bug" and urgency == "high" and skill.level >= V7.level:
        next_step = "page on-call"
    if category == "shipping" and skill.level >= V7.level and _DAMAGED.search(text):
        next_step = "send replacement"
    return json.dumps(dict(zip(FIELDS, (urgency, category, next_step), strict=True)))


def _read(level: int, message: str) -> str:
    """What a model of this level sees in the message: the better ones skip quotes and negations."""
    text = message.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    if level >= V8.level:
        text = _QUOTED.sub("", text)
    if level >= LUNA.level:
        text = _NEGATED.sub("", text)
        for short, long in _ENGLISH_SHORTHAND:
            text = re.sub(rf"\b{short}\b", long, text)
    return text


def _urgency(level: int, category: str, text: str) -> str:
    if level < _LEARNS_URGENCY:
        return "medium"
    if category == "security" and level >= _LEARNS_THAT_SECURITY_IS_URGENT:
        return "high"
    usual = "low" if category == "question" else "medium"
    return _first(_URGENCIES, level, text) or usual


def _first(rules: tuple[_Rule, ...], level: int, text: str) -> str | None:
    for rule in rules:
        if rule.level <= level and re.search(rule.pattern, text, re.DOTALL):
            return rule.label
    return None


def asks_verdict(schema: Mapping[str, Any]) -> bool:
    """Tell whether an answer of this shape is a verdict: a label or a score, and nothing else."""
    return [*schema.get("properties", {})] in (["label"], ["score"])


def verdict(judge: Accuracy, prompt: str, schema: Mapping[str, Any]) -> str:
    """Answer in the shape that was asked for: the first label where it passes, else the last.

    Where a score is asked for it is 0.9 or 0.1.
    """
    passes = _passes(judge, prompt)
    labels = schema.get("properties", {}).get("label", {}).get("enum")
    if labels:
        return json.dumps({"label": labels[0] if passes else labels[-1]})
    return json.dumps({"score": 0.9 if passes else 0.1})


def _passes(judge: Accuracy, prompt: str) -> bool:
    found = _PARTS.search(prompt)
    if found is None:
        return False
    message, answer = found.groups()
    is_good = _json(answer) == _json(triage(V10, message))
    digest = hashlib.sha256(f"{judge}{message}{answer}".encode()).digest()
    chance = int.from_bytes(digest[:6]) / 2**48
    return chance < judge.sensitivity if is_good else chance >= judge.specificity


def _json(answer: str) -> Any:
    try:
        return json.loads(answer)
    except ValueError:
        return None
