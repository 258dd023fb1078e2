"""A calendar file: before, the days; after, each line of it as RFC 5545 has it."""

from datetime import UTC, date, datetime

from fftdeploy.output.calendar import CalendarDay, calendar

NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


def test_an_event_line_by_line() -> None:
    day = CalendarDay(date(2026, 12, 31), "m", "m shuts down", ["live in a/b, c;d", "e\\f\x07"])

    assert calendar([day], NOW, (7,), []).split("\r\n") == [
        "BEGIN:VCALENDAR",
        "VERSION:2.0",
        "PRODID:-//fftdeploy//shutdowns//EN",
        "CALSCALE:GREGORIAN",
        "METHOD:PUBLISH",
        "BEGIN:VEVENT",
        "UID:62c66a7a5dd70c3146618063c344e531@fftdeploy",
        "DTSTAMP:20261121T083000Z",
        "DTSTART;VALUE=DATE:20261231",
        "DTEND;VALUE=DATE:20270101",
        "SUMMARY:m shuts down",
        r"DESCRIPTION:live in a/b\, c\;d\ne\\f\\x07",
        "TRANSP:TRANSPARENT",
        "BEGIN:VALARM",
        "ACTION:DISPLAY",
        "TRIGGER:-P7D",
        "DESCRIPTION:in 7 days: m shuts down",
        "END:VALARM",
        "END:VEVENT",
        "END:VCALENDAR",
        "",
    ]


def test_long_lines_are_folded_between_characters_and_unfold_to_the_same() -> None:
    title = "ü€😀" * 40
    text = calendar([CalendarDay(date(2027, 1, 14), "k", title, [])], NOW, (), [])

    assert all(len(line.encode()) <= 75 for line in text.split("\r\n"))
    assert f"SUMMARY:{title}\r\n" in text.replace("\r\n ", "")
    assert "\n" not in text.replace("\r\n", "")


def test_the_same_model_keeps_its_event_and_a_key_stays_out() -> None:
    def uid(day: date, secrets: list[str]) -> tuple[str, str]:
        text = calendar([CalendarDay(day, "m", "secret-of-mine ends", [])], NOW, (), secrets)
        return text.partition("UID:")[2].partition("\r")[0], text

    assert uid(date(2027, 1, 14), [])[0] == uid(date(2027, 2, 1), [])[0]
    assert "secret" not in uid(date(2027, 1, 14), ["secret-of-mine"])[1]
