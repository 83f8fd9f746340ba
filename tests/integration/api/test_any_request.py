"""No request, however odd, ends INTERNAL or UNKNOWN, and none stops the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from convnest_api.v1 import (
    classification_pb2,
    datasets_pb2,
    jobs_pb2,
    models_pb2,
    system_pb2,
    training_pb2,
)
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from support.api import Api, read_refusal

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.message import Message

FILES = (classification_pb2, datasets_pb2, models_pb2, system_pb2, training_pb2)
METHODS = [
    method
    for file in FILES
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
#: These could end what other tests use.
SPARING = {"DeleteModel", "DeleteModelAlias", "DeleteModelVersion", "SetModelAlias"}
CALL_S = 3.0

WORDS = ("digits", "reader", "reader@stable", "reader:1", "stable", "lenet", "npz", "mlp", "MTo5")
TEXT = st.sampled_from(("", *WORDS)) | st.text(max_size=100)
NUMBERS: dict[int, st.SearchStrategy[Any]] = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 4) | st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 4) | st.integers(0, 2**64 - 1),
    FieldDescriptor.CPPTYPE_DOUBLE: st.floats(),
    FieldDescriptor.CPPTYPE_FLOAT: st.floats(width=32),
    FieldDescriptor.CPPTYPE_BOOL: st.booleans(),
    FieldDescriptor.CPPTYPE_ENUM: st.integers(-2, 10),
}
JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | TEXT | st.integers(-10, 10).map(float),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(("conv", "linear", "sum", "filters", "x")), inner, max_size=3
        )
    ),
    max_leaves=8,
)
NETWORKS = st.dictionaries(st.sampled_from(("name", "options", "layers", "x")), JSON, max_size=3)


def messages(kind: Descriptor) -> st.SearchStrategy[Message]:
    """Any message of the kind, its fields set or not."""
    if kind is Struct.DESCRIPTOR:
        return NETWORKS.map(_struct)
    fields = st.fixed_dictionaries(
        {}, optional={field.name: _values(field) for field in kind.fields}
    )
    return fields.map(lambda values: GetMessageClass(kind)(**_one_of_each(kind, values)))


def _values(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    one: st.SearchStrategy[Any]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        keys, values = (_values(field.message_type.fields_by_name[n]) for n in ("key", "value"))
        return st.dictionaries(keys, values, max_size=4)
    if field.message_type is not None:
        one = messages(field.message_type)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        one = st.binary(max_size=100)
    elif field.type == FieldDescriptor.TYPE_STRING:
        one = TEXT
    else:
        one = NUMBERS[field.cpp_type]
    return st.lists(one, max_size=4) if field.is_repeated else one


def _struct(values: dict[str, Any]) -> Struct:
    struct = Struct()
    struct.update(values)
    return struct


def _one_of_each(kind: Descriptor, values: dict[str, Any]) -> dict[str, Any]:
    """Without all but the first field of each oneof."""
    taken: set[str] = set()
    chosen = {}
    for name, value in values.items():
        group = kind.fields_by_name[name].containing_oneof
        if group is None or group.name not in taken:
            chosen[name] = value
            taken.add(group.name if group else name)
    return chosen


def call(api: Api, method: MethodDescriptor) -> Callable[[Message], object]:
    path = f"/{method.containing_service.full_name}/{method.name}"
    options = {
        "request_serializer": lambda message: message.SerializeToString(),
        "response_deserializer": GetMessageClass(method.output_type).FromString,
    }
    if method.client_streaming:
        stream = api.channel.stream_unary(path, **options)
        return lambda message: stream(iter([message]), timeout=CALL_S)
    if method.server_streaming:
        watch = api.channel.unary_stream(path, **options)
        return lambda message: list(watch(message, timeout=CALL_S))
    answer = api.channel.unary_unary(path, **options)
    return lambda message: answer(message, timeout=CALL_S)


@pytest.fixture
def unworked(api: Api, busy: str) -> Iterator[Api]:
    """The server, with its worker busy: what is accepted stays queued, and goes in the end."""
    yield api
    request = training_pb2.ListJobsRequest(states=[jobs_pb2.JOB_STATE_QUEUED], page_size=500)
    for job in api.training.ListJobs(request).jobs:
        api.training.CancelJob(training_pb2.CancelJobRequest(id=job.id))
        api.training.DeleteJob(training_pb2.DeleteJobRequest(id=job.id))


def test_no_request_ends_in_a_fault_of_ours(unworked: Api, model: str) -> None:
    for method in METHODS:
        if method.name in (
            "DeleteModel",
            "DeleteModelAlias",
            "DeleteModelVersion",
            "SetModelAlias",
        ):
            continue  # they could meet what other tests use: see below
        _hold(call(unworked, method), messages(method.input_type), method.name)


def _hold(
    call: Callable[[Message], object], requests: st.SearchStrategy[Message], name: str
) -> None:
    @settings(
        max_examples=40,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(requests)
    def held(request: Message) -> None:
        try:
            call(request)
        except grpc.RpcError as error:
            found = read_refusal(error)
            code = found.code
            assert code not in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN), (name, found)
            assert found.reason, (name, found)

    held()
