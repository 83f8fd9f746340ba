"""What the SDK sends and makes of the answers, over real gRPC."""

from __future__ import annotations

import io
import threading
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import convnest
import grpc
import numpy as np
import pytest
from convnest_api.v1 import classification_pb2, datasets_pb2, jobs_pb2, training_pb2
from google.rpc import error_details_pb2
from PIL import Image

if TYPE_CHECKING:
    from support.fake_api.world import Failure, FakeConvNest


def train(client: convnest.Client, model: str = "digits-lenet") -> convnest.Job:
    return client.train(dataset="digits", network="lenet", model=model, epochs=3)


def test_a_job_is_trained_and_its_result_read(world: FakeConvNest, client: convnest.Client) -> None:
    job = client.train(
        dataset="digits",
        network={"name": "lenet", "options": {"hidden": 84}},
        model="digits-lenet",
        epochs=3,
        learning_rate=0.1,
        seed=7,
        priority=5,
    )
    assert job.state is convnest.JobState.QUEUED
    assert job.kind is convnest.JobKind.TRAIN
    assert job.priority == 5
    assert job.create_time == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert isinstance(job.spec, convnest.TrainSpec)
    assert job.spec.network == {"name": "lenet", "options": {"hidden": 84}}

    job = job.wait(timeout_s=10)
    assert job.state is convnest.JobState.SUCCEEDED
    assert isinstance(job.result, convnest.TrainResult)
    assert (job.result.model, job.result.version) == ("digits-lenet", 1)
    assert job.result.test_accuracy == 0.987

    request = world.requests[0]
    assert isinstance(request, training_pb2.CreateTrainingJobRequest)
    assert request.spec.optimizer.learning_rate == 0.1
    assert request.spec.seed == 7


def test_every_create_has_a_request_id_of_its_own(
    world: FakeConvNest, client: convnest.Client
) -> None:
    train(client)
    train(client)
    client.datasets.add("a", builtin="digits")
    ids = [getattr(request, "request_id") for request in world.requests]  # noqa: B009 (two types)
    assert all(0 < len(one) <= 64 for one in ids)
    assert len(set(ids)) == 3


def test_a_create_is_sent_again_with_the_same_request_id(
    world: FakeConvNest, client: convnest.Client, failure: Callable[..., Failure]
) -> None:
    world.failures["CreateTrainingJob"] = [failure(grpc.StatusCode.UNAVAILABLE)]
    train(client)
    first, second = world.requests
    assert first == second


def test_a_cancel_is_not_sent_again(
    world: FakeConvNest, client: convnest.Client, failure: Callable[..., Failure]
) -> None:
    world.failures["CancelJob"] = [failure(grpc.StatusCode.UNAVAILABLE)]
    with pytest.raises(convnest.Unavailable):
        client.jobs.cancel("job-1")
    assert len(world.requests) == 1


def test_reads_are_retried_a_bounded_number_of_times(
    world: FakeConvNest, client: convnest.Client, failure: Callable[..., Failure]
) -> None:
    world.failures["GetStatus"] = [failure(grpc.StatusCode.UNAVAILABLE)] * 99
    with pytest.raises(convnest.Unavailable):
        client.status()
    assert 2 <= len(world.requests) <= 5


def test_validation_queues_nothing(world: FakeConvNest, client: convnest.Client) -> None:
    spec = convnest.TrainSpec(dataset="digits", network="lenet", model="m")
    full, layers = client.jobs.validate(spec)
    assert full.epochs == 3
    assert layers == (convnest.LayerSummary("features.0", "conv", (28, 28, 6), 156),)
    assert not world.jobs


def test_lists_go_through_every_page(world: FakeConvNest, client: convnest.Client) -> None:
    for number in range(5):
        train(client, f"m{number}")
        world.add_dataset(f"d{number}")
        world.add_model(f"m{number}", versions=5)
    assert [job.id for job in client.jobs.list()] == [f"job-{n}" for n in (5, 4, 3, 2, 1)]
    assert [one.name for one in client.datasets.list()] == [f"d{n}" for n in range(5)]
    assert [one.name for one in client.models.list()] == [f"m{n}" for n in range(5)]
    assert [one.version for one in client.models.versions("m0")] == [5, 4, 3, 2, 1]


def test_jobs_are_listed_by_state(world: FakeConvNest, client: convnest.Client) -> None:
    train(client)
    world.holds_jobs = True
    waiting = train(client)
    found = client.jobs.list(states=[convnest.JobState.QUEUED])
    assert [job.id for job in found] == [waiting.id]
    assert [job.id for job in client.jobs.list(states=["SUCCEEDED"])] == ["job-1"]


