"""While a Redis is away, callers are told so within two seconds; when it is back, all goes on."""

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import convnest
import grpc
import pytest
from convnest import JobState
from convnest_api.v1 import (
    datasets_pb2,
    datasets_pb2_grpc,
    jobs_pb2,
    models_pb2,
    models_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)
from support.redis_server import RedisServer
from support.shop import Row, Shop, StartWorker
from support.training_runs import QUICK
from support.waiting import until

TOLD_WITHIN_S = 2.0
#: A caller's own patience; an answer that comes only then is a hang.
_PATIENCE_S = 10.0

Call: TypeAlias = Callable[[], object]


@contextmanager
def killed(redis: RedisServer) -> Iterator[None]:
    redis.kill()
    try:
        yield
    finally:
        redis.start()


@contextmanager
def silent(redis: RedisServer) -> Iterator[None]:
    redis.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        redis.signal(signal.SIGCONT)


AWAY = pytest.mark.parametrize("away", [killed, silent])


@AWAY
def test_every_call_that_needs_the_state_redis_is_unavailable_within_two_seconds(
    shop: Shop, away: Callable[[RedisServer], Any]
) -> None:
    job = shop.client.train(**QUICK, model="accepted")
    with grpc.insecure_channel(shop.fleet.address) as channel, ThreadPoolExecutor(32) as pool:
        calls = _calls(channel, job.id)
        with away(shop.fleet.state):
            # Twice: as it goes away, and while it is.
            for _ in range(2):
                asked = {name: pool.submit(_outcome, call) for name, call in calls.items()}
                told = {name: outcome.result() for name, outcome in asked.items()}
                assert {name: code for name, (code, _) in told.items()} == dict.fromkeys(
                    calls, grpc.StatusCode.UNAVAILABLE
                )
                slow = {
                    name: seconds for name, (_, seconds) in told.items() if seconds >= TOLD_WITHIN_S
                }
                assert not slow
            asked_at = time.monotonic()
            assert not next(r for r in _status(channel).redis if r.role == "state").available
            assert time.monotonic() - asked_at < TOLD_WITHIN_S
        shop.fleet.wait_until_serving("")
    assert job.refresh().state is JobState.QUEUED
    job.cancel()


@AWAY
def test_more_callers_than_threads_are_told_within_two_seconds_of_a_state_redis_away(
    shop: Shop, away: Callable[[RedisServer], Any]
) -> None:
    with grpc.insecure_channel(shop.fleet.address) as channel, ThreadPoolExecutor(64) as pool:
        stub = datasets_pb2_grpc.DatasetServiceStub(channel)
        request = datasets_pb2.GetDatasetRequest(name="digits")

        def call() -> object:
            return stub.GetDataset(request, timeout=_PATIENCE_S)

        with away(shop.fleet.state):
            told = [asked.result() for asked in [pool.submit(_outcome, call) for _ in range(64)]]
        shop.fleet.wait_until_serving("")
    assert {code for code, _ in told} == {grpc.StatusCode.UNAVAILABLE}
    assert max(seconds for _, seconds in told) < TOLD_WITHIN_S


@AWAY
def test_classifications_are_unavailable_within_two_seconds_of_the_queue_redis_away(
    shop: Shop, start_worker: StartWorker, away: Callable[[RedisServer], Any]
) -> None:
    with ThreadPoolExecutor(32) as pool:

        def ask() -> list[Future[Row]]:
            return [pool.submit(_told_in_time, shop, number) for number in range(16)]

        with away(shop.fleet.queue):
            for _ in range(2):
                for asked in ask():
                    with pytest.raises(convnest.Unavailable):
                        asked.result()
        start_worker("worker")
        for number in range(4):
            row = until(
                lambda number=number: _row(shop, number),  # type: ignore[misc]  # bound now
                within_s=60,
                what="answers again",
            )
            assert shop.is_right("quick", number, row[0])


@AWAY
def test_a_job_is_accepted_at_once_while_the_queue_redis_is_away_and_runs_after_it(
    shop: Shop, start_worker: StartWorker, away: Callable[[RedisServer], Any]
) -> None:
    start_worker("worker")
    shop.wait_for_worker("worker")
    with away(shop.fleet.queue):
        asked_at = time.monotonic()
        job = shop.client.train(**QUICK, model="accepted")
        assert time.monotonic() - asked_at < TOLD_WITHIN_S
    assert job.wait(timeout_s=60).state is JobState.SUCCEEDED


def test_jobs_submitted_after_each_restart_of_the_queue_redis_run(
    shop: Shop, start_worker: StartWorker
) -> None:
    start_worker("worker")
    for _ in range(3):
        shop.fleet.queue.kill()
        shop.fleet.queue.start()
        job = shop.client.train(**{**QUICK, "epochs": 1}, model="restarts").wait(timeout_s=60)
        assert job.state is JobState.SUCCEEDED


def _told_in_time(shop: Shop, number: int) -> Row:
    asked_at = time.monotonic()
    try:
        return shop.classify("quick", shop.pictures[number], timeout_s=_PATIENCE_S)
    finally:
        assert time.monotonic() - asked_at < TOLD_WITHIN_S


