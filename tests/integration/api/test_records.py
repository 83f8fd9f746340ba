"""Jobs, datasets and models: what their calls refuse, and that a refusal changes nothing."""

from __future__ import annotations

from collections.abc import Callable

import grpc
import pytest
from convnest_api.v1 import datasets_pb2, jobs_pb2, models_pb2, system_pb2, training_pb2
from support.api import Api, Refusal, refusal
from support.payloads import quick_spec

INVALID = grpc.StatusCode.INVALID_ARGUMENT
NOT_FOUND = grpc.StatusCode.NOT_FOUND
FAILED_PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION

NO_JOB = "0123456789abcde"
Call = Callable[[Api], object]


def get_job(job_id: str) -> Call:
    return lambda api: api.training.GetJob(training_pb2.GetJobRequest(id=job_id))


def cancel_job(job_id: str) -> Call:
    return lambda api: api.training.CancelJob(training_pb2.CancelJobRequest(id=job_id))


def pause_job(job_id: str) -> Call:
    return lambda api: api.training.PauseJob(training_pb2.PauseJobRequest(id=job_id))


def resume_job(job_id: str) -> Call:
    return lambda api: api.training.ResumeJob(training_pb2.ResumeJobRequest(id=job_id))


def retry_job(job_id: str) -> Call:
    return lambda api: api.training.RetryJob(training_pb2.RetryJobRequest(id=job_id))


def move_job(job_id: str, priority: int = 1) -> Call:
    request = training_pb2.SetJobPriorityRequest(id=job_id, priority=priority)
    return lambda api: api.training.SetJobPriority(request)


def delete_job(job_id: str) -> Call:
    return lambda api: api.training.DeleteJob(training_pb2.DeleteJobRequest(id=job_id))


def watch_job(job_id: str) -> Call:
    return lambda api: list(api.training.WatchJob(training_pb2.WatchJobRequest(id=job_id)))


def get_dataset(name: str) -> Call:
    return lambda api: api.datasets.GetDataset(datasets_pb2.GetDatasetRequest(name=name))


def delete_dataset(name: str) -> Call:
    return lambda api: api.datasets.DeleteDataset(datasets_pb2.DeleteDatasetRequest(name=name))


def sample(name: str, **options: int) -> Call:
    return lambda api: api.datasets.SampleDataset(
        datasets_pb2.SampleDatasetRequest(name=name, **options)  # type: ignore[arg-type]
    )


def import_dataset(name: str, builtin: str, request_id: str = "") -> Call:
    return lambda api: api.datasets.ImportDataset(
        datasets_pb2.ImportDatasetRequest(name=name, builtin=builtin, request_id=request_id)
    )


def get_model(name: str) -> Call:
    return lambda api: api.models.GetModel(models_pb2.GetModelRequest(name=name))


def get_version(model: str) -> Call:
    return lambda api: api.models.GetModelVersion(models_pb2.GetModelVersionRequest(model=model))


def list_versions(name: str, **options: object) -> Call:
    return lambda api: api.models.ListModelVersions(
        models_pb2.ListModelVersionsRequest(name=name, **options)  # type: ignore[arg-type]
    )


def delete_model(name: str) -> Call:
    return lambda api: api.models.DeleteModel(models_pb2.DeleteModelRequest(name=name))


def delete_version(name: str, version: int) -> Call:
    return lambda api: api.models.DeleteModelVersion(
        models_pb2.DeleteModelVersionRequest(name=name, version=version)
    )


def set_alias(name: str, alias: str, version: int) -> Call:
    return lambda api: api.models.SetModelAlias(
        models_pb2.SetModelAliasRequest(name=name, alias=alias, version=version)
    )


def delete_alias(name: str, alias: str) -> Call:
    return lambda api: api.models.DeleteModelAlias(
        models_pb2.DeleteModelAliasRequest(name=name, alias=alias)
    )


def refused(api: Api, call: Call) -> Refusal:
    return refusal(lambda: call(api))


@pytest.mark.parametrize(
    "call",
    [get_job, cancel_job, pause_job, resume_job, retry_job, move_job, delete_job, watch_job],
)
@pytest.mark.parametrize("job_id", [NO_JOB, "", "12", f"{NO_JOB}:kept", "a/b", "\0", "x" * 100_000])
def test_a_job_that_does_not_exist(api: Api, call: Callable[[str], Call], job_id: str) -> None:
    found = refused(api, call(job_id))
    assert (found.code, found.reason) == (NOT_FOUND, "NOT_FOUND")
    assert "does not exist" in found.message
    assert len(found.message) < 500


