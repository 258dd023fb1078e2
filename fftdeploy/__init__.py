"""Promote and roll back fine-tuned models, and tell applications which one to call.

`resolve` is what applications need; it is made of the standard library only.  The commands are
functions, too: each returns what its `--json` prints, as a value, and raises `FftdeployError`.
"""

TYPE_CHECKING = False  # `typing` has the same, and takes longer to import than all else here
if TYPE_CHECKING:
    from fftdeploy.commands.adopt import adopt
    from fftdeploy.commands.calibrate import calibrate
    from fftdeploy.commands.check import check
    from fftdeploy.commands.diff import diff
    from fftdeploy.commands.evaluate import evaluate
    from fftdeploy.commands.export import export
    from fftdeploy.commands.history import history
    from fftdeploy.commands.hold import hold
    from fftdeploy.commands.init import init
    from fftdeploy.commands.migrate import migrate
    from fftdeploy.commands.models import models
    from fftdeploy.commands.monitor import monitor
    from fftdeploy.commands.promote import promote
    from fftdeploy.commands.report import report
    from fftdeploy.commands.rollback import rollback
    from fftdeploy.commands.scan import scan
    from fftdeploy.commands.schema import schema
    from fftdeploy.commands.size import size
    from fftdeploy.commands.status import status
    from fftdeploy.commands.unhold import unhold
    from fftdeploy.commands.verify import verify
    from fftdeploy.errors import FftdeployError
    from fftdeploy.routing.client import client
    from fftdeploy.routing.request_log import RequestLog
    from fftdeploy.routing.routes import Route, route
    from fftdeploy.routing.runtime import Resolution, resolve

__all__ = [
    "FftdeployError",
    "RequestLog",
    "Resolution",
    "Route",
    "__version__",
    "adopt",
    "calibrate",
    "check",
    "client",
    "diff",
    "evaluate",
    "export",
    "history",
    "hold",
    "init",
    "migrate",
    "models",
    "monitor",
    "promote",
    "report",
    "resolve",
    "rollback",
    "route",
    "scan",
    "schema",
    "size",
    "status",
    "unhold",
    "verify",
]
__version__ = "0.1.0"

_ELSEWHERE = {
    "FftdeployError": "errors",
    "RequestLog": "routing.request_log",
    "Resolution": "routing.runtime",
    "Route": "routing.routes",
    "client": "routing.client",
    "resolve": "routing.runtime",
    "route": "routing.routes",
}


def __dir__() -> list[str]:
    return __all__


def __getattr__(name: str) -> object:
    """Import what is asked for when it is: the console script first looks after its signals."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = import_module(f"{__name__}.{_ELSEWHERE.get(name, f'commands.{name}')}")
    found = globals()[name] = getattr(module, name)
    return found
