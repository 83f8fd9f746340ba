"""One server and one worker for all tests of the API; a dataset, and a small trained model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import grpc
import pytest
from convnest_api.v1 import datasets_pb2, jobs_pb2, models_pb2, training_pb2
from convnest_store.blobs import BlobStore, blob_store
from support.api import MAX_MESSAGE_BYTES, MAX_UPLOAD_BYTES, Api
from support.payloads import arrays, npz, quick_spec
from support.processes import Fleet
from support.redis_server import RedisServer
from support.waiting import until


@pytest.fixture(scope="session")
def served() -> Iterator[Fleet]:
    """The real server and a real worker, shared: a test leaves nothing under a name of another."""
    with TemporaryDirectory(prefix="cn-") as folder:
        redis = [
            RedisServer(Path(folder, name), durable=name == "state") for name in ("state", "q")
        ]
        fleet = Fleet(Path(folder), redis[0], redis[1])
        try:
            for server in redis:
                server.socket.parent.mkdir()
                server.start()
            fleet.start_worker()
            fleet.start_server(
                CONVNEST_MAX_MESSAGE_BYTES=str(MAX_MESSAGE_BYTES),
                CONVNEST_MAX_UPLOAD_BYTES=str(MAX_UPLOAD_BYTES),
            )
            fleet.wait_until_serving("convnest.worker")
            yield fleet
        finally:
            fleet.stop()
            for server in redis:
                server.stop()


@pytest.fixture(scope="session")
def api(served: Fleet) -> Iterator[Api]:
    """The stubs, on one channel."""
    with grpc.insecure_channel(served.address) as channel:
        yield Api(channel)


@pytest.fixture(scope="session")
def blobs(served: Fleet) -> BlobStore:
    """What the server and the worker have stored."""
    return blob_store(str(served.folder / "blobs"), cache_dir=served.folder / "cache")


@pytest.fixture(scope="session")
def digits(api: Api) -> str:
    """A dataset of 28×28 grey images in ten classes."""
    request = datasets_pb2.ImportDatasetRequest(name="digits", builtin="digits")
    job = api.ended(api.datasets.ImportDataset(request).job.id)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job
    return "digits"


@pytest.fixture(scope="session")
def model(api: Api, digits: str) -> str:
    """A model of one version, with the alias `stable`."""
    spec = quick_spec(digits, "reader")
    job = api.training.CreateTrainingJob(training_pb2.CreateTrainingJobRequest(spec=spec)).job
    ended = api.ended(job.id)
    assert ended.state == jobs_pb2.JOB_STATE_SUCCEEDED, ended
    request = models_pb2.SetModelAliasRequest(name="reader", alias="stable", version=1)
    api.models.SetModelAlias(request)
    return "reader"


@pytest.fixture
def fresh_name() -> str:
    """A name that no other test uses."""
    return f"fresh-{next(_NUMBERS)}"


_NUMBERS = itertools.count()


@pytest.fixture
def tiny(api: Api, fresh_name: str) -> Iterator[str]:
    """A dataset of this test alone."""
    job = api.ended(api.upload(fresh_name, npz(**arrays())).id)
    assert job.state == jobs_pb2.JOB_STATE_SUCCEEDED, job
    yield fresh_name
    try:
        api.datasets.DeleteDataset(datasets_pb2.DeleteDatasetRequest(name=fresh_name))
    except grpc.RpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND  # noqa: PT017


@pytest.fixture
def busy(api: Api, digits: str, fresh_name: str) -> Iterator[str]:
    """A job that keeps the worker busy for the whole test; others stay QUEUED."""
    spec = quick_spec(digits, f"{fresh_name}-busy", epochs=10_000)
    request = training_pb2.CreateTrainingJobRequest(spec=spec, priority=100)
    job_id = api.training.CreateTrainingJob(request).job.id
    until(
        lambda: api.job(job_id).state == jobs_pb2.JOB_STATE_RUNNING,
        within_s=20,
        what="the worker is busy",
    )
    yield job_id
    api.training.CancelJob(training_pb2.CancelJobRequest(id=job_id))
    api.ended(job_id)
    api.training.DeleteJob(training_pb2.DeleteJobRequest(id=job_id))