@pytest.mark.parametrize("name", ["", "a/b", "..", "reader:versions", "A", "x" * 100_000, "é"])
@pytest.mark.parametrize(
    "call",
    [
        get_dataset,
        delete_dataset,
        lambda name: sample(name, count=1),
        lambda name: import_dataset(name, "digits"),
        get_model,
        list_versions,
        delete_model,
        lambda name: delete_version(name, 1),
        lambda name: set_alias(name, "stable", 1),
        lambda name: delete_alias(name, "stable"),
    ],
)
def test_a_name_that_cannot_be_is_refused(
    api: Api, model: str, call: Callable[[str], Call], name: str
) -> None:
    found = refused(api, call(name))
    assert found.code is INVALID
    assert found.fields.keys() == {"name"}
    assert "a name is 1 to 64 of a-z, 0-9" in found.fields["name"]
    assert api.models.GetModel(models_pb2.GetModelRequest(name=model)).model.versions == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (get_dataset("digit"), "dataset digit does not exist; did you mean digits?"),
        (delete_dataset("nothing-like-it"), "dataset nothing-like-it does not exist"),
        (sample("digit", count=1), "dataset digit does not exist; did you mean digits?"),
        (get_model("readr"), "model readr does not exist; did you mean reader?"),
        (get_version("reader:2"), "model reader has no version 2; the latest is 1"),
        (get_version("reader@stble"), "model reader has no alias stble; did you mean stable?"),
        (list_versions("nothing"), "model nothing does not exist"),
        (delete_model("nothing"), "model nothing does not exist"),
        (delete_version("reader", 0), "model reader has no version 0"),
        (delete_version("reader", 2**32 - 1), "model reader has no version 4294967295"),
        (set_alias("reader", "next", 9), "model reader has no version 9"),
        (set_alias("nothing", "next", 1), "model nothing does not exist"),
        (delete_alias("reader", "next"), "model reader has no alias next"),
    ],
)
def test_what_does_not_exist_is_told_by_name(
    api: Api, digits: str, model: str, call: Call, message: str
) -> None:
    found = refused(api, call)
    assert (found.code, found.reason, found.message) == (NOT_FOUND, "NOT_FOUND", message)


@pytest.mark.parametrize(
    ("call", "fields"),
    [
        (sample("digits", count=0), {"count": "must be ≥ 1 and ≤ 100, got 0"}),
        (sample("digits", count=101, split=7), {"count", "split"}),
        (
            import_dataset("new", "digitz"),
            {"builtin": "must be one of digits, got 'digitz'; did you mean digits?"},
        ),
        (import_dataset("new", ""), {"builtin"}),
        (import_dataset("a/b", "no", "x" * 65), {"name", "builtin", "request_id"}),
        (set_alias("reader", "7", 0), {"alias", "version"}),
        (set_alias("reader", "a/b", 1), {"alias"}),
        (set_alias("reader", "1" * 100_000, 1), {"alias"}),
        (
            get_version("reader@latest"),
            {"model": "the latest version is what the bare name stands for; 'latest' is no alias"},
        ),
        (get_version("reader@1"), {"model": "an alias must not be a number, got '1'"}),
    ],
)
def test_a_field_out_of_range_is_named(
    api: Api, digits: str, model: str, call: Call, fields: dict[str, str] | set[str]
) -> None:
    found = refused(api, call)
    assert (found.code, found.reason) == (INVALID, "INVALID_INPUT")
    if isinstance(fields, set):
        assert found.fields.keys() == fields
    else:
        assert found.fields == fields


LISTS: dict[str, Callable[..., Call]] = {
    "jobs": lambda **options: (
        lambda api: api.training.ListJobs(training_pb2.ListJobsRequest(**options))
    ),
    "datasets": lambda **options: (
        lambda api: api.datasets.ListDatasets(datasets_pb2.ListDatasetsRequest(**options))
    ),
    "models": lambda **options: (
        lambda api: api.models.ListModels(models_pb2.ListModelsRequest(**options))
    ),
    "versions": lambda **options: list_versions("reader", **options),
}


@pytest.mark.parametrize("listing", LISTS)
@pytest.mark.parametrize(
    "token", ["x", "****", "é", "MjpvbGQ=", "MTr/", "A" * 100_000, "MTox", "MTo\n"]
)
def test_a_page_token_of_anyone_else_is_refused_or_harmless(
    api: Api, model: str, listing: str, token: str
) -> None:
    call = LISTS[listing](page_token=token)
    if token == "MTox":  # what a token for the cursor "1" looks like
        call(api)
        return
    found = refused(api, call)
    assert found.code is INVALID
    assert found.fields == {"page_token": "it must be a next_page_token, unchanged"}


@pytest.mark.parametrize("listing", LISTS)
def test_a_page_is_no_larger_than_allowed(api: Api, model: str, listing: str) -> None:
    for size in (501, 2**32 - 1):
        found = refused(api, LISTS[listing](page_size=size))
        assert found.fields == {"page_size": f"at most 500, got {size}"}
    LISTS[listing](page_size=500)(api)


def test_a_token_of_another_listing_is_no_version(api: Api, model: str) -> None:
    found = refused(api, list_versions(model, page_token="MTpkaWdpdHM="))  # "digits"
    assert found.fields.keys() == {"page_token"}


