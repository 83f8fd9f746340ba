"""What tests send: small datasets, specs that train in a moment, pictures good and bad."""

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from convnest_api.v1 import jobs_pb2
from convnest_store.images import encode_png


def quick_spec(dataset: str, model: str, *, epochs: int = 1) -> jobs_pb2.TrainSpec:
    """Trains in a moment."""
    spec = jobs_pb2.TrainSpec(dataset=dataset, model=model, epochs=epochs)
    spec.network.update({"name": "mlp", "options": {"hidden": [8]}})
    return spec


def arrays(count: int = 8) -> dict[str, npt.NDArray[np.generic]]:
    """Images and labels of two classes that make a dataset."""
    images = np.random.default_rng(0).integers(0, 256, (count, 6, 5), dtype=np.uint8)
    return {"images": images, "labels": np.arange(count) % 2}


def npz(**members: object) -> bytes:
    """The file that NumPy makes of them."""
    file = io.BytesIO()
    np.savez(file, **members)  # type: ignore[arg-type]  # also what is no array
    return file.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    """A zip of them, with the names as they are."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


def picture(value: int = 0, *sides: int) -> bytes:
    """A PNG file of one grey."""
    return encode_png(np.full(sides or (6, 5), value, np.uint8))


def png_bomb(side: int) -> bytes:
    """A PNG file of a few hundred bytes that claims side × side pixels."""
    header = struct.pack(">2L5B", side, side, 1, 0, 0, 0, 0)
    data = zlib.compress(bytes(10_000), 9)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def zip_of_a_million() -> bytes:
    """A zip whose directory has a million entries, without a file."""
    count = 1_000_000
    entry = struct.pack("<4s24x3H12x", b"PK\1\2", 1, 0, 0) + b"a"
    directory = entry * count
    end64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, len(directory), 0)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, len(directory), 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 2**16 - 1, 2**16 - 1, 2**32 - 1, 2**32 - 1, 0)
    return directory + end64 + locator + end
