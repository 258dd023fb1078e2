"""providers.toml: what the user says of a host, from outside of every checkout."""

import re
from pathlib import Path

import pytest
from checkout import ROOT
from command_line import Command
from scenes import V8, past, write

from fftdeploy.api import providers
from fftdeploy.api.providers import Provider, Providers
from fftdeploy.errors import ConfigError
from fftdeploy.sandbox import Sandbox

REFUSED = {
    # what the file says, the message, the hint, the line
    "unknown-key": ('[openai]\nkinds = "azure"', "unknown key 'kinds'", "did you mean 'kind'?", 2),
    "a-password": (
        '[vllm]\nbase_url = "https://user:hunter2@h.example/v1"',
        "'base_url' has a user name or password in it; only the key is sent",
        "an address is like https://llm.example/v1, or http:// of this machine",
        2,
    ),
    "in-the-clear": (
        '[vllm]\nbase_url = "http://h.example/v1"',
        "'base_url' is http:// and would send the key to h.example in the clear",
        "an address is like https://llm.example/v1, or http:// of this machine",
        2,
    ),
    "no-address": (
        '[vllm]\nkind = "openai-compatible"',
        "provider 'vllm' has no 'base_url'",
        'add base_url = "https://.../v1"',
        1,
    ),
    "azure-without-a-key": (
        '[az]\nkind = "azure"\nbase_url = "https://r.example/openai/v1"',
        "'api_key_env' is missing: kind azure wants a key",
        'add api_key_env = "NAME": the variable that has the key',
        1,
    ),
    "azure-without-a-version": (
        '[az]\nkind = "azure"\nbase_url = "https://r.example/openai"\napi_key_env = "AZ"',
        "'api_version' is missing",
        'add api_version = "2024-10-21", or end base_url with /openai/v1',
        1,
    ),
    "version-of-another-kind": (
        '[vllm]\nbase_url = "https://h.example/v1"\napi_version = "1"',
        "'api_version' is for hosts of kind azure",
        'add kind = "azure", or remove it',
        3,
    ),
    "limit": (
        '[openai]\nlimit_field = "max_token"',
        '\'limit_field\' is "max_tokens" or "max_completion_tokens"',
        "did you mean 'max_tokens'?",
        2,
    ),
    "key-for-a-variable": (
        '[openai]\napi_key_env = "sk-real-0123456789"',
        "'api_key_env' is not the name of a variable; a key itself has no place here",
        "export the key, and write the variable's name; if this is a real key, revoke it",
        2,
    ),
    "environment": (
        '[openai.environments.Production]\napi_key_env = "P"',
        "'Production' is not a name: 1 to 63 of a-z 0-9 _ -, starting with a letter or digit",
        "",
        1,
    ),
    "password": (
        '[vllm]\nbase_url = "https://ana:hunter2@h.example/v1"',
        "'base_url' has a user name or password in it; only the key is sent",
        "an address is like https://llm.example/v1, or http:// of this machine",
        2,
    ),
    "above-all-tables": (
        'base_url = "https://h.example/v1"',
        "'base_url' is of no provider",
        "put it below the provider that it is of: [openai]",
        1,
    ),
    "key": (
        '[openai]\nkind = "azure"\nkey = "sk-1"',
        "'key': a key can't be set in a file",
        'api_key_env = "NAME" names its variable; if this is a real key, revoke it',
        3,
    ),
    "unknown-kind": (
        '[openai]\nkind = "open-ai"',
        "'open-ai' is not a kind of host",
        "did you mean 'openai'?",
        2,
    ),
    "kind-of-another-type": (
        "[openai]\nkind = 1",
        "'kind' must be a string, not an integer",
        "",
        2,
    ),
    "misspelt-provider": (
        '[opneai]\nkind = "azure"',
        "provider 'opneai' has no 'base_url'",
        "did you mean 'openai'?",
        1,
    ),
    "no-table": ("openai = 3", "'openai' must be a table, not an integer", "", 1),
    "no-model": (
        '[openai]\nanswers_as = { "a b" = ["x"] }',
        "'a b' is not a model ID: it contains a blank",
        "",
        2,
    ),
    "no-array": (
        '[openai]\nanswers_as = { a = "x" }',
        "'a' must be an array of names, not a string",
        'write ["x"]',
        2,
    ),
    "empty-array": ("[openai]\nanswers_as = { a = [] }", "'a' names nothing", "", 2),
    "no-string": (
        "[openai]\nanswers_as = { a = [1] }",
        "'a' must be a string, not an integer",
        "",
        2,
    ),
    "pattern": (
        '[openai]\n[openai.answers_as]\na = ["x", "gpt-*"]',
        "a name is exact: there are no patterns",
        "write the names that it answers by, one by one",
        3,
    ),
    "control": (
        '[openai]\nanswers_as = { a = ["x\\u001b[2J"] }',
        "'x\\x1b[2J' is not a name that a host can send",
        "",
        2,
    ),
    "no-toml": ("[openai", "not valid TOML: Expected ']' at the end of a table declaration", "", 1),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_not_understood_is_refused_at_its_line(row: str) -> None:
    text, message, hint, line = REFUSED[row]
    with pytest.raises(ConfigError) as caught:
        providers.parse(text.encode(), "p.toml")

    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.where.startswith(f"p.toml:{line}:")


def test_what_it_says() -> None:
    text = '[openai]\nkind = "azure"\nanswers_as = { "acme/m" = ["a b", "/models/x.gguf"] }\n'

    allowed = {"acme/m": frozenset({"a b", "/models/x.gguf"})}
    assert providers.parse(text.encode(), "p").get("openai") == Provider(
        source="p", kind="azure", answers_as=allowed
    )
    assert providers.parse(b"", "p") == Providers("p")


def test_the_file_of_the_page_is_one() -> None:
    page = (ROOT / "docs/providers.md").read_text(encoding="utf-8")
    _, text = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)

    found = providers.parse(text.encode(), "p")

    assert found.known == ["azure-eu", "llama", "openai", "vllm"]
    keys = {"VLLM_KEY", "AZURE_EU_KEY", "OPENAI_API_KEY", "OPENAI_KEY_OF_PRODUCTION"}
    assert found.key_variables() == keys
    assert found.get("openai").key_variable("production") == "OPENAI_KEY_OF_PRODUCTION"
    assert found.get("openai").key_variable("staging") == "OPENAI_API_KEY"


