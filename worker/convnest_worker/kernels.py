"""The kernels that a worker's processes compute with: compiled before it takes work, or NumPy's."""

import os
import threading
import time

import structlog
from convnest_core import fingerprint
from convnest_core.kernels import kernel_set, use_kernels
from convnest_core.kernels.simd.inventory import missing_kernels

from convnest_worker.child import ChildProcess, Message, describe_exit

_LISTEN_S = 0.2
_TOLD_EVERY_S = 5.0

log = structlog.get_logger(__name__)


class Kernels:
    """What `convnest status` shows of them; `prepare` once, before the first job."""

    def __init__(self, *, stall_s: float) -> None:
        """stall_s: a compiler that tells nothing for so long is ended."""
        self._stall_s = stall_s
        self._stopping = threading.Event()
        self._fingerprint = fingerprint()
        self._preparing = self._warning = ""

    @property
    def fingerprint(self) -> dict[str, str]:
        """What slices and model processes compute with."""
        return self._fingerprint

    @property
    def preparing(self) -> str:
        """ "compiling kernels 12/40", or "" where nothing has to wait for that."""
        return self._preparing

    @property
    def warning(self) -> str:
        """Why NumPy's kernels compute instead of faster ones, or ""."""
        return self._warning

    def prepare(self) -> None:
        """Return when the kernels are compiled, when they turn out not to be had, or at `stop`.

        In a process of its own, whose memory returns; it ends with this one.
        """
        if kernel_set() != "simd" or not (missing := len(missing_kernels())):
            return
        begun = time.monotonic()
        self._preparing = f"compiling kernels 0/{missing}"
        log.info("compiling kernels", done=0, total=missing)
        try:
            reason = self._attend(ChildProcess("convnest_worker.compiling", {}))
        except OSError as error:
            reason = f"no process could be started: {error}"
        if reason:
            self._use_numpy(reason)
        elif not self._stopping.is_set():
            log.info("kernels compiled", total=missing, seconds=round(time.monotonic() - begun, 1))
        self._preparing = ""

    def stop(self) -> None:
        """Has `prepare` return soon, from any thread."""
        self._stopping.set()

    def _attend(self, compiler: ChildProcess) -> str:
        """See the compiler through; why there are no kernels, or ""."""
        last: Message = {}
        heard = told = time.monotonic()
        while (message := compiler.receive(_LISTEN_S)) != {}:
            now = time.monotonic()
            if self._stopping.is_set() or now - heard > self._stall_s:
                compiler.kill()
            if message is None:
                continue
            heard, last = now, message
            if "kernel" in message:
                self._preparing = f"compiling kernels {message['done']}/{message['total']}"
                if now - told >= _TOLD_EVERY_S:
                    told = now
                    log.info("compiling kernels", done=message["done"], total=message["total"])
        code = compiler.wait()
        if "ready" in last or self._stopping.is_set():
            return ""
        if "failed" in last:
            return str(last["failed"])
        lines = compiler.stderr_tail.strip().splitlines()
        return ": ".join([f"the compiler ended with {describe_exit(code)}", *lines[-1:]])

    def _use_numpy(self, reason: str) -> None:
        self._warning = f"NumPy's kernels compute, which are slower: {reason}"
        log.warning("NumPy's kernels compute", reason=reason)
        os.environ["CONVNEST_KERNELS"] = "numpy"  # slices and model processes inherit it
        use_kernels("numpy")
        self._fingerprint = fingerprint()
