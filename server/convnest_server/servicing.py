"""Which servicers the server has, and what reflection tells of them."""

from dataclasses import dataclass

import grpc
from convnest_api.v1 import (
    classification_pb2,
    classification_pb2_grpc,
    datasets_pb2,
    datasets_pb2_grpc,
    models_pb2,
    models_pb2_grpc,
    system_pb2,
    system_pb2_grpc,
    training_pb2,
    training_pb2_grpc,
)
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from convnest_server.services.classification import ClassificationServicer
from convnest_server.services.datasets import DatasetServicer
from convnest_server.services.models import ModelServicer
from convnest_server.services.system import SystemServicer
from convnest_server.services.training import TrainingServicer

_FILES = (classification_pb2, datasets_pb2, models_pb2, system_pb2, training_pb2)


@dataclass(frozen=True)
class Servicers:
    """One of each."""

    training: TrainingServicer
    datasets: DatasetServicer
    models: ModelServicer
    classification: ClassificationServicer
    system: SystemServicer
    health: health.aio.HealthServicer

    def add_to(self, server: grpc.aio.Server) -> None:
        """Registers all of them, and reflection."""
        training_pb2_grpc.add_TrainingServiceServicer_to_server(self.training, server)
        datasets_pb2_grpc.add_DatasetServiceServicer_to_server(self.datasets, server)
        models_pb2_grpc.add_ModelServiceServicer_to_server(self.models, server)
        classification_pb2_grpc.add_ClassificationServiceServicer_to_server(
            self.classification, server
        )
        system_pb2_grpc.add_SystemServiceServicer_to_server(self.system, server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, server)
        names = [
            service.full_name
            for file in (*_FILES, health_pb2)
            for service in file.DESCRIPTOR.services_by_name.values()
        ]
        reflection.enable_server_reflection([*names, reflection.SERVICE_NAME], server)
