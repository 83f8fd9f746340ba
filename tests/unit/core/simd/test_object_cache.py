"""What is kept of compiled kernels, and what is believed of what is found."""

from __future__ import annotations

import os
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from convnest_core.kernels.simd import object_cache
from convnest_core.kernels.simd.machine import machine
from convnest_core.kernels.simd.object_cache import Stored

KEY = "0123456789abcdef01234567"
KERNEL = Stored(bytes(range(256)) * 40, ("Floats", "FloatsOut", "int"))


def other_key(number: int) -> str:
    return f"{number:024x}"


def test_what_was_kept_is_found(cache: Path) -> None:
    assert object_cache.stored("a.b", KEY) is None
    assert object_cache.keep("a.b", KEY, KERNEL)
    assert object_cache.stored("a.b", KEY) == KERNEL
    assert object_cache.stored("a.c", KEY) is None
    assert object_cache.stored("a.b", other_key(1)) is None


@pytest.mark.parametrize("left", [0, 1, 31, 32, 33, 60, 5000, -1])
def test_a_torn_file_is_not_believed(cache: Path, left: int) -> None:
    object_cache.keep("a.b", KEY, KERNEL)
    path = cache / KEY / "a.b.o"
    path.write_bytes(path.read_bytes()[:left])
    assert object_cache.stored("a.b", KEY) is None


@pytest.mark.parametrize("place", [0, 31, 32, 60, 5000, -1])
def test_a_changed_byte_is_noticed(cache: Path, place: int) -> None:
    object_cache.keep("a.b", KEY, KERNEL)
    path = cache / KEY / "a.b.o"
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert object_cache.stored("a.b", KEY) is None


def test_a_file_is_believed_only_in_its_own_place(cache: Path) -> None:
    object_cache.keep("a.b", KEY, KERNEL)
    shutil.copy(cache / KEY / "a.b.o", cache / KEY / "a.c.o")
    shutil.copytree(cache / KEY, cache / other_key(1))
    assert object_cache.stored("a.c", KEY) is None
    assert object_cache.stored("a.b", other_key(1)) is None


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o777])
@pytest.mark.parametrize("inside", [".", "a.b.o"])
def test_what_others_may_write_to_is_not_loaded(cache: Path, inside: str, mode: int) -> None:
    object_cache.keep("a.b", KEY, KERNEL)
    (cache / KEY / inside).chmod(mode)
    assert object_cache.stored("a.b", KEY) is None


def test_what_another_user_owns_is_not_loaded(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    object_cache.keep("a.b", KEY, KERNEL)
    us = os.geteuid()
    if us == 0:  # whose files are everybody's
        os.chown(cache / KEY / "a.b.o", 4711, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: us + 1)
    assert object_cache.stored("a.b", KEY) is None


def test_nothing_is_kept_in_a_folder_that_others_may_write_to(cache: Path) -> None:
    (cache / KEY).mkdir(parents=True)
    (cache / KEY).chmod(0o777)
    assert not object_cache.keep("a.b", KEY, KERNEL)
    assert "others may write" in object_cache.problem()


def test_only_its_owner_may_read_what_is_kept(cache: Path) -> None:
    object_cache.keep("a.b", KEY, KERNEL)
    assert (cache / KEY).stat().st_mode & 0o777 == 0o700
    assert (cache / KEY / "a.b.o").stat().st_mode & 0o777 == 0o600


def test_where_nothing_can_be_kept_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVNEST_KERNEL_CACHE", str(tmp_path / "file" / "kernels"))
    assert not object_cache.keep("a.b", KEY, KERNEL)
    assert object_cache.stored("a.b", KEY) is None
    assert object_cache.problem() == f"{tmp_path / 'file'} is no folder"


def test_a_read_only_folder_is_a_problem(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir()
    assert object_cache.problem() == ""
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)  # root may write anywhere
    assert object_cache.problem() == f"{cache} is read-only"


def test_a_user_without_a_home_has_a_cache_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CONVNEST_KERNEL_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    assert object_cache.folder().is_absolute()
    assert str(os.geteuid()) in object_cache.folder().name


def test_the_key_is_of_the_cpu_the_checks_the_settings_and_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = machine()
    assert found is not None
    home = tmp_path / "simd"
    shutil.copytree(Path(object_cache.__file__).parent, home)

    def key(*, checked: bool = False, cpu: str = found.cpu, features: str = found.features) -> str:
        object_cache.key.cache_clear()
        return object_cache.key(
            replace(found, cpu=cpu, features=features), checked=checked, home=home
        )

    first = key()
    assert first == object_cache.key(found, checked=False), "a copy in another place is the same"
    keys = {first, key(checked=True), key(cpu="another"), key(features="+another")}
    monkeypatch.setenv("NUMBA_OPT", "1")
    keys.add(key())
    monkeypatch.delenv("NUMBA_OPT")
    for changed in (
        "sources/product.py",
        "language/vectors.py",
        "compiler.py",
        "machine.py",
        "sources/new.py",
    ):
        with (home / changed).open("a") as file:
            file.write("#")
        keys.add(key())
    assert len(keys) == 10
    last = key()
    (home / "routing.py").write_text("# no kernel's code depends on it")
    assert key() == last


def test_old_keys_go_when_a_new_one_comes(cache: Path) -> None:
    now = time.time()
    for number in range(20):
        object_cache.keep("a.b", other_key(number), KERNEL)
        os.utime(cache / other_key(number), (now - 100 + number,) * 2)
    assert len(list(cache.iterdir())) <= 9
    object_cache.keep("a.b", KEY, KERNEL)
    kept = {path.name for path in cache.iterdir()}
    assert kept == {KEY, *(other_key(number) for number in range(13, 20))}


def test_a_key_that_was_not_used_for_a_month_goes(cache: Path) -> None:
    object_cache.keep("a.b", other_key(1), KERNEL)
    object_cache.keep("a.b", other_key(2), KERNEL)
    month_ago = time.time() - 31 * 86_400
    for number in (1, 2):
        os.utime(cache / other_key(number), (month_ago,) * 2)
    object_cache.stored("a.b", other_key(2))
    object_cache.keep("a.b", KEY, KERNEL)
    assert {path.name for path in cache.iterdir()} == {KEY, other_key(2)}


def test_tidying_leaves_alone_what_is_not_ours(cache: Path) -> None:
    for name in ("photos", "0123", "0123456789ABCDEF01234567"):
        (cache / name).mkdir(parents=True)
        os.utime(cache / name, (0, 0))
    (cache / other_key(3)).write_text("a file")
    object_cache.keep("a.b", KEY, KERNEL)
    assert len(list(cache.iterdir())) == 5


def test_a_reader_meets_a_whole_kernel_or_none(cache: Path) -> None:
    kernels = [Stored(bytes([i]) * 200_000, KERNEL.kinds) for i in range(4)]
    object_cache.keep("a.b", KEY, kernels[0])
    writers = [
        threading.Thread(
            target=lambda mine=kernel: [object_cache.keep("a.b", KEY, mine) for _ in range(20)]
        )
        for kernel in kernels
    ]
    for writer in writers:
        writer.start()
    read = 0
    while any(writer.is_alive() for writer in writers) or not read:
        assert object_cache.stored("a.b", KEY) in kernels
        read += 1
    for writer in writers:
        writer.join()
    assert [path.name for path in (cache / KEY).iterdir()] == ["a.b.o"], "nothing lies about"
