"""A standing server with what faults befall: a dataset, two models, and the right answers."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen
from typing import Protocol, TypeAlias, cast

import convnest
import grpc
import numpy as np
import numpy.typing as npt
from convnest.rpc_errors import from_rpc_error
from convnest_api.v1 import classification_pb2, classification_pb2_grpc
from convnest_core import build, network, softmax
from convnest_store.blobs import blob_store
from convnest_store.connection import connect
from convnest_store.images import decode
from convnest_store.registry import ModelReference, ModelRegistry
from convnest_store.scripts import key
from safetensors.numpy import load_file

from support.processes import Fleet
from support.redis_server import RedisServer
from support.training_runs import QUICK, train_undisturbed
from support.waiting import until

MODELS = ("quick", "undisturbed")

_REQUESTS = ("queue", "alone", "flight")

Row: TypeAlias = npt.NDArray[np.float32]


class StartWorker(Protocol):
    """Starts a worker of the shop; it ends with the test, and with it its children."""

    def __call__(self, name: str, **extra: str) -> Popen[bytes]: ...


@dataclass(frozen=True)
class Shop:
    """What the tests share. No worker runs between them."""

    fleet: Fleet
    server_pid: int
    client: convnest.Client
    stub: classification_pb2_grpc.ClassificationServiceStub
    pictures: Sequence[bytes]
    """PNG files, all different."""
    right: Mapping[str, Row]
    """By model: a row of probabilities for each picture."""
    undisturbed_digest: str

    def classify(self, model: str, picture: bytes, *, timeout_s: float = 60) -> Row:
        """All probabilities, by one call that is not tried again. Raises the SDK's errors."""
        image = classification_pb2.Image(encoded=picture)
        request = classification_pb2.ClassifyRequest(model=model, images=[image], top_k=10)
        try:
            response = self.stub.Classify(request, timeout=timeout_s)
        except grpc.RpcError as error:
            raise from_rpc_error(error, self.fleet.address) from error
        row = np.zeros(10, np.float32)
        for score in response.results[0].scores:
            row[score.index] = score.probability
        return row

    def is_right(self, model: str, picture: int, row: Row) -> bool:
        """Whether these are this picture's probabilities."""
        return bool(np.allclose(row, self.right[model][picture], atol=1e-4))

    def wait_until_held(self, count: int) -> None:
        """Returns once the queue Redis holds so many requests, waiting or in flight."""

        def held() -> bool:
            with connect(self.fleet.queue.url, decode=True) as queue:
                lists = [name for kind in _REQUESTS for name in queue.scan_iter(key(kind, "*"))]
                return sum(cast(int, queue.llen(name)) for name in lists) >= count

        until(held, within_s=30, what=f"{count} requests are held")

    def wait_for_worker(self, name: str) -> None:
        """Returns once the worker has given a sign of life."""

        def there() -> bool:
            return any(worker.name == name for worker in self.client.status().workers)

        until(there, within_s=30, what=f"worker {name} is there")


@contextmanager
def open_shop(folder: Path) -> Iterator[Shop]:
    """`folder`'s path must be short enough for sockets."""
    state, queue = _redis(folder / "state", durable=True), _redis(folder / "queue", durable=False)
    fleet = Fleet(folder, state, queue)
    try:
        server = fleet.start_server()
        worker = fleet.start_worker("founder")
        with (
            convnest.connect(fleet.address) as client,
            grpc.insecure_channel(fleet.address) as channel,
        ):
            client.datasets.add("digits", builtin="digits").wait(timeout_s=60)
            client.train(**QUICK, model="quick").wait(timeout_s=60)
            digest = train_undisturbed(client)
            worker.terminate()
            worker.wait(timeout=20)
            samples = client.datasets.sample("digits", count=64, split="test")
            pictures = [sample.png for sample in samples]
            right = {model: _by_core(fleet, model, pictures) for model in MODELS}
            stub = classification_pb2_grpc.ClassificationServiceStub(channel)
            yield Shop(fleet, server.pid, client, stub, pictures, right, digest)
    finally:
        fleet.stop()
        state.stop()
        queue.stop()


def _redis(folder: Path, *, durable: bool) -> RedisServer:
    folder.mkdir()
    server = RedisServer(folder, durable=durable)
    server.start()
    return server


def _by_core(fleet: Fleet, model: str, pictures: Sequence[bytes]) -> npt.NDArray[np.float32]:
    """Each picture alone through the stored weights, by the library and nothing else."""
    with connect(fleet.state.url, decode=True) as client:
        version = ModelRegistry(client).resolve(ModelReference.parse(model))
    prepare = version.preprocessing
    shape = prepare.shape
    module = network(version.network, classes=len(version.classes))
    build(module, (shape.height, shape.width, shape.channels), seed=0)
    with blob_store(str(fleet.folder / "blobs"), cache_dir=fleet.folder / "cache").open(
        version.weights
    ) as path:
        module.load_state(load_file(path))
    rows = []
    for picture in pictures:
        pixels = decode(picture, shape).astype(np.float64) / 255
        x = ((pixels - np.array(prepare.mean)) / np.array(prepare.std)).astype(np.float32)
        rows.append(softmax(module(x[None]))[0])
    assert len({row.tobytes() for row in rows}) == len(rows), "pictures that are told apart"
    return np.stack(rows)
