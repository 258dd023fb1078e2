"""What hosts say of the model behind a name, and which difference means another model.

Entries of vLLM and llama.cpp as real servers were seen to send them; Ollama's is from its source.
"""

from typing import Any

import pytest

from fftdeploy.model_ids.identity import changes, identity_of

VLLM: dict[str, Any] = {
    "id": "triage",
    "object": "model",
    "created": 1795905942,
    "owned_by": "vllm",
    "root": "/models/triage-v3",
    "parent": "tiny",
    "max_model_len": 2048,
}
LLAMA: dict[str, Any] = {
    "id": "triage",
    "aliases": ["triage", "triage-v3"],
    "tags": [],
    "object": "model",
    "created": 1795905942,
    "owned_by": "llamacpp",
    "meta": {
        "vocab_type": 1,
        "n_vocab": 312,
        "n_ctx": 2048,
        "n_ctx_train": 2048,
        "n_embd": 128,
        "n_params": 408192,
        "size": 1632768,
        "ftype": "(guessed) all of one type",
    },
}
OLLAMA: dict[str, Any] = {
    "id": "triage:latest",
    "object": "model",
    "created": 1795000000,
    "owned_by": "library",
}
SAYS_NOTHING: dict[str, dict[str, Any]] = {
    "litellm": {"id": "t", "object": "model", "created": 1677610602, "owned_by": "openai"},
    "itself": {"id": "t", "root": "t", "parent": None, "aliases": ["t"], "meta": {}},
    "nonsense": {"id": "t", "root": 7, "parent": [], "aliases": "t", "meta": [1], "revision": ""},
}


def test_what_is_kept_is_what_stays_over_a_restart() -> None:
    assert identity_of(VLLM) == {"root": "/models/triage-v3", "parent": "tiny"}
    assert identity_of(LLAMA) == {
        "meta.vocab_type": "1",
        "meta.n_vocab": "312",
        "meta.n_ctx_train": "2048",
        "meta.n_embd": "128",
        "meta.n_params": "408192",
        "meta.size": "1632768",
        "aliases": "triage-v3",
    }
    assert identity_of(OLLAMA) == {"created": "1795000000"}
    assert not any(map(identity_of, SAYS_NOTHING.values()))
    assert len(identity_of(VLLM | {"root": "/" * 9999})["root"]) == 500


META = LLAMA["meta"]
RESTARTS: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # what is said before and after it, and what of that is another model
    "vllm": (VLLM, VLLM | {"created": 1795909999, "max_model_len": 4096}, ""),
    "llama.cpp": (LLAMA, LLAMA | {"created": 1, "meta": META | {"n_ctx": 512, "ftype": "x"}}, ""),
    "one alias more": (LLAMA, LLAMA | {"aliases": ["triage", "triage-v3", "prod"]}, ""),
    "an older version said less": (LLAMA | {"meta": {}}, LLAMA, ""),
    "another LoRA": (
        VLLM,
        VLLM | {"root": "/models/triage-v4"},
        "root '/models/triage-v4' and not '/models/triage-v3'",
    ),
    "another base, too": (
        VLLM,
        VLLM | {"root": "x", "parent": "small"},
        "parent 'small' and not 'tiny', root 'x' and not '/models/triage-v3'",
    ),
    "another file": (
        LLAMA,
        LLAMA | {"meta": META | {"n_params": 211}},
        "meta.n_params '211' and not '408192'",
    ),
    "an alias moved": (
        LLAMA,
        LLAMA | {"aliases": ["triage", "triage-v4"]},
        "aliases 'triage-v4' and not 'triage-v3'",
    ),
    "made again": (
        OLLAMA,
        OLLAMA | {"created": 1795000001},
        "created '1795000001' and not '1795000000'",
    ),
}


@pytest.mark.parametrize("row", RESTARTS)
def test_a_restart_that_changes_nothing_is_no_change(row: str) -> None:
    then, now, said = RESTARTS[row]

    assert changes(identity_of(then), identity_of(now)) == said
