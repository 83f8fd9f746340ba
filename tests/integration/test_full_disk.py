"""A worker whose scratch folder is full."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import convnest
import pytest
from support.processes import Fleet

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Room for a LeNet's weights, not for its checkpoint of twice that."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("this machine lets nobody mount")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_training_goes_on_without_checkpoints_and_an_ingest_says_why_it_failed(
    fleet: Fleet, small_disk: Path
) -> None:
    fleet.start_server()
    roomy = fleet.start_worker("roomy")
    with convnest.connect(fleet.address) as client:
        client.datasets.add("digits", builtin="digits").wait()
        roomy.terminate()
        roomy.wait()
        fleet.start_worker("cramped", CONVNEST_RUNTIME_DIR=str(small_disk))
        job = client.train(
            dataset="digits", network="lenet", model="m", epochs=20, checkpoint_interval_s=1
        )
        lines = [e.text for e in job.watch() if isinstance(e, convnest.LogWritten)]
        assert job.refresh().state is convnest.JobState.SUCCEEDED
        assert any("no checkpoint written: no space left" in line for line in lines)

        failed = client.datasets.add("again", builtin="digits").wait()
        assert failed.state is convnest.JobState.FAILED
        assert failed.error is not None
        assert failed.error.reason == "QUOTA_EXCEEDED"
        assert "no space left" in failed.error.message
        assert [dataset.name for dataset in client.datasets.list()] == ["digits"]
