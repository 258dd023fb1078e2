"""Promote and roll back fine-tuned models, and tell applications which one to call.

`resolve` is the whole run-time interface; it needs the standard library only.
"""

from fftdeploy.errors import FftdeployError
from fftdeploy.runtime import Resolution, resolve

__all__ = ["FftdeployError", "Resolution", "__version__", "resolve"]
__version__ = "0.1.0"
