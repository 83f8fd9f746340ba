"""A dataset file that is not one: the job fails with a reason, and nothing of it is left."""

from __future__ import annotations

import pickle
import stat
import zipfile
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import grpc
import numpy as np
import pytest
from convnest_api.v1 import datasets_pb2, jobs_pb2
from convnest_store.blobs import BlobStore
from support.api import Api, refusal
from support.payloads import arrays, npz, picture, png_bomb, zip_of_a_million, zipped
from support.waiting import until

MARK = "/tmp/convnest-test-was-unpickled"
PAIR = {"cat/1.png": picture(1), "dog/1.png": picture(2)}


class Exploit:
    """Writes a file where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str, str]]:
        return open, (MARK, "w")


def npz_of_objects() -> bytes:
    images = np.empty(2, dtype=object)
    images[:] = [Exploit(), Exploit()]
    return npz(images=images, labels=np.arange(2))


def as_pickle() -> bytes:
    return zipped({"images.npy": pickle.dumps(Exploit()), "labels.npy": pickle.dumps(Exploit())})


def with_link() -> bytes:
    file = BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("cat/passwords.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
        archive.writestr("dog/1.png", picture(1))
    return file.getvalue()


def with_nan() -> bytes:
    images = np.full((4, 6, 5), 0.5, np.float32)
    images[2, 3, 1] = np.nan
    return npz(images=images, labels=np.arange(4) % 2)


def changed(**members: object) -> bytes:
    return npz(**{**arrays(), **members})


def truncated_jpeg() -> bytes:
    from PIL import Image

    file = BytesIO()
    Image.effect_noise((64, 64), 50).save(file, "JPEG")
    return file.getvalue()[:600]


CASES = {
    "objects": ("npz", npz_of_objects, "images", "they are never unpickled"),
    "pickles": ("npz", as_pickle, "images", "images is not an npy array"),
    "wrong shape": (
        "npz",
        lambda: changed(images=np.zeros((8, 6), np.uint8)),
        "images",
        "images must be (N, H, W), (N, H, W, 1) or (N, H, W, 3), got (8, 6)",
    ),
    "NaN": ("npz", with_nan, "images", "images of floats must be 0 to 1, got nan in image 2"),
    "one class": (
        "npz",
        lambda: changed(labels=np.zeros(8, np.int64)),
        "classes",
        "at least 2",
    ),
    "no images": (
        "npz",
        lambda: npz(images=np.empty((0, 6, 5), np.uint8), labels=np.empty(0, np.int64)),
        "images",
        "a dataset needs images, got zero",
    ),
    "text": ("npz", lambda: b"class,pixel\n" * 100, "archive", "not a zip file"),
    "leads out": (
        "zip",
        lambda: zipped({**PAIR, "../../evil.png": picture()}),
        "archive",
        "'../../evil.png' leads out of the archive",
    ),
    "link": ("zip", with_link, "archive", "'cat/passwords.png' is a link"),
    "a million entries": (
        "zip",
        zip_of_a_million,
        "archive",
        "the archive has 1,000,000 entries; at most 100,000 are allowed",
    ),
    "picture bomb": (
        "zip",
        lambda: zipped({**PAIR, "dog/2.png": png_bomb(50_000)}),
        "archive",
        "dog/2.png: 50000×50000 pixels; at most 40,000,000 are allowed",
    ),
    "truncated JPEG": (
        "zip",
        lambda: zipped({**PAIR, "dog/2.jpg": truncated_jpeg()}),
        "archive",
        "dog/2.jpg: truncated JPEG",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_file_that_is_no_dataset_fails_its_job_and_leaves_nothing(
    api: Api, blobs: BlobStore, case: str
) -> None:
    name = "rejected"  # for all cases the same: each finds it free
    format, make, field, message = CASES[case]
    before = {info.key for info in blobs.list()}
    job = api.ended(api.upload(name, make(), format=format).id)
    assert job.state == jobs_pb2.JOB_STATE_FAILED
    assert job.error.reason == "DATASET_REJECTED"
    assert job.error.field == field
    assert message in job.error.message
    assert job.failed_attempts == 0  # it would end the same: it was not tried again
    until(
        lambda: {info.key for info in blobs.list()} == before,
        within_s=5,
        what="the upload is removed",
    )
    asked = datasets_pb2.GetDatasetRequest(name=name)
    assert refusal(lambda: api.datasets.GetDataset(asked)).code is grpc.StatusCode.NOT_FOUND
    assert not Path(MARK).exists()
