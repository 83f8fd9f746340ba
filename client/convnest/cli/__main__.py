"""Where the `convnest` command begins, and where its errors become one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

import typer
from convnest import ConvNestError, Internal, ResourceExhausted, Unavailable
from convnest.cli.app import build_app
from convnest.cli.context import CommandFailed


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit status: 1 for errors, 2 for wrong usage."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    try:
        command = typer.main.get_command(build_app())
        status = command.main(arguments, prog_name="convnest", standalone_mode=False)
        sys.stdout.flush()
    except typer.TyperException as error:
        # Without a message, what was wrong is that no command was named, and its help was shown.
        return _fail(error.format_message(), status=2) if error.format_message() else 2
    except BrokenPipeError:
        # Whoever read our output has gone; a second complaint, at exit, would be noise.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ConvNestError, CommandFailed) as error:
        return _fail(_explain(error))
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        return _fail(f"{error.strerror or error}{where}")
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        if os.environ.get("CONVNEST_TRACEBACK"):
            raise
        return _fail(
            f"unexpected {type(error).__name__}: {error} (CONVNEST_TRACEBACK=1 shows where)"
        )
    return status if isinstance(status, int) else 0


def _explain(error: Exception) -> str:
    match error:
        case Unavailable(reason=""):
            return f"{error}; start one with 'convnest up', or name another with --server"
        case ResourceExhausted(retry_after_s=float(seconds)):
            return f"{error}; try again in {seconds:g} s"
        case Internal(error_id=error_id) if error_id:
            return f"{error} (error id {error_id})"
    return str(error)


def _fail(message: str, *, status: int = 1) -> int:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    return status


if __name__ == "__main__":
    sys.exit(main())
