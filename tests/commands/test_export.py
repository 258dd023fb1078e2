"""`export`: what is live in other programs' formats, and read by those programs."""

import errno
import json
import stat
from pathlib import Path
from typing import Any

import pytest
import yaml
from command_line import Command
from scenes import LUNA, V8, V9, V10
from terminal import screen

from fftdeploy.files import disk
from fftdeploy.routing.split import in_canary

PROFILE = (
    'system = "no: 1\\n\\u0085\\U0001F600 ${x}"\ntemperature = 0.00001\n'
    "max_completion_tokens = 64\n[response_format]\ntype = 'json_schema'\n"
    "[response_format.json_schema]\nname = 'yes'\n"
    "schema = { enum = ['on', '1e3', '010', '~'], off = { y = 1 } }\n"
)
POLICY = f"""version = 1
[tasks.triage]
successors = [{{ model = "{LUNA}" }}]
fallback = [
  {{ model = "{LUNA}", profile = "odd" }},
  {{ model = "org/1e3#a", provider = "my-host" }},
]
"""
PRODUCTION = f"""
[triage.production]
model = "{V9}"
canary = {{ model = "{V10}", weight = 5, since = 2026-11-22T09:00:00Z }}
releases = [
  {{ n = 4, model = "{V10}", at = 2026-11-22T09:00:00Z, by = "ci", via = "model", canary = 5 }},
  {{ n = 3, model = "{V9}", at = 2026-11-21T09:00:00Z, by = "ci", via = "model" }},
  {{ n = 2, model = "{V8}", at = 2026-11-20T09:00:00Z, by = "ci", via = "model" }},
  {{ n = 1, model = "{LUNA}", at = 2026-11-19T09:00:00Z, by = "ci", via = "model" }},
]
holds = [{{ model = "{LUNA}", since = 2026-11-20T09:00:00Z, by = "ana", why = "bad" }}]
"""
DEV = f'\n[intent.dev]\nmodel = "{LUNA}"\nprofile = "odd"\n'
TARGET = "triage/production"
KINDS = ("litellm", "flagd", "dotenv", "configmap", "tfvars", "json")


@pytest.fixture(autouse=True)
def files(repo: Path) -> None:
    Path("profiles").mkdir()
    Path("profiles/odd.toml").write_text(PROFILE)
    Path("fftdeploy.toml").write_text(POLICY)
    Path("deployments.toml").write_text(f"version = 1\n{PRODUCTION}{DEV}")


def test_litellm_reads_hosts_by_variables_weights_dates_and_fallbacks(command: Command) -> None:
    said = command("export", "litellm").out
    found = yaml.safe_load(said)

    host = "os.environ/FFTDEPLOY_OPENAI"
    openai = {"api_base": f"{host}_BASE_URL", "api_key": f"{host}_API_KEY"}
    mine = "os.environ/FFTDEPLOY_MY_HOST"
    odd, *triage = found["model_list"]
    ends = {"deprecation_date": "2027-01-14", "successor_model": LUNA}
    assert triage == [
        {
            "model_name": TARGET,
            "litellm_params": {"model": f"openai/{V9}", **openai, "weight": 95},
            "model_info": {"fftdeploy_release": 3, **ends},
        },
        {
            "model_name": TARGET,
            "litellm_params": {"model": f"openai/{V10}", **openai, "weight": 5},
            "model_info": {"fftdeploy_release": 4, **ends},
        },
        {
            "model_name": f"{TARGET}/fallback-1",
            "litellm_params": {
                "model": "openai/org/1e3#a",
                "api_base": f"{mine}_BASE_URL",
                "api_key": f"{mine}_API_KEY",
            },
            "model_info": {},
        },
    ]
    unset = {"api_base": "not-set", "api_key": "not-set"}
    fallbacks = [{TARGET: [f"{TARGET}/fallback-1"]}]
    assert found["litellm_settings"] == {**unset, "fallbacks": fallbacks}
    assert odd["litellm_params"] == {
        "model": f"openai/{LUNA}",
        **openai,
        "temperature": 0.00001,
        "max_completion_tokens": 64,
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": "yes",
                "schema": {"enum": ["on", "1e3", "010", "~"], "off": {"y": 1}},
            },
        },
    }


