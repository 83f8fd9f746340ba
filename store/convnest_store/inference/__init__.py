"""The way of a classification request through Redis."""

from convnest_store.inference.queue import (
    InferenceQueue,
    QueueLength,
    QueueLimits,
    caller_key,
    model_key,
)
from convnest_store.inference.wire import Content, Reply, Request, Status, unpack_replies

__all__ = [
    "Content",
    "InferenceQueue",
    "QueueLength",
    "QueueLimits",
    "Reply",
    "Request",
    "Status",
    "caller_key",
    "model_key",
    "unpack_replies",
]
