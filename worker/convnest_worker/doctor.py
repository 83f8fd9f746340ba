"""`python -m convnest_worker.doctor`: what a worker's process computes with, as JSON."""

from __future__ import annotations

import json

from convnest_core import fingerprint, single_blas_thread


def main() -> None:
    """Print the numeric fingerprint of a process that computes."""
    single_blas_thread()
    print(json.dumps(fingerprint()))


if __name__ == "__main__":
    main()