def test_the_others(command: Command) -> None:
    written = {kind: command("export", kind).out for kind in KINDS}

    variables = {
        "INTENT_DEV_MODEL": LUNA,
        "INTENT_DEV_PROVIDER": "openai",
        "INTENT_DEV_PROFILE": "odd",
        "TRIAGE_PRODUCTION_MODEL": V9,
        "TRIAGE_PRODUCTION_PROVIDER": "openai",
        "TRIAGE_PRODUCTION_RELEASE": "3",
    }
    dotenv = dict(line.split("=", 1) for line in written["dotenv"].splitlines())
    assert dotenv == {"FFTDEPLOY_EXPORT": "dotenv", **variables}
    plain = json.loads(written["json"])
    of_triage = plain["targets"][TARGET]
    assert (of_triage["model"], of_triage["release"], of_triage["canary"]["weight"]) == (V9, 3, 5)
    on_hold_is_none = ["org/1e3#a"]
    assert [one["model"] for one in of_triage["fallback"]] == on_hold_is_none
    system = plain["targets"]["intent/dev"]["system"]
    assert system == "no: 1\n\x85\U0001f600 ${x}"
    mounted = yaml.safe_load(written["configmap"])
    assert (mounted["kind"], mounted["metadata"]) == ("ConfigMap", {"name": "fftdeploy"})
    assert json.loads(mounted["data"].pop("fftdeploy.json")) == plain
    assert mounted["data"] == variables
    assert (
        f'"{TARGET}" = {{ model = "{V9}", provider = "openai", profile = null, release = 3 }}'
        in (written["tfvars"])
    )
    assert "127.0.0.1" not in "".join(written.values())