def test_pages_hold_everything_once(api: Api, model: str, digits: str) -> None:
    token, seen = "", []
    while True:
        request = training_pb2.ListJobsRequest(page_size=1, page_token=token)
        page = api.training.ListJobs(request)
        seen += [job.id for job in page.jobs]
        token = page.next_page_token
        if not token:
            break
    everything = api.training.ListJobs(training_pb2.ListJobsRequest(page_size=500)).jobs
    assert seen == [job.id for job in everything]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) >= 2


def test_unknown_states_in_a_filter_are_all_named(api: Api) -> None:
    states = [jobs_pb2.JOB_STATE_QUEUED, 9, 77]
    found = refused(api, LISTS["jobs"](states=states))
    assert found.fields == {
        "states[1]": "must be a state, got 9",
        "states[2]": "must be a state, got 77",
    }


def test_the_unspecified_state_means_any(api: Api, digits: str, busy: str) -> None:
    def ids(*states: jobs_pb2.JobState.ValueType) -> list[str]:
        request = training_pb2.ListJobsRequest(states=states, page_size=500)
        return [job.id for job in api.training.ListJobs(request).jobs]

    assert ids(jobs_pb2.JOB_STATE_UNSPECIFIED) == ids()
    assert busy in ids()
    assert set(ids(jobs_pb2.JOB_STATE_SUCCEEDED)) < set(ids())


@pytest.mark.parametrize("age_s", [-1.0, float("nan"), float("inf"), 1e300])
def test_an_age_out_of_range_is_refused(api: Api, age_s: float) -> None:
    spec = jobs_pb2.CollectGarbageSpec(min_age_s=age_s)
    request = system_pb2.CollectGarbageRequest(spec=spec)
    found = refusal(lambda: api.system.CollectGarbage(request))
    assert found.fields.keys() == {"spec.min_age_s"}


def test_what_is_in_use_or_running_stays(api: Api, model: str, tiny: str, busy: str) -> None:
    found = refused(api, delete_dataset("digits"))
    assert found.code is FAILED_PRECONDITION
    assert found.message.startswith(f"dataset digits is used by job {busy}")
    found = refused(api, delete_job(busy))
    assert (found.code, found.reason) == (FAILED_PRECONDITION, "FAILED_PRECONDITION")
    assert found.message == f"job {busy} is RUNNING; cancel it first"
    request = training_pb2.CreateTrainingJobRequest(spec=quick_spec(tiny, "waits"))
    waiting = api.training.CreateTrainingJob(request).job
    assert refused(api, delete_job(waiting.id)).message.endswith("is QUEUED; cancel it first")
    assert refused(api, delete_dataset(tiny)).code is FAILED_PRECONDITION
    cancelled = api.training.CancelJob(training_pb2.CancelJobRequest(id=waiting.id)).job
    assert cancelled.state == jobs_pb2.JOB_STATE_CANCELLED
    found = refused(api, cancel_job(waiting.id))
    assert (found.code, found.message) == (
        FAILED_PRECONDITION,
        f"job {waiting.id} is CANCELLED already",
    )
    for call in (pause_job, resume_job, move_job):
        found = refused(api, call(waiting.id))
        assert (found.code, found.reason) == (FAILED_PRECONDITION, "FAILED_PRECONDITION")
        assert found.message.startswith(f"job {waiting.id} is CANCELLED")
    found = refused(api, retry_job(busy))
    assert found.message == f"job {busy} is RUNNING and cannot be retried"
    found = refused(api, move_job(busy, 101))
    assert found.fields == {"priority": "must be ≥ -100 and ≤ 100, got 101"}
    delete_job(waiting.id)(api)
    assert refused(api, get_job(waiting.id)).code is NOT_FOUND
    delete_dataset(tiny)(api)


def test_a_dataset_in_the_making_is_not_made_twice(api: Api, busy: str, fresh_name: str) -> None:
    answer = import_dataset(fresh_name, "digits", fresh_name)(api)
    assert isinstance(answer, datasets_pb2.ImportDatasetResponse)
    again = import_dataset(fresh_name, "digits", fresh_name)(api)
    assert again == answer
    found = refused(api, import_dataset(fresh_name, "digits"))
    assert (found.code, found.message) == (
        grpc.StatusCode.ALREADY_EXISTS,
        f"dataset {fresh_name} is being made by another job",
    )
    found = refused(api, import_dataset(f"{fresh_name}-b", "digits", fresh_name))
    assert found.message == f"request_id {fresh_name} was used for another request"
    found = refused(api, import_dataset("digits", "digits"))
    assert found.message == "dataset digits exists already"
    cancel_job(answer.job.id)(api)


def test_a_version_that_an_alias_points_to_stays(api: Api, model: str) -> None:
    found = refused(api, delete_version(model, 1))
    assert found.code is FAILED_PRECONDITION
    assert found.message == "alias stable of model reader points to version 1"
    assert api.models.GetModel(models_pb2.GetModelRequest(name=model)).model.latest_version == 1


def test_a_method_that_is_not_there_is_told_so(api: Api) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        api.raw("ModelService", "Explode")(b"")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
