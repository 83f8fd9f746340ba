"""The two journeys of the design, over a real Redis, a real Celery worker and a real channel."""

from itertools import pairwise

import convnest
from support.processes import Fleet


def test_digits_are_ingested_trained_on_and_classified(fleet: Fleet) -> None:
    fleet.start_server()
    fleet.start_worker()
    with convnest.connect(fleet.address) as client:
        client.datasets.add("digits", builtin="digits").wait()
        job = client.train(dataset="digits", network="lenet", model="digits", epochs=3)
        cursors = [event.cursor for event in job.watch()]
        assert all(before < after for before, after in pairwise(cursors))
        samples = client.datasets.sample("digits", count=10, split="test")
        answers = client.classify("digits", [sample.png for sample in samples])
    right = sum(
        answer.label == sample.label for answer, sample in zip(answers, samples, strict=True)
    )
    assert right >= 8
