"""How several processes compute one result: each of them its share of it."""

from __future__ import annotations

from dataclasses import dataclass

from convnest_core.arrays import Array

FILTERS_TOGETHER = 16  # as many as a vector register or a cache line holds, and BLAS's kernels want

# What gathering or transforming an input costs, in weights read: measured on ResNet-18, GoogLeNet
# and VGG16, where 4 is 4 % better than 1.
_PREPARING = 4


@dataclass(frozen=True)
class Share:
    """The part of member `rank` of `size` that work together.

    A kernel that is called with the shares of all ranks writes all of `out`, each place once. What
    it parts, rows or filters, is its own affair.
    """

    rank: int
    size: int

    def of(self, count: int, *, together: int = 1) -> slice:
        """This share's part of `count` units: in the order of ranks, sizes about the same.

        Runs of `together` units are not parted.
        """
        each, extra = divmod(-(-count // together), self.size)
        first = self.rank * each + min(self.rank, extra)
        last = first + each + (self.rank < extra)
        return slice(min(first * together, count), min(last * together, count))

    def by_filters(self, weights: Array, *, inputs: int) -> bool:
        """Whether a product of `weights` [..., filters] is parted by filters, not by rows.

        By rows every member reads all weights. By filters it prepares all inputs (`inputs` values,
        as they enter the product).
        """
        enough = weights.shape[-1] // FILTERS_TOGETHER >= self.size
        return self.size > 1 and enough and weights.size > _PREPARING * inputs


WHOLE = Share(0, 1)
