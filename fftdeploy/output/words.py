"""Moments, durations, costs, points and how far a run is, in the few words that fit a line."""

from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from fftdeploy.names import plural

if TYPE_CHECKING:  # half of the commands never evaluate
    from fftdeploy.evaluation.running.run_answers import Progress, Waiting
    from fftdeploy.evaluation.running.spending import Estimate

_SMALL_USD = 0.1
_SOME, _MANY = 24, 100
"""Hours and months, and days, from which the next larger unit says enough."""


def moment(at: datetime) -> str:
    """Write a time to the minute, in UTC."""
    return f"{at:%Y-%m-%d %H:%MZ}"


def age(span: timedelta) -> str:
    """Write how long something has been: `2 min`, `5 h`, `13 days`, `14 months`."""
    minutes = max(int(span.total_seconds() // 60), 0)
    hours, days = minutes // 60, minutes // (24 * 60)
    if hours < _SOME:
        return f"{minutes} min" if not hours else f"{hours} h"
    if days < _MANY:
        return plural(days, "day")
    months = days // 30
    return plural(months, "month") if months < _SOME else plural(days // 365, "year")


def progress_words(progress: "Progress") -> str:
    """Say how far a run is in one line."""
    parts = [f"{progress.done:,}/{progress.total:,}"]
    if progress.cached:
        parts.append(f"{progress.cached:,} known")
    if progress.cached == progress.done:
        return "  ".join(parts)
    parts.append(f"{progress.rate:.0f}/s")
    if progress.eta_s is not None and progress.done < progress.total:
        parts.append(f"{seconds_words(progress.eta_s)} left")
    parts.append(f"{progress.tokens_in:,} tokens in, {progress.tokens_out:,} out")
    if progress.usd is not None:
        parts.append(f"{progress.usd:.4f} USD")
    return "  ".join(parts)


def waiting_words(waiting: "Waiting") -> str:
    """Say how far batches are in one line; nobody knows when they end but for the day."""
    answered = f"{waiting.answered:,}/{plural(waiting.requests, 'answer')}"
    waited = seconds_words(waiting.seconds)
    return f"{plural(waiting.batches, 'batch')} under way  {answered}  {waited}  24 h at most"


def cost_words(found: "Estimate", prices_on: date | None = None, *, is_batch: bool = False) -> str:
    """Say what a run takes in one line: the requests are counted, the rest is an estimate."""
    usd = "no price"
    if found.usd is not None:
        digits = 2 if found.usd >= _SMALL_USD else 4
        day = f" (prices of {prices_on})" if prices_on else ""
        usd = f"{found.usd:.{digits}f} USD{day}"
    return (
        f"{plural(found.requests, 'request')}, about {found.tokens_in:,} tokens in, "
        f"{found.tokens_out:,} out, {usd}, "
        f"{'a day' if is_batch else seconds_words(found.seconds)}"
    )


def seconds_words(seconds: float) -> str:
    """Write a duration for a person: `8 s`, `3 min`."""
    if seconds < 0.5:
        return "under 1 s"
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} min"


def signed(number: float, digits: int = 1) -> str:
    """Return `number` with its sign; a true minus keeps columns aligned."""
    shown = f"{number:+,.{digits}f}"
    is_none = not shown.strip("+-0.")
    return shown[1:] if is_none else shown.replace("-", "\N{MINUS SIGN}")


def apart(value: float, limit: float) -> str:
    """Return `value` with its sign, and as many digits as tell it from `limit`."""
    told = (digits for digits in (1, 2) if signed(value, digits) != signed(limit, digits))
    return signed(value, next(told, 3))


def columns_of(text: str) -> int:
    """Return how many columns of a terminal a text takes."""
    from rich.cells import cell_len

    return len(text) if text.isascii() else cell_len(text)
