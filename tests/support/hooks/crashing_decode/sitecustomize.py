"""On PYTHONPATH of a worker: a picture that carries the marker brings the model process down."""

import os
import signal
import sys

if "convnest_worker.serving" in sys.orig_argv:
    from convnest_store import images

    _decode = images.decode

    def _decode_or_crash(data: bytes, shape: images.ImageShape) -> images.UInt8Array:
        if b"bring it down" in data:
            os.kill(os.getpid(), signal.SIGSEGV)
        return _decode(data, shape)

    images.decode = _decode_or_crash  # type: ignore[assignment]  # without its keyword
