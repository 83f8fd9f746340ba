"""The literature's networks in plain PyTorch, with torchvision's names and torchvision's layers."""

from collections import OrderedDict
from typing import Any

from peers.pytorch import torch

nn = torch.nn
_Module: Any = nn.Module  # untyped here, so its subclasses carry an ignore


class Block(_Module):  # type: ignore[misc]
    """torchvision's BasicBlock, or its Bottleneck (He et al. 2015)."""

    def __init__(
        self, channels: int, filters: int, *, stride: int, bottleneck: bool, first: int = 1
    ) -> None:
        super().__init__()
        out = 4 * filters if bottleneck else filters
        steps = [(filters, 3, stride), (filters, 3, 1)]
        if bottleneck:  # `first` is the stride of the 1×1 convolution
            steps = [(filters, 1, first), (filters, 3, stride // first), (out, 1, 1)]
        width = channels
        for number, (to, kernel, step) in enumerate(steps, 1):
            conv = nn.Conv2d(width, to, kernel, step, kernel // 2, bias=False)
            self.add_module(f"conv{number}", conv)
            self.add_module(f"bn{number}", nn.BatchNorm2d(to))
            width = to
        self.steps = len(steps)
        self.downsample = None
        if stride > 1 or channels != out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: Any) -> Any:
        y = x
        for number in range(1, self.steps + 1):
            y = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(y))
            if number < self.steps:
                y = y.relu()
        return (y + (x if self.downsample is None else self.downsample(x))).relu()


def resnet(blocks: tuple[int, ...], *, bottleneck: bool, stride_in: str = "3x3") -> Any:
    modules: list[tuple[str, Any]] = [
        ("conv1", nn.Conv2d(3, 64, 7, 2, 3, bias=False)),
        ("bn1", nn.BatchNorm2d(64)),
        ("relu", nn.ReLU()),
        ("maxpool", nn.MaxPool2d(3, 2, 1)),
    ]
    channels = 64
    for stage, count in enumerate(blocks):
        made = []
        for number in range(count):
            stride = 2 if stage and number == 0 else 1
            first = stride if stride_in == "1x1" else 1
            filters = 64 << stage
            made.append(Block(channels, filters, stride=stride, bottleneck=bottleneck, first=first))
            channels = 4 * filters if bottleneck else filters
        modules.append((f"layer{stage + 1}", nn.Sequential(*made)))
    modules += [
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(channels, 1000)),
    ]
    return nn.Sequential(OrderedDict(modules))


class CifarBlock(_Module):  # type: ignore[misc]
    """A block of the residual networks for small images, or of their plain twins."""

    def __init__(self, channels: int, filters: int, *, shortcut: str) -> None:
        super().__init__()
        self.stride = 1 if channels == filters else 2
        self.conv1 = nn.Conv2d(channels, filters, 3, self.stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.shortcut, self.zeros = shortcut, filters - channels
        if shortcut == "B" and self.stride == 2:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, filters, 1, 2, bias=False), nn.BatchNorm2d(filters)
            )

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))
        if self.shortcut == "none":
            return y.relu()
        if self.stride == 1:
            return (y + x).relu()
        if self.shortcut == "B":
            return (y + self.downsample(x)).relu()
        taken = x[:, :, ::2, ::2]
        return (y + nn.functional.pad(taken, (0, 0, 0, 0, 0, self.zeros))).relu()


