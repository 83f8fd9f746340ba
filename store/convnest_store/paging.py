"""Walking through a listing that comes in pages."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TypeVar

Item = TypeVar("Item", covariant=True)
_PAGE = 200


class Listing(Protocol[Item]):
    """A listing ordered by name, of at most `limit` items past the name `after`."""

    def __call__(self, *, after: str, limit: int) -> Sequence[Item]: ...


def every(listing: Listing[Item], name: Callable[[Item], str]) -> Iterator[Item]:
    """Every item of the listing."""
    after = ""
    while page := listing(after=after, limit=_PAGE):
        yield from page
        after = name(page[-1])
