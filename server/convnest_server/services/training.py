"""TrainingService."""

import json
from collections.abc import AsyncIterator, Sequence

import structlog
from convnest_api.v1 import jobs_pb2, training_pb2, training_pb2_grpc
from convnest_core import Kind, Option, layer_kinds, networks
from convnest_process.broker import JobHints
from convnest_store.blobs import BlobStore
from convnest_store.catalog import DatasetCatalog
from convnest_store.errors import FailedPrecondition, StoreError
from convnest_store.jobs import Job, JobStore, NewJob
from convnest_store.scaffolding import remove_scaffolding
from convnest_store.states import JobKind, JobState

from convnest_server import convert
from convnest_server.blocking import Blocking
from convnest_server.errors import InvalidRequest, Violation
from convnest_server.interceptor import Context
from convnest_server.paging import decode_token, encode_token, page_size
from convnest_server.request_ids import request_id_violations
from convnest_server.training_spec import CheckedSpec, check_train_spec
from convnest_server.watch import Watcher

log = structlog.get_logger(__name__)

_STATES = {number: state for state, number in convert.STATES.items()}


class TrainingServicer(training_pb2_grpc.TrainingServiceServicer):
    """See training.proto."""

    def __init__(
        self,
        *,
        jobs: JobStore,
        datasets: DatasetCatalog,
        blobs: BlobStore,
        hints: JobHints,
        watcher: Watcher,
        blocking: Blocking,
    ) -> None:
        self._jobs, self._datasets, self._blobs, self._hints = jobs, datasets, blobs, hints
        self._watcher, self._blocking = watcher, blocking

    async def CreateTrainingJob(  # noqa: N802
        self, request: training_pb2.CreateTrainingJobRequest, _context: Context
    ) -> training_pb2.CreateTrainingJobResponse:
        checked, job = await self._blocking.run(self._create, request)
        return training_pb2.CreateTrainingJobResponse(
            job=convert.job(job)
            if job
            else jobs_pb2.Job(
                kind=jobs_pb2.JOB_KIND_TRAIN,
                train=convert.train_spec(checked.spec),
                priority=request.priority,
            ),
            layers=[
                training_pb2.LayerSummary(
                    path=row.path,
                    kind=row.kind,
                    output_shape=row.shape,
                    parameters=row.parameters,
                )
                for row in checked.summary.rows
            ],
        )

    def _create(
        self, request: training_pb2.CreateTrainingJobRequest
    ) -> tuple[CheckedSpec, Job | None]:
        violations = _violations(request.request_id, request.priority)
        try:
            checked = check_train_spec(request.spec, self._datasets.get)
        except InvalidRequest as error:
            raise InvalidRequest([*violations, *error.violations]) from error
        if violations:
            raise InvalidRequest(violations)
        if request.validate_only:
            return checked, None
        new = NewJob(
            JobKind.TRAIN,
            checked.spec,
            priority=request.priority,
            uses_dataset=checked.spec["dataset"],
        )
        job, created = self._jobs.create(new, request_id=request.request_id)
        if created:
            self._hints.send()
        return checked, job

    async def GetJob(  # noqa: N802
        self, request: training_pb2.GetJobRequest, _context: Context
    ) -> training_pb2.GetJobResponse:
        job = await self._blocking.run(self._jobs.get, request.id)
        return training_pb2.GetJobResponse(job=convert.job(job))

    async def ListJobs(  # noqa: N802
        self, request: training_pb2.ListJobsRequest, _context: Context
    ) -> training_pb2.ListJobsResponse:
        size = page_size(request.page_size)
        found = await self._blocking.run(
            self._jobs.list,
            states=_states(request.states),
            before=decode_token(request.page_token),
            limit=size + 1,
        )
        page = found[:size]
        return training_pb2.ListJobsResponse(
            jobs=[convert.job(job) for job in page],
            next_page_token=encode_token(page[-1].id) if len(found) > size else "",
        )

    async def WatchJob(  # noqa: N802
        self, request: training_pb2.WatchJobRequest, _context: Context
    ) -> AsyncIterator[training_pb2.WatchJobResponse]:
        async for event in self._watcher.watch(request.id, after=request.cursor):
            yield training_pb2.WatchJobResponse(event=convert.event(event))

    async def CancelJob(  # noqa: N802
        self, request: training_pb2.CancelJobRequest, _context: Context
    ) -> training_pb2.CancelJobResponse:
        job = await self._blocking.run(self._cancel, request.id)
        return training_pb2.CancelJobResponse(job=convert.job(job))

    def _cancel(self, job_id: str) -> Job:
        job = self._jobs.cancel(job_id)
        if job.state.final:  # no worker will clean up after it
            try:
                remove_scaffolding(job, self._blobs)
            except StoreError as error:
                log.warning("leftovers stay for gc", job_id=job_id, error=str(error))
        return job

    async def PauseJob(  # noqa: N802
        self, request: training_pb2.PauseJobRequest, _context: Context
    ) -> training_pb2.PauseJobResponse:
        job = await self._blocking.run(self._jobs.pause, request.id)
        return training_pb2.PauseJobResponse(job=convert.job(job))

    async def ResumeJob(  # noqa: N802
        self, request: training_pb2.ResumeJobRequest, _context: Context
    ) -> training_pb2.ResumeJobResponse:
        job = await self._blocking.run(self._resume, request.id)
        return training_pb2.ResumeJobResponse(job=convert.job(job))

    def _resume(self, job_id: str) -> Job:
        job = self._jobs.resume(job_id)
        if job.state is JobState.QUEUED:
            self._hints.send()
        return job

    async def RetryJob(  # noqa: N802
        self, request: training_pb2.RetryJobRequest, _context: Context
    ) -> training_pb2.RetryJobResponse:
        job = await self._blocking.run(self._retry, request)
        return training_pb2.RetryJobResponse(job=convert.job(job))

    def _retry(self, request: training_pb2.RetryJobRequest) -> Job:
        if violations := [*request_id_violations(request.request_id)]:
            raise InvalidRequest(violations)
        ended = self._jobs.get(request.id)
        if ended.kind is not JobKind.TRAIN:
            raise FailedPrecondition(f"job {ended.id} is no training and cannot be retried")
        if ended.state not in (JobState.FAILED, JobState.CANCELLED):
            raise FailedPrecondition(f"job {ended.id} is {ended.state} and cannot be retried")
        # Checked anew: the dataset may be gone, or another one by now.
        checked = check_train_spec(convert.train_spec(ended.spec), self._datasets.get)
        new = NewJob(
            JobKind.TRAIN,
            checked.spec,
            priority=ended.priority,
            uses_dataset=checked.spec["dataset"],
        )
        job, created = self._jobs.create(new, request_id=request.request_id)
        if created:
            self._hints.send()
        return job

    async def SetJobPriority(  # noqa: N802
        self, request: training_pb2.SetJobPriorityRequest, _context: Context
    ) -> training_pb2.SetJobPriorityResponse:
        if violations := _violations("", request.priority):
            raise InvalidRequest(violations)
        job = await self._blocking.run(self._jobs.set_priority, request.id, request.priority)
        return training_pb2.SetJobPriorityResponse(job=convert.job(job))

    async def DeleteJob(  # noqa: N802
        self, request: training_pb2.DeleteJobRequest, _context: Context
    ) -> training_pb2.DeleteJobResponse:
        await self._blocking.run(self._jobs.delete, request.id)
        return training_pb2.DeleteJobResponse()

    async def ListNetworks(  # noqa: N802
        self, _request: training_pb2.ListNetworksRequest, _context: Context
    ) -> training_pb2.ListNetworksResponse:
        return training_pb2.ListNetworksResponse(
            networks=[_kind(name, kind) for name, kind in networks().items()],
            layers=[_kind(name, kind) for name, kind in layer_kinds().items()],
        )


def _kind(name: str, kind: Kind) -> training_pb2.NetworkKind:
    return training_pb2.NetworkKind(
        name=name,
        doc=kind.doc,
        options=[
            training_pb2.NetworkOption(
                name=option.name, doc=option.doc, default_json=_default(option)
            )
            for option in kind.options
        ],
    )


def _default(option: Option) -> str:
    """As JSON, or as the option whose value it takes."""
    if option.required:
        return ""
    return option.like or json.dumps(option.default)


def _violations(request_id: str, priority: int) -> list[Violation]:
    violations = [*request_id_violations(request_id)]
    if not -100 <= priority <= 100:
        violations.append(Violation("priority", f"must be ≥ -100 and ≤ 100, got {priority}"))
    return violations


def _states(numbers: Sequence[jobs_pb2.JobState.ValueType]) -> list[JobState]:
    """None of them for any state."""
    unknown = [
        Violation(f"states[{index}]", f"must be a state, got {number}")
        for index, number in enumerate(numbers)
        if number and number not in _STATES
    ]
    if unknown:
        raise InvalidRequest(unknown)
    if jobs_pb2.JOB_STATE_UNSPECIFIED in numbers:
        return []
    return [_STATES[number] for number in numbers]
