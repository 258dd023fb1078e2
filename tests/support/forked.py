"""Console scripts that begin with everything imported: they are forked from one process.

Importing the command line and the SDK is most of what a command costs, half a second of a core and
more; pages and stories run a hundred of them.  A `sitecustomize` on PYTHONPATH hands arguments,
folder, environment and the three streams of each `fftdeploy` over to a process that has the
imports, and ends as the command there did.  INT, TERM and HUP are handed on, others are not, nor
are limits; `sandbox`, and a command that lacks a stream, stay processes of their own.
"""

import atexit
import os
import socket
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

_CLIENT = """
import os, sys

def has_streams():
    try:
        return [os.fstat(number) for number in (0, 1, 2)]
    except OSError:
        return False

words = sys.orig_argv[1:]
if words[:3] == ["-P", "-m", "fftdeploy"]:
    words = words[2:]
is_ours = words and os.path.basename(words[0]) == "fftdeploy" and words[1:2] != ["sandbox"]
if is_ours and has_streams():
    import marshal, signal, socket

    handed_on = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_BLOCK, handed_on)  # until it is known to whom
    asked = socket.socket(socket.AF_UNIX)
    asked.connect(os.path.join(os.path.dirname(__file__), "socket"))
    socket.send_fds(asked, [b"."], [0, 1, 2])
    asked.sendall(marshal.dumps((words[1:], os.getcwd(), dict(os.environ))))
    asked.shutdown(socket.SHUT_WR)
    answers = asked.makefile("rb")
    child = int(answers.readline())

    def hand_on(number, frame):
        try:
            os.kill(child, number)
        except ProcessLookupError:
            pass

    for number in handed_on:
        signal.signal(number, hand_on)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handed_on)
    os._exit(int(answers.readline()))
"""
_SERVER = """
import atexit, contextlib, gc, importlib, marshal, os, pkgutil, select, signal, socket, sys
import threading

import fftdeploy
import openai.resources.chat, openai.resources.fine_tuning, openai.resources.models
import typer

for module in pkgutil.walk_packages(fftdeploy.__path__, "fftdeploy."):
    if not module.name.startswith("fftdeploy.commands.mcp"):
        importlib.import_module(module.name)
from fftdeploy.__main__ import main
from fftdeploy.cli import app, completion

app._register([])
build = typer.main.get_command
built = build(app.app)  # all commands: a process of its own builds the one that it is


def get_command(asked):
    is_ours = asked is app.app and completion.VARIABLE not in os.environ
    return built if is_ours else build(asked)


typer.main.get_command = get_command
gc.freeze()
listening = socket.socket(fileno=int(sys.argv[1]))
callers = {}


def tell(asked, number):
    with contextlib.suppress(OSError):  # it may have been killed
        asked.sendall(b"%d\\n" % number)


def look(*_):
    for child in [*callers]:
        with contextlib.suppress(ChildProcessError):  # another signal may come meanwhile
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
                tell(callers.pop(child), code if code >= 0 else 128 - code)


signal.signal(signal.SIGCHLD, look)
while listening in select.select([listening, 0], [], [])[0]:  # until stdin is closed
    asked, _ = listening.accept()
    streams = socket.recv_fds(asked, 1, 3)[1]
    told = b"".join(iter(lambda: asked.recv(65536), b""))
    if child := os.fork():
        for stream in streams:
            os.close(stream)
        tell(asked, child)
        callers[child] = asked
        look()
        continue
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    listening.close()
    asked.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    words, folder, environ = marshal.loads(told)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    sys.argv = ["fftdeploy", *words]
    sys.stdout.reconfigure(line_buffering=os.isatty(1))
    code = main()
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # a copy of all modules is not taken apart: that is most of what is left
"""


@cache
def path(prelude: str = "") -> str:
    """Return a PYTHONPATH under which console scripts are forked, until this process ends.

    The process that they are forked from runs `prelude` before it imports anything of ours.
    """
    # Not where a test has its temporary files: the path of a socket has 108 bytes at most.
    place = tempfile.TemporaryDirectory(prefix="fftdeploy-forked-", dir="/tmp")
    Path(place.name, "sitecustomize.py").write_text(_CLIENT, encoding="utf-8")
    environ = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{place.name}/socket")
        listening.listen()
        server = subprocess.Popen(
            [sys.executable, "-P", "-c", prelude + _SERVER, str(listening.fileno())],
            stdin=subprocess.PIPE,
            pass_fds=[listening.fileno()],
            env=environ,
        )
    atexit.register(place.cleanup)
    atexit.register(server.communicate)
    return place.name
