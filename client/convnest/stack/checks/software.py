"""Python, ConvNest itself, and the packages that its extras bring."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator
from importlib import metadata

from .check import Check, ok, problem

_OLDEST_PYTHON, _PYTHON_TOO_NEW = (3, 11), (3, 13)
_NEEDED_EXTRAS = ("server", "worker")
_NO_EXTRAS_OF_USERS = ("all", "dev")


def software_checks() -> Iterator[Check]:
    """Whether this Python and what is installed for it can run a stack."""
    yield _check_system()
    yield _check_python()
    yield ok("convnest", metadata.version("convnest"))
    yield from _check_packages()


def _check_system() -> Check:
    found = f"{platform.system()} {platform.release()}, {platform.machine()}"
    if sys.platform != "linux":
        return problem("system", found, "convnest up needs Linux; elsewhere use docker compose")
    return ok("system", found)


def _check_python() -> Check:
    found = f"{platform.python_version()}, {sys.executable}"
    if not _OLDEST_PYTHON <= sys.version_info[:2] < _PYTHON_TOO_NEW:
        return problem("python", found, "use Python 3.11 or 3.12")
    return ok("python", found)


def _check_packages() -> Iterator[Check]:
    wanted = _packages_by_extra(metadata.requires("convnest") or [])
    for extra, packages in wanted.items():
        missing = [package for package in packages if _version(package) is None]
        present = [f"{package} {_version(package)}" for package in packages]
        name = f"extra {extra}"
        if not missing:
            yield ok(name, ", ".join(present))
        elif extra in _NEEDED_EXTRAS:
            yield problem(
                name, f"without {', '.join(missing)}", "pip install 'convnest[all]' brings them"
            )
        else:
            yield ok(name, f"not installed (optional): pip install 'convnest[{extra}]'")


def _packages_by_extra(requirements: list[str]) -> dict[str, list[str]]:
    """From lines such as `celery[redis]>=5.6; extra == "server"`."""
    packages: dict[str, list[str]] = {}
    for requirement in requirements:
        package = re.match(r"[\w.-]+", requirement)
        extra = re.search(r"extra\s*==\s*['\"]([\w.-]+)['\"]", requirement)
        if package and extra and extra[1] not in _NO_EXTRAS_OF_USERS:
            packages.setdefault(extra[1], []).append(package[0])
    return packages


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
