"""A real llama.cpp server: a tiny model that is written here, and one process for each model.

The weights are random, from a seed, so the answers are nonsense, and the same nonsense each time.
A LoRA makes a second model of it that answers otherwise.  The server answers any name with what it
has loaded, and says so in its answer; `Gateway` sends each name to the process that has it.

    python tests/support/llama.py write FOLDER
    python tests/support/llama.py serve PORT MODEL ALIAS[,ALIAS...] [LORA]
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gguf import GGUFWriter
    from numpy.random import Generator

MISSING = next(
    (
        f"{name} is not installed: `pip install -e '.[servers]'`"
        for name in ("xllamacpp", "gguf")
        if find_spec(name) is None
    ),
    "",
)
KEY = "sk-llama"
_START_S = 60
_WIDTH, _LAYERS, _HEADS, _FEED, _CONTEXT, _RANK = 128, 2, 2, 256, 2048, 4
_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
_FIRST_BYTE = 3  # after <unk>, <s> and </s>
_SPACE = _FIRST_BYTE + 256
_BLANKS = [_SPACE, *(_FIRST_BYTE + ord(blank) for blank in "\t\n\r ")]


# --- the files -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Weights:
    """The files of the base, of what makes a fine-tune of it, and of a model of another size."""

    model: Path
    lora: Path
    other: Path

    @classmethod
    def below(cls, folder: Path) -> Self:
        return cls(*(folder / f"{name}.gguf" for name in ("model", "lora", "other")))


def weights(folder: Path) -> Weights:
    """Write the files into `folder`, unless another process has, and return where they are."""
    files = Weights.below(folder)
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not files.other.exists():
            subprocess.run(
                [sys.executable, __file__, "write", folder], check=True, timeout=_START_S
            )
    return files


def _write(folder: Path) -> None:
    import numpy as np  # a second, which whoever only starts a server does not spend

    files = Weights.below(folder)
    _write_model(files.model, np.random.default_rng(0))
    _write_lora(files.lora, np.random.default_rng(2))
    _write_model(files.other, np.random.default_rng(0), layers=1)


def _write_model(path: Path, dice: Generator, layers: int = _LAYERS) -> None:
    from gguf import GGUFWriter, TokenType

    letters = ["\u2581", *_LETTERS]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    types = [TokenType.UNKNOWN, *[TokenType.CONTROL] * 2, *[TokenType.BYTE] * 256]
    types += [TokenType.NORMAL] * len(letters)
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(_CONTEXT)
    writer.add_embedding_length(_WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(_FEED)
    writer.add_head_count(_HEADS)
    writer.add_head_count_kv(_HEADS)
    writer.add_rope_dimension_count(_WIDTH // _HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("llama")
    writer.add_token_list(tokens)
    writer.add_token_scores([0.0] * len(tokens))
    writer.add_token_types(types)
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_chat_template(_TEMPLATE)
    shapes = {
        "attn_q": (_WIDTH, _WIDTH),
        "attn_k": (_WIDTH, _WIDTH),
        "attn_v": (_WIDTH, _WIDTH),
        "attn_output": (_WIDTH, _WIDTH),
        "ffn_gate": (_FEED, _WIDTH),
        "ffn_up": (_FEED, _WIDTH),
        "ffn_down": (_WIDTH, _FEED),
    }
    tensors = {"token_embd": _random(dice, len(tokens), _WIDTH)}
    for layer in range(layers):
        for name, shape in shapes.items():
            tensors[f"blk.{layer}.{name}"] = _random(dice, *shape)
        for name in ("attn_norm", "ffn_norm"):
            tensors[f"blk.{layer}.{name}"] = _ones(_WIDTH)
    tensors |= {"output": _random(dice, len(tokens), _WIDTH), "output_norm": _ones(_WIDTH)}
    _make_blanks_unlikely(tensors)
    for name, tensor in tensors.items():
        writer.add_tensor(f"{name}.weight", tensor)
    _finish(writer)


def _make_blanks_unlikely(tensors: Mapping[str, Any]) -> None:
    """Keep the first dimension the same for all tokens and layers, and let it stand for no blank.

    The grammar of JSON allows white space everywhere: answers would be ten times as long.
    """
    tensors["token_embd"][:, 0] = 1
    tensors["output"][:, 0] = 0
    tensors["output"][_BLANKS] = 0
    tensors["output"][_BLANKS, 0] = -1000
    for name, tensor in tensors.items():
        if name.startswith("blk") and name.endswith(("norm", "attn_output", "ffn_down")):
            tensor[0] = 0  # read by no layer, written by none


def _write_lora(path: Path, dice: Generator) -> None:
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "llama")
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 24.0)
    for layer in range(_LAYERS):
        for name, width in (("attn_q", _WIDTH), ("ffn_down", _FEED)):
            down, up = _random(dice, _RANK, width), _random(dice, _WIDTH, _RANK)
            up[0] = 0  # the dimension that stays the same
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_a", down)
            writer.add_tensor(f"blk.{layer}.{name}.weight.lora_b", up)
    _finish(writer)


def _random(dice: Generator, *shape: int) -> Any:
    return (dice.standard_normal(shape) * 0.2).astype("float32")


def _ones(width: int) -> Any:
    import numpy as np

    return np.ones(width, "float32")


def _finish(writer: GGUFWriter) -> None:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


# --- the server ------------------------------------------------------------------------------


def _serve(port: str, model: str, aliases: str, lora: str = "") -> None:
    """Serve until standard input ends, so that no server outlives who started it."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.hostnames, params.port = ["127.0.0.1"], int(port)
    params.model.path, params.model_alias = model, set(aliases.split(","))
    params.api_keys = [KEY]
    # One request after the other, and nothing kept of the one before: the same answer each time.
    params.n_parallel, params.cpuparams.n_threads, params.cache_prompt = 1, 1, False
    params.n_ctx, params.warmup, params.ui = _CONTEXT, False, False
    if lora:
        adapter = xllamacpp.CommonAdapterLoraInfo()
        adapter.path, adapter.scale = lora, 1.0
        params.lora_adapters = [adapter]
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