def _row(shop: Shop, number: int) -> list[Row]:
    """The answer, or none while the server has not noticed yet that the Redis is back."""
    try:
        return [shop.classify("quick", shop.pictures[number])]
    except convnest.Unavailable:
        return []


def _status(channel: grpc.Channel) -> system_pb2.GetStatusResponse:
    stub = system_pb2_grpc.SystemServiceStub(channel)
    return stub.GetStatus(system_pb2.GetStatusRequest(), timeout=_PATIENCE_S)


def _outcome(call: Call) -> tuple[grpc.StatusCode, float]:
    asked_at = time.monotonic()
    try:
        call()
    except grpc.RpcError as error:
        return error.code(), time.monotonic() - asked_at
    return grpc.StatusCode.OK, time.monotonic() - asked_at


def _calls(channel: grpc.Channel, job_id: str) -> dict[str, Call]:
    """One of each rpc that reads or writes records."""
    datasets = datasets_pb2_grpc.DatasetServiceStub(channel)
    training = training_pb2_grpc.TrainingServiceStub(channel)
    models = models_pb2_grpc.ModelServiceStub(channel)
    system = system_pb2_grpc.SystemServiceStub(channel)
    spec = jobs_pb2.TrainSpec(dataset="digits", model="never")
    spec.network.update({"name": "lenet"})
    header = datasets_pb2.UploadHeader(name="never", format="npz")
    upload = [datasets_pb2.UploadDatasetRequest(header=header)]
    unary: dict[str, tuple[Any, Any]] = {
        "ImportDataset": (
            datasets.ImportDataset,
            datasets_pb2.ImportDatasetRequest(name="never", builtin="digits"),
        ),
        "GetDataset": (datasets.GetDataset, datasets_pb2.GetDatasetRequest(name="digits")),
        "ListDatasets": (datasets.ListDatasets, datasets_pb2.ListDatasetsRequest()),
        "SampleDataset": (
            datasets.SampleDataset,
            datasets_pb2.SampleDatasetRequest(name="digits", count=1),
        ),
        "DeleteDataset": (datasets.DeleteDataset, datasets_pb2.DeleteDatasetRequest(name="digits")),
        "CreateTrainingJob": (
            training.CreateTrainingJob,
            training_pb2.CreateTrainingJobRequest(spec=spec),
        ),
        "GetJob": (training.GetJob, training_pb2.GetJobRequest(id=job_id)),
        "ListJobs": (training.ListJobs, training_pb2.ListJobsRequest()),
        "CancelJob": (training.CancelJob, training_pb2.CancelJobRequest(id=job_id)),
        "DeleteJob": (training.DeleteJob, training_pb2.DeleteJobRequest(id=job_id)),
        "GetModel": (models.GetModel, models_pb2.GetModelRequest(name="quick")),
        "ListModels": (models.ListModels, models_pb2.ListModelsRequest()),
        "GetModelVersion": (
            models.GetModelVersion,
            models_pb2.GetModelVersionRequest(model="quick"),
        ),
        "ListModelVersions": (
            models.ListModelVersions,
            models_pb2.ListModelVersionsRequest(name="quick"),
        ),
        "SetModelAlias": (
            models.SetModelAlias,
            models_pb2.SetModelAliasRequest(name="quick", alias="a", version=1),
        ),
        "DeleteModelAlias": (
            models.DeleteModelAlias,
            models_pb2.DeleteModelAliasRequest(name="quick", alias="a"),
        ),
        "DeleteModel": (models.DeleteModel, models_pb2.DeleteModelRequest(name="quick")),
        "DeleteModelVersion": (
            models.DeleteModelVersion,
            models_pb2.DeleteModelVersionRequest(name="quick", version=1),
        ),
        "CollectGarbage": (system.CollectGarbage, system_pb2.CollectGarbageRequest()),
        "Rebuild": (system.Rebuild, system_pb2.RebuildRequest()),
    }

    def calling(method: Any, request: Any) -> Call:
        return lambda: method(request, timeout=_PATIENCE_S)

    watch = training_pb2.WatchJobRequest(id=job_id)
    return {
        **{name: calling(*call) for name, call in unary.items()},
        "UploadDataset": lambda: datasets.UploadDataset(iter(upload), timeout=_PATIENCE_S),
        "WatchJob": lambda: list(training.WatchJob(watch, timeout=_PATIENCE_S)),
    }


@AWAY
def test_the_sdks_retries_keep_nobody_waiting(
    shop: Shop, away: Callable[[RedisServer], Any]
) -> None:
    with away(shop.fleet.state):
        for _ in range(2):
            asked_at = time.monotonic()
            with pytest.raises(convnest.Unavailable, match="the state Redis does not answer"):
                shop.client.datasets.get("digits")
            assert time.monotonic() - asked_at < TOLD_WITHIN_S
    shop.fleet.wait_until_serving("")


def test_the_sdk_does_not_notice_a_redis_that_starts_again(shop: Shop) -> None:
    shop.fleet.state.kill()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(shop.client.datasets.get, "digits")
        shop.fleet.state.start()
        assert asked.result().name == "digits"
