"""The networks that a description can name, by family. All of them end in logits.

Where torchvision has the network, parameters have its names and layouts, so its weights load as
they are. Weights start as each network's `start` option says.
"""

from convnest_core.options import Kind

from .alexnet import ALEXNETS
from .cifar_resnet import CIFAR_RESNETS
from .googlenet import GOOGLENETS
from .resnet import RESNETS
from .small import SMALL
from .vgg import VGGS

NETWORKS: dict[str, Kind] = {
    **SMALL,
    **ALEXNETS,
    **VGGS,
    **GOOGLENETS,
    **RESNETS,
    **CIFAR_RESNETS,
}

__all__ = ["NETWORKS"]