def test_a_job_is_cancelled_and_removed(world: FakeConvNest, client: convnest.Client) -> None:
    world.holds_jobs = True
    job = train(client).cancel()
    assert job.state is convnest.JobState.CANCELLED
    assert job.state.is_final
    client.jobs.remove(job.id)
    with pytest.raises(convnest.NotFound) as caught:
        job.refresh()
    assert caught.value.reason == "NOT_FOUND"


def test_a_failed_job_says_why(world: FakeConvNest, client: convnest.Client) -> None:
    world.holds_jobs = True
    job = train(client)
    error = jobs_pb2.JobError(reason="OUT_OF_MEMORY", message="killed by the system", attempt=3)
    world.enter(job.id, jobs_pb2.JOB_STATE_FAILED, error=error)
    job = job.wait()
    assert job.error is not None
    assert (job.error.reason, job.error.attempt) == ("OUT_OF_MEMORY", 3)
    assert job.error.time is None


def test_a_state_of_a_newer_server_is_unspecified(
    world: FakeConvNest, client: convnest.Client
) -> None:
    world.holds_jobs = True
    job = train(client)
    world.jobs[job.id].state = 99  # type: ignore[assignment]  # the point of the test
    assert job.refresh().state is convnest.JobState.UNSPECIFIED


def test_a_builtin_dataset_is_added(world: FakeConvNest, client: convnest.Client) -> None:
    job = client.datasets.add("digits", builtin="digits").wait()
    assert job.result == convnest.IngestResult("digits", "")
    dataset = client.datasets.get("digits")
    assert dataset.shape == convnest.ImageShape(28, 28, 1)
    assert dataset.classes[3] == convnest.ClassCount("3", 150, 30)
    client.datasets.remove("digits")
    assert list(client.datasets.list()) == []


def test_a_file_is_uploaded_in_chunks(
    world: FakeConvNest, client: convnest.Client, tmp_path: Path
) -> None:
    content = bytes(range(256)) * 3000
    path = tmp_path / "flowers.zip"
    path.write_bytes(content)
    seen: list[tuple[int, int]] = []
    shape = convnest.ImageShape(32, 32, 3)
    client.datasets.add(
        "flowers", path, shape=shape, on_progress=lambda done, total: seen.append((done, total))
    )
    header = world.requests[0]
    assert isinstance(header, datasets_pb2.UploadHeader)
    assert (header.name, header.format, header.size_bytes) == ("flowers", "zip", len(content))
    assert (header.shape.height, header.shape.channels) == (32, 3)
    assert world.uploaded == content
    assert seen[-1] == (len(content), len(content))
    assert len(seen) == 3


def test_a_folder_is_uploaded_as_a_zip(
    world: FakeConvNest, client: convnest.Client, tmp_path: Path
) -> None:
    (tmp_path / "rose").mkdir()
    (tmp_path / "rose" / "1.png").write_bytes(b"rose")
    client.datasets.add("flowers", tmp_path)
    with zipfile.ZipFile(io.BytesIO(world.uploaded)) as archive:
        assert archive.namelist() == ["rose/1.png"]


def test_an_upload_that_is_refused_raises_what_the_server_said(
    world: FakeConvNest,
    client: convnest.Client,
    failure: Callable[..., Failure],
    tmp_path: Path,
) -> None:
    path = tmp_path / "big.zip"
    path.write_bytes(bytes(5_000_000))
    world.failures["UploadDataset"] = [failure(grpc.StatusCode.ALREADY_EXISTS, "taken")]
    with pytest.raises(convnest.AlreadyExists, match="taken"):
        client.datasets.add("flowers", path)


def test_what_stops_an_upload_here_is_raised_here(client: convnest.Client, tmp_path: Path) -> None:
    path = tmp_path / "flowers.zip"
    path.write_bytes(bytes(600_000))

    def fail(done: int, total: int) -> None:
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        client.datasets.add("flowers", path, on_progress=fail)


def test_a_dataset_comes_from_one_place(client: convnest.Client) -> None:
    with pytest.raises(convnest.InvalidArgument, match="either a path or"):
        client.datasets.add("digits")


def test_samples_are_images_with_labels(client: convnest.Client) -> None:
    samples = client.datasets.sample("digits", split="test", count=3)
    assert [(one.label, one.index) for one in samples] == [("0", 100), ("1", 101), ("2", 102)]
    assert samples[0].png.startswith(b"\x89PNG")
    with pytest.raises(convnest.InvalidArgument, match="train or test"):
        client.datasets.sample("digits", split="tset")