@dataclass(frozen=True)
class Answer:
    """The status of one answer, and its body: parsed where that is JSON."""

    status: int
    body: Any


@dataclass(frozen=True)
class Llama:
    """A running server; `origin` is its address without a path."""

    origin: str

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    @property
    def port(self) -> int:
        return int(self.origin.rpartition(":")[2])

    def ask(self, path: str, body: object = None) -> Answer:
        """Send one request with the key, as `curl` would."""
        return _ask(f"{self.origin}{path}", None if body is None else json.dumps(body).encode())


def _ask(url: str, body: bytes | None) -> Answer:
    request = urllib.request.Request(  # noqa: S310  on 127.0.0.1
        url, body, {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=_START_S) as response:  # noqa: S310  our own address
            return Answer(response.status, json.loads(response.read()))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, json.loads(error.read()))


@contextlib.contextmanager
def serving(
    files: Weights, *aliases: str, is_tuned: bool = False, is_other: bool = False, port: int = 0
) -> Iterator[Llama]:
    """Start a server that has the model under `aliases`, and end it."""
    model = files.other if is_other else files.model
    command = [sys.executable, __file__, "serve", str(port), str(model), ",".join(aliases)]
    log = files.model.with_name(f"{aliases[0]}.log")
    with (
        log.open("w") as said,
        subprocess.Popen(
            [*command, *([str(files.lora)] if is_tuned else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        ) as process,
    ):
        assert process.stdin
        assert process.stdout
        try:
            server = Llama(process.stdout.readline().strip())
            assert server.origin, log.read_text()
            _await_health(server)
            yield server
        finally:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()


def _await_health(server: Llama) -> None:
    deadline = time.monotonic() + _START_S
    while (answer := server.ask("/health")).status != 200:
        assert time.monotonic() < deadline, answer
        time.sleep(0.05)


# --- several of them at one address ----------------------------------------------------------


@dataclass(frozen=True)
class Asked:
    """One request that went through, and what the server made of it."""

    path: str
    body: Any
    status: int
    answer: Any


@dataclass
class Gateway:
    """One address for several servers; a name that none of them has goes to the first."""

    servers: Mapping[str, Llama]
    log: list[Asked] = field(default_factory=list)
    origin: str = ""

    @property
    def url(self) -> str:
        return f"{self.origin}/v1"

    def answer(self, path: str, sent: bytes | None) -> tuple[int, bytes]:
        body = json.loads(sent) if sent else None
        first = next(iter(self.servers.values()))
        if path == "/v1/models":
            servers = dict.fromkeys(self.servers.values())
            listed = [server.ask(path).body["data"] for server in servers]
            answer = Answer(
                200, {"object": "list", "data": [row for rows in listed for row in rows]}
            )
        else:
            server = self.servers.get(body["model"], first) if body else first
            answer = _ask(f"{server.origin}{path}", sent)
        self.log.append(Asked(path, body, answer.status, answer.body))
        return answer.status, json.dumps(answer.body).encode()


@contextlib.contextmanager
def gateway(servers: Mapping[str, Llama]) -> Iterator[Gateway]:
    """Serve `servers`, each by the names of its model, at one address on loopback."""
    running = Gateway(servers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(None)

        def do_POST(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, sent: bytes | None) -> None:
            status, body = running.answer(self.path, sent)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  its base calls it so
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        running.origin = f"http://127.0.0.1:{server.server_port}"
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield running
        finally:
            server.shutdown()


if __name__ == "__main__":
    task, *words = sys.argv[1:]
    if task == "write":
        _write(Path(words[0]))
    else:
        _serve(*words)