def cifar_resnet(depth: int, *, shortcut: str) -> Any:
    modules: list[tuple[str, Any]] = [
        ("conv1", nn.Conv2d(3, 16, 3, 1, 1, bias=False)),
        ("bn1", nn.BatchNorm2d(16)),
        ("relu", nn.ReLU()),
    ]
    for stage in range(3):
        channels = [16 << max(stage - 1, 0)] + [16 << stage] * ((depth - 2) // 6 - 1)
        blocks = [CifarBlock(one, 16 << stage, shortcut=shortcut) for one in channels]
        modules.append((f"layer{stage + 1}", nn.Sequential(*blocks)))
    modules += [
        ("avgpool", nn.AdaptiveAvgPool2d(1)),
        ("flatten", nn.Flatten()),
        ("fc", nn.Linear(64, 10)),
    ]
    return nn.Sequential(OrderedDict(modules))


def lenet() -> Any:
    return nn.Sequential(
        OrderedDict(
            [
                ("conv1", nn.Conv2d(1, 6, 5, padding=2)),
                ("act1", nn.ReLU()),
                ("pool1", nn.MaxPool2d(2)),
                ("conv2", nn.Conv2d(6, 16, 5)),
                ("act2", nn.ReLU()),
                ("pool2", nn.MaxPool2d(2)),
                ("flatten", nn.Flatten()),
                ("fc1", nn.Linear(400, 120)),
                ("act3", nn.ReLU()),
                ("fc2", nn.Linear(120, 84)),
                ("act4", nn.ReLU()),
                ("fc3", nn.Linear(84, 10)),
            ]
        )
    )


def _classified(features: list[Any], head: list[Any], *, pooled: int = 0) -> Any:
    modules = [("features", nn.Sequential(*features))]
    if pooled:
        modules.append(("avgpool", nn.AdaptiveAvgPool2d(pooled)))
    modules += [("flatten", nn.Flatten()), ("classifier", nn.Sequential(*head))]
    return nn.Sequential(OrderedDict(modules))


def _relus(*modules: Any) -> list[Any]:
    return [one for module in modules for one in (module, nn.ReLU())]


def course_alexnet(*, groups: int = 1, dropout: float = 0.5) -> Any:
    norm = nn.LocalResponseNorm(5, alpha=5e-4, k=2)
    features = [
        *_relus(nn.Conv2d(3, 96, 11, 4)),
        nn.MaxPool2d(3, 2),
        norm,
        *_relus(nn.Conv2d(96, 256, 5, padding=2, groups=groups)),
        nn.MaxPool2d(3, 2),
        norm,
        *_relus(
            nn.Conv2d(256, 384, 3, padding=1),
            nn.Conv2d(384, 384, 3, padding=1, groups=groups),
            nn.Conv2d(384, 256, 3, padding=1, groups=groups),
        ),
        nn.MaxPool2d(3, 2),
    ]
    head = [
        *_relus(nn.Linear(9216, 4096)),
        nn.Dropout(dropout),
        *_relus(nn.Linear(4096, 4096)),
        nn.Dropout(dropout),
        nn.Linear(4096, 1000),
    ]
    return _classified(features, head)


def zfnet() -> Any:
    norm = nn.LocalResponseNorm(5, alpha=5e-4, k=2)
    features = [
        *_relus(nn.Conv2d(3, 96, 7, 2, 1)),
        nn.MaxPool2d(3, 2, 1),
        norm,
        *_relus(nn.Conv2d(96, 256, 5, 2)),
        nn.MaxPool2d(3, 2, 1),
        norm,
        *_relus(
            nn.Conv2d(256, 384, 3, padding=1),
            nn.Conv2d(384, 384, 3, padding=1),
            nn.Conv2d(384, 256, 3, padding=1),
        ),
        nn.MaxPool2d(3, 2),
    ]
    head = [
        *_relus(nn.Linear(9216, 4096)),
        nn.Dropout(),
        *_relus(nn.Linear(4096, 4096)),
        nn.Dropout(),
        nn.Linear(4096, 1000),
    ]
    return _classified(features, head)


def torchvision_alexnet() -> Any:
    features = [
        *_relus(nn.Conv2d(3, 64, 11, 4, 2)),
        nn.MaxPool2d(3, 2),
        *_relus(nn.Conv2d(64, 192, 5, padding=2)),
        nn.MaxPool2d(3, 2),
        *_relus(
            nn.Conv2d(192, 384, 3, padding=1),
            nn.Conv2d(384, 256, 3, padding=1),
            nn.Conv2d(256, 256, 3, padding=1),
        ),
        nn.MaxPool2d(3, 2),
    ]
    head = [
        nn.Dropout(),
        *_relus(nn.Linear(9216, 4096)),
        nn.Dropout(),
        *_relus(nn.Linear(4096, 4096)),
        nn.Linear(4096, 1000),
    ]
    return _classified(features, head, pooled=6)


def vgg(counts: tuple[int, ...], *, batch_norm: bool = False) -> Any:
    features, channels = [], 3
    for filters, count in zip((64, 128, 256, 512, 512), counts, strict=True):
        for _ in range(count):
            features.append(nn.Conv2d(channels, filters, 3, padding=1))
            features += [nn.BatchNorm2d(filters)] if batch_norm else []
            features.append(nn.ReLU())
            channels = filters
        features.append(nn.MaxPool2d(2))
    head = [
        *_relus(nn.Linear(25088, 4096)),
        nn.Dropout(),
        *_relus(nn.Linear(4096, 4096)),
        nn.Dropout(),
        nn.Linear(4096, 1000),
    ]
    return _classified(features, head, pooled=7)
