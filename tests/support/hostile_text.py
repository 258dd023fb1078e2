"""Text that takes over a terminal, a CI log or a page, and what finds it there."""

import re

from fftdeploy.output.page.template import Say

PAYLOADS = (
    "[red]x",
    "[/oops]",
    "[link=http://e]x[/link]",
    ":smile:",
    "x\\",
    "\x1b[2J\x1b[31mPASS",
    "\x1b]0;t\x07",
    "\x1b]8;;http://e\x1b\\x",
    "\x1b]52;c;aGk=\x07",
    "\x07",
    "a\x08b",
    "PASS\rfail",
    "\x9b31m",
    "\x7f",
    "a\0b",
    "\u202egnp.exe",
    "\u2066x",
    "a\u200bb",
    "a\u2028::error::b",
    "::error::x",
    "  ::set-output name=a::b",
    "\t::add-mask::a",
    "::stop-commands::t",
    "x ##[error]y",
    "##vso[task.setvariable]x",
    "##teamcity[x]",
    "section_start:1:x\r\x1b[0K",
    "a%0A::error::b",
    "a\n::error::b",
    "a\r\n##[error]b",
    "|a|b|",
    "`a`",
    "```\n# x",
    "<img src=x onerror=y>",
    "@team",
    "](javascript:x)",
    "![x](http://e)",
    "=1+1",
    "+1",
    "-1",
    "@S",
    "\t=1",
    "\ud800",
    "x" * 10_000,
    "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
    "\U0001f468\u200d\U0001f469",
    "\x85new line",
    "\x0bvertical",
    "\u061c\u180e\u00ad",
)
TAKEN = (
    *PAYLOADS,
    "# a",
    "- a",
    "1. a",
    "12) a",
    "> a",
    "---",
    "- - -",
    "***",
    "___",
    "~~~",
    "===",
    "    code",
    "*a*",
    "__a__",
    "a_b_c",
    "~~a~~",
    "[a]: b",
    "&lt;b&gt;",
    "<!-- a",
    "a\\",
    "\\*a*",
    "<b>",
    "a <b",
    "`",
    "``a``",
    "[x](y)",
    "{{a}}",
    "$a$",
    "|",
    "**",
    "a @b c",
)
"""And what Markdown takes."""
FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)


# A Python copy of the two parsers of GitHub's runner (ActionCommand.cs) and of others' prefixes.
def runner_commands(log: str) -> list[str]:
    """Return what a runner would obey in a log."""
    obeyed = []
    for text in re.split(r"\r\n|\r|\n", log):
        bare = text.lstrip()
        if bare.startswith("::") and "::" in bare[2:]:
            obeyed.append(bare)
        elif re.search(r"##\[[a-z-]+[ \]]", text) or re.search(r"##(vso|teamcity)\[", text):
            obeyed.append(text)
        elif re.match(r"section_(start|end):", bare):
            obeyed.append(bare)
    return obeyed


OUR_COMMAND = re.compile(r"::(error|notice) (file=[^,:]*,line=[0-9]+,)?title=[^:,]*::[^\r\n]*")


def harmless(text: str, *, colored: bool = False) -> str:
    """Say what is wrong with printed text; "" if nothing is."""
    if colored:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    if found := FORBIDDEN.search(text):
        return f"U+{ord(found[0]):04X}"
    if any("\ud800" <= char <= "\udfff" for char in text):
        return "a surrogate"
    strange = [obeyed for obeyed in runner_commands(text) if not OUR_COMMAND.fullmatch(obeyed)]
    return f"command {strange[0]!r}" if strange else ""


MARKUP = (
    "<script>document.title='owned'</script>",
    "</script><script>window.owned=1</script>",
    "<img src=x onerror=window.owned=1>",
    "<svg onload=window.owned=1>",
    '" onmouseover=window.owned=1 x="',
    "' autofocus onfocus=window.owned=1 x='",
    "</style><style>*{display:none}</style>",
    "<base href=http://127.0.0.1:9/>",
    "<meta http-equiv=refresh content=0;url=http://127.0.0.1:9/>",
    "<a href=javascript:window.owned=1>x</a>",
    "<!--",
    "]]>",
    "&lt;script&gt;",
    "</title><h1>PASS</h1>",
    "</details></main><p>PASS",
    "{{7*7}}",
    "\ufffe\uffff",
)
HOSTILE = (*PAYLOADS, *MARKUP)


class Unescaped(Say):
    """What a page would be without escaping."""

    def __call__(self, text: object) -> str:
        return str(text)
