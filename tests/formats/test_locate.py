"""Places of keys, headers and elements in TOML text, valid or not."""

import random
import tomllib

import pytest

from fftdeploy.formats import positions

TEXT = '''\
version = 1  # [not.a.table]
"quoted key" = 'x'
why = """
[in.a.string]
a = 1
"""

[triage.production] # here
model = "m"
a.b."c d" = { e = 1, f.g = [1, { h = 2 }] }
releases = [ # ]
  { n = 2, model = "]}" }, # }
  # n = 9
  { n = 1, 'model' = \'\'\'
] }\'\'\' },
]

  [ "triage" . 'dev' ]
  when = 2026-01-01 10:00:00Z
[[row]]
x = 1
[row.sub]
y = 2
[[row]]
x = 3
'''


@pytest.mark.parametrize(
    ("path", "place"),
    [
        (("version",), (1, 1)),
        (("quoted key",), (2, 1)),
        (("why",), (3, 1)),
        (("triage",), (8, 1)),
        (("triage", "production"), (8, 1)),
        (("triage", "production", "model"), (9, 1)),
        (("triage", "production", "a", "b"), (10, 1)),
        (("triage", "production", "a", "b", "c d"), (10, 1)),
        (("triage", "production", "a", "b", "c d", "e"), (10, 15)),
        (("triage", "production", "a", "b", "c d", "f"), (10, 22)),
        (("triage", "production", "a", "b", "c d", "f", "g", 1, "h"), (10, 34)),
        (("triage", "production", "releases", 0), (12, 3)),
        (("triage", "production", "releases", 1), (14, 3)),
        (("triage", "production", "releases", 1, "model"), (14, 12)),
        (("triage", "dev"), (18, 3)),
        (("triage", "dev", "when"), (19, 3)),
        (("row",), (20, 1)),
        (("row", 0, "sub", "y"), (23, 1)),
        (("row", 1), (24, 1)),
        (("row", 1, "x"), (25, 1)),
    ],
)
def test_position(path: tuple[str | int, ...], place: tuple[int, int]) -> None:
    assert positions.position(TEXT, path) == place


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ((), (1, 1)),
        (("nowhere", "at", "all"), (1, 1)),
        (("triage", "production", "profile"), (8, 1)),
        (("triage", "production", "releases", 1, "why"), (14, 3)),
        (("triage", "production", "releases", 7, "n"), (11, 1)),
        (("triage", "production", "model", 0), (9, 1)),
        (("row", 5, "x"), (20, 1)),
    ],
)
def test_what_is_not_there_has_its_parents_place(
    path: tuple[str | int, ...], place: tuple[int, int]
) -> None:
    assert positions.position(TEXT, path) == place


def test_lines_and_columns_count_from_one() -> None:
    assert [positions.line_column("ab\r\nc", offset) for offset in range(6)] == [
        (1, 1), (1, 2), (1, 3), (1, 4), (2, 1), (2, 2),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "first"),
    [
        ("a = 1\nb = 2\na = 3\n", 3, 1),
        ('a = 1\na = """\n\n"""\n', 4, 1),
        ("[a]\n[a.b]\n[a]\n", 3, 1),
        ("[a.b]\n[a.c]\n[a.b]\n", 3, 1),
        ("[a]\nb.c = 1\n[a.b]\n", 3, 2),
        ("a.b = 1\n[a]\n", 2, 1),
        ("a = 1\na.b = 2\n", 2, 1),
        ("a = { x = 1 }\n[a.b]\n", 2, 1),
        ("[[a]]\n[a]\n", 2, 1),
        ("[a]\n[[a]]\n", 2, 1),
        ("[a.b]\n[a]\nb.c = 1\n", 3, 1),
        ("['a'.\"b\"]\n\n[ a . b ] # again\n", 3, 1),
    ],
)
def test_B9_redefinition(text: str, line: int, first: int) -> None:
    with pytest.raises(tomllib.TOMLDecodeError):
        tomllib.loads(text)
    found = positions.redefinition(text, line)
    assert found is not None
    assert positions.line_column(text, found[0])[0] == first


@pytest.mark.parametrize(
    "text", ["[a.b]\n[a]\n", "[[a]]\nx = 1\n[[a]]\n", "a.b = 1\na.c = 2\n", ""]
)
def test_what_is_new_has_no_first_definition(text: str) -> None:
    assert tomllib.loads(text) is not None
    assert [positions.redefinition(text, line) for line in range(1, 5)] == [None] * 4


def test_spans_of_an_array_and_its_inline_tables() -> None:
    text = "a = [ {x = 1, 'y' = [2]}, # c\n 2026-01-01 10:00:00Z,]"
    array = positions.array(text, 4)
    assert [text[start:end] for start, end in array.elements] == [
        "{x = 1, 'y' = [2]}",
        "2026-01-01 10:00:00Z",
    ]
    assert text[array.start] + text[array.close] == "[]"
    pairs = positions.inline_table(text, array.elements[0][0])
    assert [
        (pair.path, text[pair.start : pair.value], text[pair.value : pair.end]) for pair in pairs
    ] == [
        (("x",), "x = ", "1"),
        (("y",), "'y' = ", "[2]"),
    ]


def test_any_text_has_an_answer() -> None:
    choose = random.Random(7)
    pieces = [
        "[",
        "]",
        "{",
        "}",
        '"',
        '"""',
        "'",
        "'''",
        "\\",
        "=",
        ".",
        ",",
        "#",
        "\n",
        "\r\n",
        " ",
        "a",
        "[[",
        "é",
    ]
    for _ in range(3000):
        text = "".join(choose.choices(pieces, k=choose.randint(0, 40)))
        line, column = positions.position(text, ("a", 0, "a", "a"))
        assert 1 <= line <= text.count("\n") + 1
        assert column >= 1
        positions.redefinition(text, 3)


@pytest.mark.parametrize(
    "text",
    [
        '"' * 100_000,
        "'" * 100_000,
        'a = "' + "\\" * 100_000,
        'a = """' + '""\\' * 40_000,
        "a = " + "[" * 100_000,
        "a = [" + "{" * 100_000,
        "a" + ".a" * 50_000 + " = 1",
        "[a" + ".a" * 50_000 + "]",
        " \t" * 50_000 + "#",
        "\n" * 100_000,
        "[a]\n" * 25_000,
        "#" * 100_000,
        "a = [" + "\n# x" * 30_000,
        "1234-56-78 " * 10_000,
    ],
    ids=range(14),
)
def test_H14_a_hostile_text_takes_linear_time(text: str) -> None:
    # A quadratic scan of 100 kB takes minutes; this suite's timeout is the deadline.
    assert positions.position(text, ("a",) * 3)[0] >= 1
    positions.redefinition(text, text.count("\n") + 1)
