"""A matrix' gradient from everybody's factors: each member forms its own rows of it."""

import numpy as np
import pytest
from convnest_core import Array, parameters
from convnest_core.team import Batch, Member
from convnest_core.team.memory import Memory
from convnest_core.team.products import SharedProducts

MOST, INPUTS, OUTPUTS = 6, 11, 7
Crew = list[tuple[Member, SharedProducts, Array]]


def crew(size: int) -> Crew:
    """All members of a team in this process, each with its products and its own gradient."""
    memory = Memory(by_descriptor=False)
    members: Crew = []
    for rank in range(size):
        member = Member(rank, size, lines=[], take=memory.again() if rank else memory.take)
        gradients = member.array((size, INPUTS, OUTPUTS), np.float64)
        uses = member.array((1,), np.int64)
        products = SharedProducts(member, MOST, gradients=gradients, uses=uses)
        members.append((member, products, gradients[rank]))
    return members


def factors(images: int, uses: int) -> list[tuple[Array, Array]]:
    rng = np.random.default_rng(images)
    shapes = (images, INPUTS), (images, OUTPUTS)
    return [(rng.standard_normal(shapes[0]), rng.standard_normal(shapes[1])) for _ in range(uses)]


def gradient_of(members: Crew, images: int, given: list[tuple[Array, Array]]) -> Array:
    """The whole matrix' gradient, put together from what each member says of its rows."""
    batches = [Batch(member, images) for member, _, _ in members]
    for batch, (_, products, own) in zip(batches, members, strict=True):
        products.begin(batch)
        for x, dy in given if batch.rows.start < batch.rows.stop else []:
            if not products.take(x[batch.rows], dy[batch.rows]):
                own += x[batch.rows].T @ dy[batch.rows]
    whole = np.full((INPUTS, OUTPUTS), np.nan)
    for batch, (_, products, _) in zip(batches, members, strict=True):
        for part, gradient in products.tiles(batch):
            whole[products.own].reshape(-1)[part] = gradient
    return whole


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("images", [1, 2, MOST])
@pytest.mark.parametrize("tile", [1, 3 * OUTPUTS, 1 << 17])
def test_the_gradient_is_that_of_the_whole_batch_however_often_a_layer_is_used(
    size: int, images: int, tile: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parameters, "_TILE", tile)
    members = crew(size)
    for uses in (1, 3, 2, 0, 1):  # one pass after the other: nothing is left of the one before
        given = factors(images, uses)
        expected = sum((x.T @ dy for x, dy in given), np.zeros((INPUTS, OUTPUTS)))
        np.testing.assert_allclose(gradient_of(members, images, given), expected, atol=1e-12)


def test_between_passes_nothing_is_taken() -> None:
    members = crew(1)
    given = factors(2, 1)
    assert not members[0][1].take(*given[0])
    gradient_of(members, 2, given)
    assert not members[0][1].take(*given[0])


def test_products_pay_where_the_matrix_outweighs_its_factors() -> None:
    assert SharedProducts.pay(128, 784, 512)
    assert not SharedProducts.pay(128, 256, 10)
