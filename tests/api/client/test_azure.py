"""Azure on the wire: its own header and version, a deployment in the path, a token of Entra's."""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

import pytest
from fault_server import FaultServer, Reply, good_chat, missing, reply

from fftdeploy.api.client.connection import Connection
from fftdeploy.api.proof import Prover, Question
from fftdeploy.api.providers import Provider
from fftdeploy.api.settings import settings

pytestmark = pytest.mark.usefixtures("over")

KEY = "f00dcafe99f00dcafe99f00dcafe99f0"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJhenVyZSJ9.c2lnbmF0dXJl"
BEHIND = "gpt-4.1-mini-2025-04-14.ft-0123456789abcdef"
VERSION = "api-version=2024-10-21"
CLASSIC, V1 = ("/openai", "2024-10-21"), ("/openai/v1", "")
ANSWERS = {"triage": frozenset({BEHIND})}


@pytest.fixture(name="azure")
def azure_host() -> Iterator[FaultServer]:
    with FaultServer(is_openai=False) as server:
        yield server


def asked(
    azure: FaultServer, address: tuple[str, str], key: str, model: str = "triage"
) -> tuple[str, Mapping[str, str], list[str]]:
    """Prove one deployment; return the verdict, what the probe said of itself, and all paths."""
    path, version = address
    provider = Provider(
        name="az",
        kind="azure",
        base_url=f"http://127.0.0.1:{azure.port}{path}",
        api_key_env="AZ_KEY",
        api_version=version,
        answers_as=ANSWERS,
    )
    environ = {"AZ_KEY": key, "OPENAI_API_KEY": "sk-of-openai-0123456789", "OPENAI_ORG_ID": "org"}
    gone = reply(404, {"error": {"code": "404", "message": "Resource not found"}})
    azure.script("GET", f"{path}/models/{quote(model, safe='+:=')}", gone)
    connection = Connection(settings(environ, provider))
    try:
        found = Prover(connection).prove(Question(model, provider="az"))
    finally:
        connection.close()
    (probe,) = [each for each in azure.log if each.method == "POST"]
    return f"{found.code}: {found.message}", probe.headers, azure.asked()


def serves(azure: FaultServer, path: str, answer: Reply | None = None) -> None:
    listed = {"id": "gpt-4.1-mini-2025-04-14", "object": "model", "status": "succeeded"}
    base = path.partition("/deployments")[0].removesuffix("/chat/completions")
    azure.script("GET", f"{base}/models", reply(body={"object": "list", "data": [listed]}))
    azure.script("POST", path, answer or good_chat(model=BEHIND))


def test_the_classic_address_has_the_deployment_in_its_path(azure: FaultServer) -> None:
    serves(azure, "/openai/deployments/triage/chat/completions")

    found, headers, paths = asked(azure, CLASSIC, KEY)

    assert found == "ready: "
    assert (headers["api-key"], "authorization" in headers) == (KEY, False)
    assert "openai-organization" not in headers
    assert paths[-1] == f"/openai/deployments/triage/chat/completions?{VERSION}"
    assert {path.partition("?")[2] for path in paths} == {VERSION}


def test_the_v1_address_has_it_in_the_body(azure: FaultServer) -> None:
    serves(azure, "/openai/v1/chat/completions")

    found, headers, paths = asked(azure, V1, KEY)

    assert (found, headers["api-key"], paths[-1]) == (
        "ready: ",
        KEY,
        "/openai/v1/chat/completions",
    )


@pytest.mark.parametrize("address", [CLASSIC, V1])
def test_a_token_goes_as_one(azure: FaultServer, address: tuple[str, str]) -> None:
    deployment = "/deployments/triage" if address == CLASSIC else ""
    serves(azure, f"{address[0]}{deployment}/chat/completions")

    found, headers, _ = asked(azure, address, TOKEN)

    assert found == "ready: "
    assert (headers["authorization"], "api-key" in headers) == (f"Bearer {TOKEN}", False)


def test_the_model_behind_a_deployment_may_not_change(azure: FaultServer) -> None:
    path = "/openai/deployments/triage/chat/completions"
    serves(azure, path, good_chat(model="gpt-4.1-mini-2025-04-14"))

    found, _, _ = asked(azure, CLASSIC, KEY)

    assert found == ("other-model: it was answered by another model, 'gpt-4.1-mini-2025-04-14'")


@pytest.mark.parametrize(
    ("model", "path"),
    [
        ("a/b", "/openai/deployments/a%2Fb/chat/completions"),
        ("a#b+c", "/openai/deployments/a%23b+c/chat/completions"),
        ("a:b?c=d", "/openai/deployments/a:b%3Fc=d/chat/completions"),
    ],
)
def test_no_name_leads_out_of_its_place_in_the_path(
    azure: FaultServer, model: str, path: str
) -> None:
    azure.script("POST", path, missing())

    _, _, paths = asked(azure, CLASSIC, KEY, model)

    assert paths[-1] == f"{path}?{VERSION}"
    assert {each.partition("?")[2] for each in paths} == {VERSION}
