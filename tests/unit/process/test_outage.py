"""An outage is told once."""

import structlog
from convnest_process.outage import OutageLog
from structlog.testing import capture_logs


def test_an_outage_is_one_line_and_its_end_another() -> None:
    with capture_logs() as lines:
        redis = OutageLog(structlog.get_logger(), "state Redis")
        redis.back()
        for attempt in range(3):
            redis.away(ConnectionError(f"refused {attempt}"))
        redis.back()
        redis.back()
        redis.away(ConnectionError("refused again"))
    assert [line["event"] for line in lines] == [
        "state Redis away",
        "state Redis back",
        "state Redis away",
    ]
    assert lines[0]["error"] == "refused 0"