def test_where_it_is_looked_for(tmp_path: Path) -> None:
    xdg, home = tmp_path / "xdg", tmp_path / "home"
    for folder, kind in ((xdg, "azure"), (home / ".config", "openai")):
        (folder / "fftdeploy").mkdir(parents=True)
        (folder / "fftdeploy/providers.toml").write_text(f'[openai]\nkind = "{kind}"\n')
    named = tmp_path / "named.toml"
    named.write_text('[openai]\nkind = "openai-compatible"\n')
    environ = {"HOME": str(home), "XDG_CONFIG_HOME": str(xdg), "FFTDEPLOY_PROVIDERS": str(named)}

    found = []
    for name in ("FFTDEPLOY_PROVIDERS", "XDG_CONFIG_HOME", "HOME"):
        found.append(providers.read(environ, []).get("openai").kind)
        del environ[name]

    assert found == ["openai-compatible", "azure", "openai"]
    assert providers.read(environ, []) == Providers()
    assert providers.read({"HOME": "relative", "XDG_CONFIG_HOME": "."}, []) == Providers()
    with pytest.raises(ConfigError, match="no such file"):
        providers.read({"FFTDEPLOY_PROVIDERS": str(tmp_path / "gone")}, [])


def test_a_link_of_ones_own_is_followed(tmp_path: Path) -> None:
    kept = tmp_path / "dotfiles/providers.toml"
    kept.parent.mkdir()
    kept.write_text('[openai]\nkind = "azure"\n')
    (tmp_path / "fftdeploy").mkdir()
    (tmp_path / "fftdeploy/providers.toml").symlink_to(kept)

    assert providers.read({"XDG_CONFIG_HOME": str(tmp_path)}, []).get("openai").kind == "azure"


INSIDE = ("named", "named-by-a-link", "a-link-out", "from-a-folder-below", "configuration-folder")


@pytest.mark.parametrize("way", INSIDE)
def test_a_file_within_the_checkout_is_refused_before_anything_is_asked(
    repo: Path, command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    said = '[openai]\nkind = "openai-compatible"\n'
    own, outside = repo / "p.toml", repo.parent / "outside.toml"
    write(past("triage/production", V8))
    path = own
    if way == "configuration-folder":
        monkeypatch.setenv("XDG_CONFIG_HOME", str(repo))
        path = repo / "fftdeploy/providers.toml"
        path.parent.mkdir()
    elif way == "named-by-a-link":
        outside.symlink_to(own)
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(outside))
    else:
        monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(own))
    if way == "a-link-out":
        outside.write_text(said)
        own.symlink_to(outside)
    else:
        path.write_text(said)
    if way == "from-a-folder-below":
        (repo / "below").mkdir()
        monkeypatch.chdir(repo / "below")

    for argv in (("models",), ("status",), ("check",)):
        done = command(*argv)
        assert (argv, done.code) == (argv, 3)
        assert f"it lies in the checkout {repo}" in done.err
    assert sandbox.requests == ()
    monkeypatch.chdir(repo)
    assert command("status", "--offline").code == 0


def test_what_it_says_is_told_with_the_address(
    repo: Path, command: Command, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = repo.parent / "p.toml"
    path.write_text('[openai]\nkind = "openai-compatible"\n')
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(path))

    done = command("models")

    assert (done.code, done.err) == (
        0,
        f"API: {sandbox.url} (from OPENAI_BASE_URL), kind openai-compatible (from {path})\n",
    )