def test_the_two_files_decide_it_alone(
    command: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = {kind: command("export", kind).out for kind in KINDS}

    Path("deployments.toml").write_text(f"version = 1\n{DEV}{PRODUCTION}")
    monkeypatch.setenv("FFTDEPLOY_MODEL_TRIAGE_PRODUCTION", "other")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("FFTDEPLOY_NOW", "2030-01-01T00:00:00Z")
    (tmp_path / "p.toml").write_text('[my-host]\nbase_url = "http://127.0.0.1:8/v1"\n')
    monkeypatch.setenv("FFTDEPLOY_PROVIDERS", str(tmp_path / "p.toml"))
    after = {kind: command("export", kind).out for kind in KINDS}

    assert after == before
    Path("deployments.toml").write_text(f"version = 1\n{DEV}{PRODUCTION.replace(V9, V8)}")
    assert all(command("export", kind).out != before[kind] for kind in KINDS)  # the control


def test_check_tells_a_file_that_is_not_current(command: Command) -> None:
    output = ("-o", "out.yaml")
    assert command("export", "litellm", *output, "--check").code == 12
    assert command("export", "litellm", *output).code == 0
    whole = Path("out.yaml").read_text()

    assert command("export", "litellm", *output, "--check").out == "out.yaml is current\n"
    write_it = "fftdeploy export litellm -o out.yaml\n"
    for text, said in (
        (whole.replace(V9, V8), f"out.yaml is not what the files say: {write_it}"),
        (whole + "#", f"out.yaml is no export of litellm: remove it, and: {write_it}"),
    ):
        Path("out.yaml").write_text(text)
        stale = command("export", "litellm", *output, "--check")
        assert (stale.code, stale.out, Path("out.yaml").read_text()) == (12, said, text)
    assert command("export", "litellm", "--check").code == 2
    assert "did you mean litellm?" in command("export", "litelm").err


def test_what_the_policy_declares_is_written_and_checked_together(command: Command) -> None:
    assert command("export").code == command("export", "-o", "x").code == 2
    declared = '[exports]\n"deploy/flags.json" = "flagd"\n"my env" = "dotenv"\n'
    Path("fftdeploy.toml").write_text(POLICY + declared)
    assert command("export", "-o", "x").code == 2
    assert [found["hint"] for found in stale(command)] == ["fftdeploy export"] * 2

    assert command("export").out == "wrote deploy/flags.json\nwrote my env\n"

    assert stale(command) == []
    assert Path("my env").read_text() == command("export", "dotenv").out
    assert command("export", "--check").code == 0
    first = Path("deploy/flags.json").stat()
    Path("my env").write_text("A_B_MODEL=1\nA_B_PROVIDER=2\nA_B_RELEASE=3\n")  # of an older version
    Path("my env").chmod(0o640)
    again = command("export")
    assert stat.S_IMODE(Path("my env").stat().st_mode) == 0o640
    assert again.out == "deploy/flags.json is current\nwrote my env\n"
    assert "dotenv has no place for" in again.err
    assert Path("deploy/flags.json").stat() == first
    assert command("export").err == command("export", "--check").err == "", "nothing is written"
    Path("my env").write_text("mine = 1\n")
    files = Path("deployments.toml").read_text()
    Path("deployments.toml").write_text(files.replace(V9, V8))
    assert [found["message"] for found in stale(command)] == [
        "deploy/flags.json is not what the files say", "my env is no export of dotenv",
    ]  # fmt: skip
    before = Path("deploy/flags.json").read_bytes()
    assert command("export", "--check").code == 12
    assert command("export").code == 2
    assert Path("deploy/flags.json").read_bytes() == before, "all of them, or none"
    Path("out").mkdir()
    for folder, name in (("..", "x.json"), ("out/..", "x"), ("/x", "y"), (".git", "x")):
        Path("fftdeploy.toml").write_text(f'version = 1\n[exports]\n"{folder}/{name}" = "json"\n')
        assert command("check", "--offline").code == 3
    Path("fftdeploy.toml").write_text('version = 1\n[exports]\n"link/x" = "json"\n')
    Path("link").symlink_to("..")
    assert (command("export").code, Path("../x").exists()) == (2, False)


def stale(command: Command) -> list[Any]:
    done = command("check", "--offline", "--json")
    found = [one for one in json.loads(done.out)["findings"] if one["code"] == "export-stale"]
    assert not found or done.code == 12
    return found


def test_what_a_format_cannot_carry_is_said_and_not_served(command: Command) -> None:
    shots = "shots = [{ user = 'a', assistant = 'b' }]\n"
    Path("profiles/odd.toml").write_text(shots + PROFILE)
    text = Path("deployments.toml").read_text()
    Path("deployments.toml").write_text(text.replace("weight = 5,", 'weight = 5, profile = "odd",'))
    assert command("unhold", TARGET, "--why", "mended", "--yes").code == 0
    found = {kind: command("export", kind) for kind in KINDS}

    whole = json.loads(found["json"].out)["targets"]
    for model in (whole["intent/dev"], whole[TARGET]["canary"], whole[TARGET]["fallback"][0]):
        assert model["shots"] == [{"user": "a", "assistant": "b"}]
    assert whole[TARGET]["shots"] == []
    assert json.loads(found["flagd"].out)["flags"][TARGET]["variants"]["canary"]["shots"]
    for kind in ("json", "flagd", "configmap"):
        assert found[kind].err == ""
    said = found["litellm"].err.splitlines()
    has_no_place = "litellm has no place for system, shots of profile odd"
    assert said[0] == f"warning: intent/dev: {has_no_place}: whoever asks has to send it"
    why = "is left out: its prompt is another, and whoever asks sends but one"
    assert said[1:] == [
        f"warning: {TARGET}: canary {V10} {why}",
        f"warning: {TARGET}: fallback {LUNA} {why}",
    ]
    models = yaml.safe_load(found["litellm"].out)["model_list"]
    assert [one["model_name"] for one in models] == ["intent/dev", TARGET, f"{TARGET}/fallback-1"]
    assert "weight" not in models[1]["litellm_params"]
    assert "no place for shots, system, temperature" in found["dotenv"].err
    assert "endpoint" not in found["dotenv"].err
    Path("deployments.toml").write_text(text + DEV.replace("intent.dev", "intent.prod"))
    both = command("export", "dotenv").err.splitlines()
    assert (len(both), both[0].partition(" has")[0]) == (
        1,
        "warning: intent/dev, intent/prod: dotenv",
    )
    assert found["litellm"].code == found["dotenv"].code == 0


def test_a_file_that_is_no_export_is_written_over_by_none(command: Command) -> None:
    Path("deploy").mkdir()
    for name in ("evals/e.jsonl", ".git/config", ".git/new", "profiles/new.yaml", "new.toml",
                 ".fftdeploy/x.json", "deploy/README.md", "deploy/.env", "deploy/flags.json",
                 "deploy/values.yaml", "deployments.toml", "fftdeploy.toml"):  # fmt: skip
        Path(name).parent.mkdir(exist_ok=True)
        is_new = "new" in name or "x.json" in name
        if not is_new and not Path(name).exists():
            Path(name).write_text("MODEL_PROVIDER=x\nAPI_KEY=y\n" if ".env" in name else "a: 1\n")
        before = None if is_new else Path(name).read_bytes()
        for kind in KINDS:
            result = command("export", kind, "-o", name)
            assert result.code == 2, (name, kind)
            assert "another file" in result.err
        assert (Path(name).read_bytes() if Path(name).exists() else None) == before
    assert command("export", "json", "-o", "ours").code == 0
    Path("ours").write_text("")
    for name in ("deployments.toml", "ours"):
        Path("link").unlink(missing_ok=True)
        Path("link").symlink_to(name)
        assert command("export", "json", "-o", "link").code == 2
    assert Path("link").is_symlink()

    policy = Path("fftdeploy.toml").read_bytes()
    prom = command("monitor", TARGET, "--prom-file", "fftdeploy.toml")
    assert (prom.code, Path("fftdeploy.toml").read_bytes()) == (2, policy)
    for kind in KINDS:  # what it has written before it does write over, and each kind no other's
        assert command("export", kind, "-o", f"deploy/{kind}").code == 0
    files = Path("deployments.toml").read_text().replace(V9, V8)
    Path("deployments.toml").write_text(files)
    for kind in KINDS:
        codes = [command("export", kind, "-o", f"deploy/{other}").code for other in KINDS]
        assert codes == [0 if other == kind else 2 for other in KINDS]
    Path("deploy/empty").touch()
    assert command("export", "flagd", "-o", "deploy/empty").code == 0


def test_folders_are_made_in_the_repository_alone(
    command: Command, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    assert command("export", "flagd", "-o", "a/b/flags.json").code == 0
    outside = command("export", "flagd", "-o", str(other / "c/flags.json"))
    Path("way").symlink_to(other)
    through = command("export", "flagd", "-o", "way/c/flags.json")
    Path("file").touch()
    in_a_file = command("export", "flagd", "-o", "file/flags.json")
    before = [*other.iterdir()]
    (other / "c").mkdir()
    after = command("export", "flagd", "-o", str(other / "c/flags.json"))
    monkeypatch.chdir("a")
    Path("../deep").mkdir()
    Path("in").symlink_to("../deep")
    linked = command("export", "flagd", "-o", "in/d/flags.json")

    assert (outside.code, before, after.code) == (2, [], 0)
    assert f"error: no such folder: {other}/c\nhint: mkdir -p {other}/c\n" in outside.err
    assert (through.code, in_a_file.code, linked.code) == (2, 11, 0)
    assert Path("../deep/d/flags.json").is_file()


def test_at_a_terminal_each_stale_export_is_named(command: Command) -> None:
    declared = '[exports]\n"deploy/flags.json" = "flagd"\n"env" = "dotenv"\n"l.yaml" = "litellm"\n'
    Path("fftdeploy.toml").write_text(POLICY + declared)
    _, missing = screen(["check", "--offline"], 80)
    command("export")
    files = Path("deployments.toml").read_text()
    Path("deployments.toml").write_text(files.replace(V9, V8))
    _, stale = screen(["check", "--offline"], 80)

    for text, why in ((missing, "is missing"), (stale, "is not what the files say")):
        told = [line.split(maxsplit=2)[1:] for line in text.splitlines() if line.endswith(why)]
        assert told == [["deploy/flags.json", why], ["env", why], ["l.yaml", why]]
        assert text.count("hint: fftdeploy export") == 1


def test_two_targets_with_the_same_variables_are_refused(command: Command) -> None:
    more = f'[a-b.c]\nmodel = "{LUNA}"\n[a_b.c]\nmodel = "{LUNA}"\n'
    Path("deployments.toml").write_text(f"version = 1\n{more}")

    result = command("export", "dotenv")

    assert result.code == 3
    assert "a-b/c and a_b/c would have the same variables" in result.err


def test_flagd_splits_the_keys_as_we_do(command: Command) -> None:
    """OpenFeature's own SDK with flagd's evaluator in this process, from the exported file."""
    api: Any = pytest.importorskip("openfeature.api", reason="openfeature is not installed")
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.evaluation_context import EvaluationContext

    keys = [f"user-{number}" for number in range(1_000)] + ["Zo\u00eb", "x" * 300]
    inside = {}
    for weight in (5, 25, 50):
        text = PRODUCTION.replace("canary = 5", f"canary = {weight}")
        text = text.replace("weight = 5", f"weight = {weight}")
        Path("deployments.toml").write_text(f"version = 1\n{text}")
        assert command("export", "flagd", "-o", "flags.json").code == 0
        path = str(Path("flags.json").absolute())
        api.set_provider_and_wait(
            FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=path)
        )
        flags = api.get_client()

        def asked(key: str | None, flags: Any = flags) -> Any:
            return flags.get_object_details(TARGET, {}, EvaluationContext(key))

        inside[weight] = {key for key in keys if asked(key).variant == "r4"}
        assert inside[weight] == {key for key in keys if in_canary(TARGET, key, weight)}
        assert {asked(key).variant for key in keys} == {"r3", "r4"}
        assert (asked(None).variant, asked(None).value["model"]) == ("r3", V9)
        api.shutdown()
    assert inside[5] < inside[25] < inside[50]
    variants = json.loads(Path("flags.json").read_text())["flags"][TARGET]["variants"]
    assert set(variants) == {"r4", "r3", "r2"}  # what is on hold is not to be switched to


def test_a_hostile_file_is_read_once(command: Command) -> None:
    """Its recognition is linear: with a quadratic one this would not finish."""
    config = 'apiVersion: "v1"\nkind: "ConfigMap"\nmetadata:\n  name: "fftdeploy"\ndata:\n'
    for kind, start, again in (
        ("flagd", '{\n  "flags": {\n    "', "a/"),
        ("flagd", '{\n  "flags": {\n    "a/b": {\n      "state": "ENABLED",\n', "      x\n"),
        ("dotenv", "A_B", "_MODEL"),
        ("dotenv", "", "A_B_MODEL=x\nA_B_PROVIDER=y\n"),
        ("dotenv", "", "_RELEASE"),
        ("dotenv", "A_B_MODEL=x\nA_B_PROVIDER=y\n", "_RELEASE=1\n"),
        ("json", '{\n  "version": 1,\n  "targets": {\n    "', "a/"),
        ("tfvars", 'fftdeploy = {\n  "', '\\"'),
        ("configmap", config, '  A_B: "\\\\"\n'),
        ("litellm", "model_list:\n", '  - model_name: "\n'),
    ):  # fmt: skip
        Path("out").write_text(start + again * (4_000_000 // len(again)) + "A")
        assert command("export", kind, "-o", "out").code == 2
        assert command("export", kind, "-o", "out", "--check").code == 12


def test_what_a_hand_has_written_is_kept(command: Command) -> None:
    hosted = "litellm_params:\n      model: openai/a\n      api_key: os.environ/KEY\n"
    settings = "router_settings:\n  routing_strategy: simple-shuffle\n"
    config = 'apiVersion: "v1"\nkind: "ConfigMap"\nmetadata:\n  name: "fftdeploy"\n'
    alike = {
        "litellm": f"model_list:\n  - model_name: a\n    {hosted}{settings}",
        "flagd": '{\n  "flags": {\n    "a/b": {\n      "state": "ENABLED"\n    }\n  }\n}\n',
        "dotenv": "LLM_MODEL=a\nDB_PROVIDER=b\n",
        "dotenv\n": "A_B_MODEL=a\nA_B_PROVIDER=b\nC_D_MODEL=a\nC_D_PROVIDER=b\n",
        "configmap": f"{config}data: {{}}\n",
        "tfvars": "fftdeploy = {\n  mine = 1\n}\n",
        "json": '{\n  "version": 1,\n  "targets": {\n    "a": 1\n  }\n}\n',
    }
    files = Path("deployments.toml").read_text()
    for line, text in alike.items():
        kind = line.strip()
        Path("own").write_text(text)
        assert (command("export", kind, "-o", "own").code, Path("own").read_text()) == (2, text)
        Path("deployments.toml").write_text("version = 1\n")
        assert command("export", kind, "-o", f"none-{kind}").code == 0
        Path("deployments.toml").write_text(files)
        assert command("export", kind, "-o", f"none-{kind}").code == 0, "ours, of no target"


def test_a_file_is_declared_once_and_all_are_written_or_none(command: Command) -> None:
    policy = Path("fftdeploy.toml")
    for other in ("./a.json", "a.json/", "A.JSON"):
        policy.write_text(f'{POLICY}[exports]\n"a.json" = "json"\n"{other}" = "flagd"\n')
        refused = command("export")
        assert (refused.code, f"'a.json' and '{other}' are one file" in refused.err) == (3, True)
    Path("file").touch()
    policy.write_text(f'{POLICY}[exports]\n"./a.json" = "json"\n"file/b.json" = "flagd"\n')
    refused = command("export")
    assert (refused.code, Path("a.json").exists()) == (11, False)
    policy.write_text(f'{POLICY}[exports]\n"./a.json" = "json"\n"d//b.json" = "flagd"\n')
    assert command("export").out == "wrote a.json\nwrote d/b.json\n"
    assert stale(command) == []


def test_a_disk_that_fails_meanwhile_says_what_was_written(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("fftdeploy.toml").write_text(f'{POLICY}[exports]\n"a" = "json"\n"b" = "flagd"\n')
    publish = disk.publish

    def full(folder: int, name: str, *given: Any, **more: Any) -> bool:
        if name == "b":
            raise OSError(errno.ENOSPC, "full")
        return publish(folder, name, *given, **more)

    monkeypatch.setattr(disk, "publish", full)
    failed = command("export")
    assert (failed.code, Path("a").exists(), Path("b").exists()) == (11, True, False)
    assert "written before that: a" in failed.err
    assert "hint: fftdeploy export\n" in failed.err
