"""Promote and roll back fine-tuned models, and tell applications which one to call.

`resolve` is the whole run-time interface; it needs the standard library only.
"""

TYPE_CHECKING = False  # `typing` has the same, and takes longer to import than all else here
if TYPE_CHECKING:
    from fftdeploy.errors import FftdeployError
    from fftdeploy.routing.runtime import Resolution, resolve

__all__ = ["FftdeployError", "Resolution", "__version__", "resolve"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Import what is asked for when it is: the console script first looks after its signals."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fftdeploy import errors
    from fftdeploy.routing import runtime

    globals().update(FftdeployError=errors.FftdeployError, Resolution=runtime.Resolution)
    globals()["resolve"] = runtime.resolve
    return globals()[name]
