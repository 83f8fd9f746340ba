"""Datasets that come with the package; `data/NOTICE.md` names their sources and licences."""

from collections.abc import Callable, Mapping
from importlib.resources import as_file, files
from types import MappingProxyType

import numpy as np
from PIL import Image

from convnest_store.datasets import Dataset
from convnest_store.errors import NotFound

BUILTINS: Mapping[str, str] = MappingProxyType(
    {
        "digits": "1,797 scanned handwritten digits, 0 to 9, enlarged to 28×28 grey; 100 held out "
        "for testing (UCI Optical Recognition of Handwritten Digits, Alpaydin & Kaynak, CC BY 4.0)"
    }
)

_SIDE = 28
_TEST_PER_CLASS = 10
_HIGHEST = 16  # of the scanned grey levels


def builtin(name: str) -> Dataset:
    """The named dataset of `BUILTINS`, the same bytes each time; raises NotFound."""
    makers: dict[str, Callable[[], Dataset]] = {"digits": _digits}
    if name not in makers:
        raise NotFound(f"no builtin dataset {name!r}; there are: {', '.join(BUILTINS)}")
    return makers[name]()


def _digits() -> Dataset:
    """White strokes on black, as in MNIST; ten of each digit, spread over the writers, held out."""
    resource = files("convnest_store") / "data" / "digits.npz"
    with as_file(resource) as path, np.load(path, allow_pickle=False) as arrays:
        scans, labels = arrays["images"], arrays["labels"].astype(np.int64)
    grey = np.round(scans * (255 / _HIGHEST)).astype(np.uint8)
    images = np.empty((len(grey), _SIDE, _SIDE, 1), np.uint8)
    for image, scan in zip(images, grey, strict=True):
        enlarged = Image.fromarray(scan).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)
        image[:, :, 0] = np.asarray(enlarged)
    test = np.zeros(len(labels), dtype=bool)
    for digit in range(10):
        members = np.flatnonzero(labels == digit)
        test[members[:: len(members) // _TEST_PER_CLASS][:_TEST_PER_CLASS]] = True
    return Dataset(
        images=images[~test],
        labels=labels[~test],
        classes=tuple(str(digit) for digit in range(10)),
        test_images=images[test],
        test_labels=labels[test],
    )
