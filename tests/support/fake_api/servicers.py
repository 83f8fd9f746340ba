"""The servicers of a fake ConvNest."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
from convnest_api.v1 import (
    classification_pb2,
    classification_pb2_grpc,
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

from support.fake_api.world import FINAL, NOT_FOUND, PNG, Failure, FakeConvNest


def add_servicers(world: FakeConvNest, server: grpc.Server) -> None:
    """Registers all of them."""
    training_pb2_grpc.add_TrainingServiceServicer_to_server(FakeTraining(world), server)
    datasets_pb2_grpc.add_DatasetServiceServicer_to_server(FakeDatasets(world), server)
    models_pb2_grpc.add_ModelServiceServicer_to_server(FakeModels(world), server)
    system_pb2_grpc.add_SystemServiceServicer_to_server(FakeSystem(world), server)
    classification_pb2_grpc.add_ClassificationServiceServicer_to_server(
        FakeClassification(world), server
    )


class FakeTraining(training_pb2_grpc.TrainingServiceServicer):
    def __init__(self, world: FakeConvNest) -> None:
        self.world = world

    def CreateTrainingJob(
        self, request: training_pb2.CreateTrainingJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.CreateTrainingJobResponse:
        self.world.saw(request, context)
        layers = [
            training_pb2.LayerSummary(
                path="features.0", kind="conv", output_shape=[28, 28, 6], parameters=156
            )
        ]
        spec = jobs_pb2.TrainSpec()
        spec.CopyFrom(request.spec)
        if not spec.HasField("epochs"):
            spec.epochs = self.world.epochs
        job = jobs_pb2.Job(kind=jobs_pb2.JOB_KIND_TRAIN, train=spec, priority=request.priority)
        if not request.validate_only:
            job = self.world.add_job(job)
        return training_pb2.CreateTrainingJobResponse(job=job, layers=layers)

    def GetJob(
        self, request: training_pb2.GetJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.GetJobResponse:
        self.world.saw(request, context)
        return training_pb2.GetJobResponse(job=self._job(request.id, context))

    def ListJobs(
        self, request: training_pb2.ListJobsRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListJobsResponse:
        self.world.saw(request, context)
        jobs = [
            job
            for job in reversed(self.world.jobs.values())
            if not request.states or job.state in request.states
        ]
        part, token = self.world.page(request.page_token, len(jobs))
        return training_pb2.ListJobsResponse(jobs=jobs[part], next_page_token=token)

    def WatchJob(
        self, request: training_pb2.WatchJobRequest, context: grpc.ServicerContext
    ) -> Iterator[training_pb2.WatchJobResponse]:
        world = self.world
        world.saw(request, context)
        job = self._job(request.id, context)
        sent, cursor = 0, request.cursor
        with world.changed:
            world.watchers += 1
            world.changed.notify_all()
        while context.is_active() and not world.is_stopping:
            with world.changed:
                events = world.events[request.id][cursor:]
                is_final = job.state in FINAL
                if not events and not is_final:
                    world.changed.wait(0.05)
            for event in events:
                if sent == world.breaks_stream_after:
                    Failure(grpc.StatusCode.UNAVAILABLE, "cut").abort(context)
                if sent == world.ends_stream_after:
                    return
                yield training_pb2.WatchJobResponse(event=event)
                sent, cursor = sent + 1, event.cursor
            if not events and (is_final or world.ends_streams):
                return
        if world.is_stopping:
            Failure(grpc.StatusCode.UNAVAILABLE, "stopping").abort(context)

    def CancelJob(
        self, request: training_pb2.CancelJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.CancelJobResponse:
        self.world.saw(request, context)
        job = self._job(request.id, context)
        job.cancel_requested = True
        if job.state == jobs_pb2.JOB_STATE_QUEUED:
            self.world.enter(job.id, jobs_pb2.JOB_STATE_CANCELLED)
        return training_pb2.CancelJobResponse(job=job)

    def PauseJob(
        self, request: training_pb2.PauseJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.PauseJobResponse:
        self.world.saw(request, context)
        job = self._job(request.id, context)
        self.world.enter(job.id, jobs_pb2.JOB_STATE_PAUSED)
        return training_pb2.PauseJobResponse(job=job)

    def ResumeJob(
        self, request: training_pb2.ResumeJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.ResumeJobResponse:
        self.world.saw(request, context)
        job = self._job(request.id, context)
        self.world.enter(job.id, jobs_pb2.JOB_STATE_QUEUED)
        job.queue_position = 1
        return training_pb2.ResumeJobResponse(job=job)

    def RetryJob(
        self, request: training_pb2.RetryJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.RetryJobResponse:
        self.world.saw(request, context)
        return training_pb2.RetryJobResponse(job=self._job(request.id, context))

    def SetJobPriority(
        self, request: training_pb2.SetJobPriorityRequest, context: grpc.ServicerContext
    ) -> training_pb2.SetJobPriorityResponse:
        self.world.saw(request, context)
        job = self._job(request.id, context)
        job.priority = request.priority
        return training_pb2.SetJobPriorityResponse(job=job)

    def DeleteJob(
        self, request: training_pb2.DeleteJobRequest, context: grpc.ServicerContext
    ) -> training_pb2.DeleteJobResponse:
        self.world.saw(request, context)
        self._job(request.id, context)
        del self.world.jobs[request.id]
        return training_pb2.DeleteJobResponse()

    def ListNetworks(
        self, request: training_pb2.ListNetworksRequest, context: grpc.ServicerContext
    ) -> training_pb2.ListNetworksResponse:
        self.world.saw(request, context)
        option = training_pb2.NetworkOption(
            name="activation", doc="after each layer", default_json='"relu"'
        )
        size = training_pb2.NetworkOption(name="size", doc="side of the window")
        return training_pb2.ListNetworksResponse(
            networks=[training_pb2.NetworkKind(name="lenet", doc="LeNet-5", options=[option])],
            layers=[
                training_pb2.NetworkKind(name="relu", doc="max(0, x)"),
                training_pb2.NetworkKind(name="max_pool", doc="largest", options=[size]),
            ],
        )

    def _job(self, job_id: str, context: grpc.ServicerContext) -> jobs_pb2.Job:
        return self.world.jobs.get(job_id) or NOT_FOUND.abort(context)


class FakeDatasets(datasets_pb2_grpc.DatasetServiceServicer):
    def __init__(self, world: FakeConvNest) -> None:
        self.world = world

    def UploadDataset(
        self,
        requests: Iterator[datasets_pb2.UploadDatasetRequest],
        context: grpc.ServicerContext,
    ) -> datasets_pb2.UploadDatasetResponse:
        header = next(requests).header
        self.world.saw(header, context)
        if self.world.failures["UploadDataset"]:
            self.world.failures["UploadDataset"].pop(0).abort(context)
        chunks = [request.chunk for request in requests]
        assert all(len(chunk) <= 256 * 1024 for chunk in chunks)
        self.world.uploaded = b"".join(chunks)
        spec = jobs_pb2.IngestSpec(dataset=header.name, format=header.format, shape=header.shape)
        job = jobs_pb2.Job(kind=jobs_pb2.JOB_KIND_INGEST, ingest=spec)
        return datasets_pb2.UploadDatasetResponse(job=self.world.add_job(job))

    def ImportDataset(
        self, request: datasets_pb2.ImportDatasetRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.ImportDatasetResponse:
        self.world.saw(request, context)
        spec = jobs_pb2.IngestSpec(dataset=request.name, builtin=request.builtin)
        job = jobs_pb2.Job(kind=jobs_pb2.JOB_KIND_INGEST, ingest=spec)
        return datasets_pb2.ImportDatasetResponse(job=self.world.add_job(job))

    def GetDataset(
        self, request: datasets_pb2.GetDatasetRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.GetDatasetResponse:
        self.world.saw(request, context)
        dataset = self.world.datasets.get(request.name) or NOT_FOUND.abort(context)
        return datasets_pb2.GetDatasetResponse(dataset=dataset)

    def ListDatasets(
        self, request: datasets_pb2.ListDatasetsRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.ListDatasetsResponse:
        self.world.saw(request, context)
        found = [self.world.datasets[name] for name in sorted(self.world.datasets)]
        part, token = self.world.page(request.page_token, len(found))
        return datasets_pb2.ListDatasetsResponse(datasets=found[part], next_page_token=token)

    def SampleDataset(
        self, request: datasets_pb2.SampleDatasetRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.SampleDatasetResponse:
        self.world.saw(request, context)
        images = [
            datasets_pb2.SampleImage(png=PNG, label=f"{i % 10}", index=100 + i)
            for i in range(request.count)
        ]
        return datasets_pb2.SampleDatasetResponse(images=images)

    def DeleteDataset(
        self, request: datasets_pb2.DeleteDatasetRequest, context: grpc.ServicerContext
    ) -> datasets_pb2.DeleteDatasetResponse:
        self.world.saw(request, context)
        if self.world.datasets.pop(request.name, None) is None:
            NOT_FOUND.abort(context)
        return datasets_pb2.DeleteDatasetResponse()


class FakeModels(models_pb2_grpc.ModelServiceServicer):
    def __init__(self, world: FakeConvNest) -> None:
        self.world = world

    def GetModel(
        self, request: models_pb2.GetModelRequest, context: grpc.ServicerContext
    ) -> models_pb2.GetModelResponse:
        self.world.saw(request, context)
        return models_pb2.GetModelResponse(model=self._model(request.name, context))

    def ListModels(
        self, request: models_pb2.ListModelsRequest, context: grpc.ServicerContext
    ) -> models_pb2.ListModelsResponse:
        self.world.saw(request, context)
        found = [self.world.models[name] for name in sorted(self.world.models)]
        part, token = self.world.page(request.page_token, len(found))
        return models_pb2.ListModelsResponse(models=found[part], next_page_token=token)

    def GetModelVersion(
        self, request: models_pb2.GetModelVersionRequest, context: grpc.ServicerContext
    ) -> models_pb2.GetModelVersionResponse:
        self.world.saw(request, context)
        name, _, number = request.model.partition(":")
        found = [
            one
            for one in self.world.versions
            if one.model == name and number in ("", str(one.version))
        ]
        version = found[0] if found else NOT_FOUND.abort(context)
        return models_pb2.GetModelVersionResponse(version=version)

    def ListModelVersions(
        self, request: models_pb2.ListModelVersionsRequest, context: grpc.ServicerContext
    ) -> models_pb2.ListModelVersionsResponse:
        self.world.saw(request, context)
        found = [one for one in self.world.versions if one.model == request.name]
        part, token = self.world.page(request.page_token, len(found))
        return models_pb2.ListModelVersionsResponse(versions=found[part], next_page_token=token)

    def SetModelAlias(
        self, request: models_pb2.SetModelAliasRequest, context: grpc.ServicerContext
    ) -> models_pb2.SetModelAliasResponse:
        self.world.saw(request, context)
        model = self._model(request.name, context)
        model.aliases[request.alias] = request.version
        return models_pb2.SetModelAliasResponse(model=model)

    def DeleteModelAlias(
        self, request: models_pb2.DeleteModelAliasRequest, context: grpc.ServicerContext
    ) -> models_pb2.DeleteModelAliasResponse:
        self.world.saw(request, context)
        model = self._model(request.name, context)
        if request.alias not in model.aliases:
            NOT_FOUND.abort(context)
        del model.aliases[request.alias]
        return models_pb2.DeleteModelAliasResponse(model=model)

    def DeleteModel(
        self, request: models_pb2.DeleteModelRequest, context: grpc.ServicerContext
    ) -> models_pb2.DeleteModelResponse:
        self.world.saw(request, context)
        del self.world.models[self._model(request.name, context).name]
        return models_pb2.DeleteModelResponse()

    def DeleteModelVersion(
        self, request: models_pb2.DeleteModelVersionRequest, context: grpc.ServicerContext
    ) -> models_pb2.DeleteModelVersionResponse:
        self.world.saw(request, context)
        self._model(request.name, context)
        return models_pb2.DeleteModelVersionResponse()

    def _model(self, name: str, context: grpc.ServicerContext) -> models_pb2.Model:
        return self.world.models.get(name) or NOT_FOUND.abort(context)


class FakeSystem(system_pb2_grpc.SystemServiceServicer):
    def __init__(self, world: FakeConvNest) -> None:
        self.world = world

    def GetStatus(
        self, request: system_pb2.GetStatusRequest, context: grpc.ServicerContext
    ) -> system_pb2.GetStatusResponse:
        self.world.saw(request, context)
        instance = system_pb2.ModelInstance(
            model="digits-lenet", version=1, state="READY", resident_bytes=120 << 20, images=17
        )
        return system_pb2.GetStatusResponse(
            version="0.1.0",
            redis=[
                system_pb2.RedisStatus(
                    role="state", available=True, version="7.2", used_memory_bytes=1 << 20
                ),
                system_pb2.RedisStatus(role="queue", available=False, problem="refused"),
            ],
            workers=[
                system_pb2.WorkerStatus(
                    name="host:4711", job_id="job-1", models=[instance], uptime_s=125
                )
            ],
            jobs={"QUEUED": 3, "SUCCEEDED": 12},
            queues=[
                system_pb2.QueueStatus(
                    model="digits-lenet", version=1, waiting=5, waiting_bytes=4000
                )
            ],
        )

    def CollectGarbage(
        self, request: system_pb2.CollectGarbageRequest, context: grpc.ServicerContext
    ) -> system_pb2.CollectGarbageResponse:
        self.world.saw(request, context)
        job = jobs_pb2.Job(kind=jobs_pb2.JOB_KIND_COLLECT_GARBAGE, collect_garbage=request.spec)
        return system_pb2.CollectGarbageResponse(job=self.world.add_job(job))

    def Rebuild(
        self, request: system_pb2.RebuildRequest, context: grpc.ServicerContext
    ) -> system_pb2.RebuildResponse:
        self.world.saw(request, context)
        job = jobs_pb2.Job(kind=jobs_pb2.JOB_KIND_REBUILD, rebuild=jobs_pb2.RebuildSpec())
        return system_pb2.RebuildResponse(job=self.world.add_job(job))


class FakeClassification(classification_pb2_grpc.ClassificationServiceServicer):
    """Every image is a 7, or perhaps a 1."""

    def __init__(self, world: FakeConvNest) -> None:
        self.world = world

    def Classify(
        self, request: classification_pb2.ClassifyRequest, context: grpc.ServicerContext
    ) -> classification_pb2.ClassifyResponse:
        self.world.saw(request, context)
        scores = [
            classification_pb2.ClassScore(label="7", index=7, probability=0.875),
            classification_pb2.ClassScore(label="1", index=1, probability=0.125),
        ]
        count = sum(
            image.tensor.shape[0] if len(image.tensor.shape) == 4 else 1 for image in request.images
        )
        result = classification_pb2.Classification(scores=scores[: request.top_k])
        return classification_pb2.ClassifyResponse(
            model=request.model, version=1, results=[result] * count
        )
