"""The rows of one image split over processes, layer by layer."""

import numpy as np
import pytest
from convnest_core.kernels import convolve
from convnest_core.team import Team


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_members_split_the_rows_of_one_image(processes: int) -> None:
    with Team(processes, "support.team_programs:Bands", {"size": 14, "channels": 8}) as team:
        bands = team.program
        x = np.random.default_rng(1).standard_normal((1, 14, 14, 8)).astype(np.float32)
        for _ in range(20):
            bands.inside(0)[...] = x
            team.run("forward")
            expected = x
            for weight in bands.weights:
                expected = convolve(expected, weight, None, stride=(1, 1), padding=(1, 1))
            np.testing.assert_allclose(bands.inside(3), expected, rtol=1e-5, atol=1e-6)
            x = -x