def test_models_have_versions_and_aliases(world: FakeConvNest, client: convnest.Client) -> None:
    world.add_model("digits-lenet", versions=2)
    assert client.models.set_alias("digits-lenet", "stable", 1).aliases == {"stable": 1}
    version = client.models.version("digits-lenet:1")
    assert version.network == {"name": "lenet", "options": {"hidden": 84}}
    assert version.history[-1].epoch == 3
    assert client.models.delete_alias("digits-lenet", "stable").aliases == {}
    client.models.remove("digits-lenet:1")
    client.models.remove("digits-lenet")
    assert list(client.models.list()) == []
    with pytest.raises(convnest.InvalidArgument, match="must be a number"):
        client.models.remove("digits-lenet:two")


def test_a_path_a_pillow_image_and_an_array_are_classified_in_one_call(
    world: FakeConvNest, client: convnest.Client, tmp_path: Path
) -> None:
    path = tmp_path / "seven.png"
    image = Image.new("L", (28, 28))
    image.save(path)
    images: list[convnest.ImageLike] = [
        path,
        image,
        np.zeros((28, 28), np.uint8),
        np.zeros((4, 28, 28, 1), np.float32),
    ]
    results = client.classify("digits-lenet", images, top_k=2)
    assert len(results) == 7
    assert (results[0].label, results[0].probability) == ("7", 0.875)
    assert results[0].scores[1] == convnest.ClassScore("1", 1, 0.125)
    assert (results[0].model, results[0].version) == ("digits-lenet", 1)
    (request,) = world.requests
    assert isinstance(request, classification_pb2.ClassifyRequest)
    assert request.images[0].encoded == request.images[1].encoded


def test_one_image_needs_no_list(client: convnest.Client, tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"png")
    for image in (path, str(path), b"png", Image.new("L", (2, 2)), np.zeros((2, 2), np.uint8)):
        assert len(client.classify("m", image)) == 1


def test_an_error_names_the_image_at_fault(client: convnest.Client) -> None:
    with pytest.raises(convnest.InvalidArgument, match=r"images\[1\]: dtype"):
        client.classify("m", [b"png", np.zeros((2, 2))])


def test_details_of_an_error_cross_the_wire(
    world: FakeConvNest, client: convnest.Client, failure: Callable[..., Failure]
) -> None:
    bad = error_details_pb2.BadRequest()
    bad.field_violations.add(field="spec.epochs", description="must be ≥ 1, got 0")
    info = error_details_pb2.ErrorInfo(reason="BAD_SPEC", domain="convnest")
    world.failures["CreateTrainingJob"] = [
        failure(grpc.StatusCode.INVALID_ARGUMENT, "the spec is not valid", [info, bad])
    ]
    with pytest.raises(convnest.InvalidArgument) as caught:
        train(client)
    assert caught.value.reason == "BAD_SPEC"
    assert caught.value.violations == (
        convnest.FieldViolation("spec.epochs", "must be ≥ 1, got 0"),
    )


def test_the_state_of_the_whole_is_told(client: convnest.Client) -> None:
    status = client.status()
    assert [one.available for one in status.redis] == [True, False]
    assert status.workers[0].models[0].state == "READY"
    assert status.jobs["SUCCEEDED"] == 12
    assert status.queues[0].waiting == 5


def test_housekeeping_is_a_job(world: FakeConvNest, client: convnest.Client) -> None:
    job = client.collect_garbage(dry_run=True, min_age_s=5).wait()
    assert job.spec == convnest.CollectGarbageSpec(dry_run=True, min_age_s=5)
    assert job.result == convnest.CollectGarbageResult(blobs=2, bytes=4096, kept=7)
    job = client.rebuild().wait()
    assert job.result == convnest.RebuildResult(3, 0, ())


def test_a_call_of_no_answer_ends_at_its_deadline(
    world: FakeConvNest, client: convnest.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered = threading.Event()
    monkeypatch.setattr(world, "saw", lambda *_: answered.wait(10))
    with pytest.raises(convnest.DeadlineExceeded, match="no answer from"):
        client.classify("m", [b"png"], timeout_s=0.3)
    answered.set()


def test_a_closed_client_says_so(world: FakeConvNest) -> None:
    client = convnest.connect(world.address)
    client.close()
    with pytest.raises(convnest.Cancelled, match="closed"):
        client.status()


def test_the_address_comes_from_the_environment(
    world: FakeConvNest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVNEST_ADDRESS", world.address)
    with convnest.connect() as client:
        assert client.status().version == "0.1.0"


def test_many_threads_may_share_a_client(world: FakeConvNest, client: convnest.Client) -> None:
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(lambda n: train(client, f"m{n}").wait(10), range(16)))
    assert len({job.id for job in jobs}) == 16
