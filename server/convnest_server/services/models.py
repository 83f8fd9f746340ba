"""ModelService."""

import json

from convnest_api.v1 import models_pb2, models_pb2_grpc
from convnest_store.blobs import BlobStore
from convnest_store.errors import InvalidInput
from convnest_store.names import check_alias, check_name
from convnest_store.registry import Model, ModelReference, ModelRegistry, aliases_key

from convnest_server import convert
from convnest_server.blocking import Blocking
from convnest_server.errors import InvalidRequest, Violation
from convnest_server.interceptor import Context
from convnest_server.paging import decode_token, encode_token, page_size
from convnest_server.resolver import ModelResolver


class ModelServicer(models_pb2_grpc.ModelServiceServicer):
    """See models.proto."""

    def __init__(
        self,
        *,
        models: ModelRegistry,
        blobs: BlobStore,
        resolver: ModelResolver,
        blocking: Blocking,
    ) -> None:
        self._models, self._blobs = models, blobs
        self._resolver, self._blocking = resolver, blocking

    async def GetModel(  # noqa: N802
        self, request: models_pb2.GetModelRequest, _context: Context
    ) -> models_pb2.GetModelResponse:
        name = check_name(request.name, field="name")
        model = await self._blocking.run(self._models.get, name)
        return models_pb2.GetModelResponse(model=convert.model(model))

    async def ListModels(  # noqa: N802
        self, request: models_pb2.ListModelsRequest, _context: Context
    ) -> models_pb2.ListModelsResponse:
        size = page_size(request.page_size)
        found = await self._blocking.run(
            self._models.list, after=decode_token(request.page_token), limit=size + 1
        )
        page = found[:size]
        return models_pb2.ListModelsResponse(
            models=[convert.model(model) for model in page],
            next_page_token=encode_token(page[-1].name) if len(found) > size else "",
        )

    async def GetModelVersion(  # noqa: N802
        self, request: models_pb2.GetModelVersionRequest, _context: Context
    ) -> models_pb2.GetModelVersionResponse:
        reference = ModelReference.parse(request.model)
        version = await self._blocking.run(self._models.resolve, reference)
        return models_pb2.GetModelVersionResponse(version=convert.model_version(version))

    async def ListModelVersions(  # noqa: N802
        self, request: models_pb2.ListModelVersionsRequest, _context: Context
    ) -> models_pb2.ListModelVersionsResponse:
        name = check_name(request.name, field="name")
        size = page_size(request.page_size)
        cursor = decode_token(request.page_token) or "0"
        if not cursor.isdecimal():
            raise InvalidRequest([Violation("page_token", "it must be a next_page_token")])
        found = await self._blocking.run(
            self._models.versions, name, before=int(cursor), limit=size + 1
        )
        page = found[:size]
        return models_pb2.ListModelVersionsResponse(
            versions=[convert.model_version(version) for version in page],
            next_page_token=encode_token(str(page[-1].version)) if len(found) > size else "",
        )

    async def SetModelAlias(  # noqa: N802
        self, request: models_pb2.SetModelAliasRequest, _context: Context
    ) -> models_pb2.SetModelAliasResponse:
        violations = _violations(request.name, request.alias)
        if request.version < 1:
            violations.append(Violation("version", f"must be ≥ 1, got {request.version}"))
        if violations:
            raise InvalidRequest(violations)
        model = await self._blocking.run(self._point, request.name, request.alias, request.version)
        return models_pb2.SetModelAliasResponse(model=convert.model(model))

    async def DeleteModelAlias(  # noqa: N802
        self, request: models_pb2.DeleteModelAliasRequest, _context: Context
    ) -> models_pb2.DeleteModelAliasResponse:
        violations = _violations(request.name, request.alias)
        if violations:
            raise InvalidRequest(violations)
        model = await self._blocking.run(self._point, request.name, request.alias, None)
        return models_pb2.DeleteModelAliasResponse(model=convert.model(model))

    def _point(self, name: str, alias: str, version: int | None) -> Model:
        aliases = self._models.set_alias(name, alias, version)
        self._resolver.forget()
        # Beside the weights too, for a rebuild after the state Redis was lost.
        self._blobs.put_bytes(aliases_key(name), json.dumps(aliases).encode())
        return self._models.get(name)

    async def DeleteModel(  # noqa: N802
        self, request: models_pb2.DeleteModelRequest, _context: Context
    ) -> models_pb2.DeleteModelResponse:
        name = check_name(request.name, field="name")
        await self._blocking.run(self._delete, name, None)
        return models_pb2.DeleteModelResponse()

    async def DeleteModelVersion(  # noqa: N802
        self, request: models_pb2.DeleteModelVersionRequest, _context: Context
    ) -> models_pb2.DeleteModelVersionResponse:
        name = check_name(request.name, field="name")
        await self._blocking.run(self._delete, name, request.version)
        return models_pb2.DeleteModelVersionResponse()

    def _delete(self, name: str, version: int | None) -> None:
        gone = self._models.delete(name, version)
        self._resolver.forget()
        if version is None:
            self._blobs.delete(aliases_key(name))
        for record in gone:
            # First the manifest: a rebuild must not bring back what was deleted.
            self._blobs.delete(record.manifest_key)
            self._blobs.delete(record.weights.key)


def _violations(name: str, alias: str) -> list[Violation]:
    found = []
    for check, value, field in ((check_name, name, "name"), (check_alias, alias, "alias")):
        try:
            check(value, field=field)
        except InvalidInput as error:
            found.append(Violation(error.field, error.message))
    return found
