"""GoogLeNet in plain PyTorch: torchvision's, and the paper's under the same names."""

from typing import Any

from peers.pytorch import torch

nn = torch.nn
_Module: Any = nn.Module  # untyped here, so its subclasses carry an ignore

# Table 1 of the paper: 1×1, 3×3 reduced, 3×3, 5×5 reduced, 5×5, after pooling.
_TABLE: dict[str, tuple[int, ...]] = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}


class Convolution(_Module):  # type: ignore[misc]
    """torchvision's BasicConv2d; the paper's has a bias and no BatchNorm."""

    def __init__(self, norm: bool, channels: int, filters: int, kernel: int, **more: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, filters, kernel, bias=not norm, **more)
        if norm:
            self.bn = nn.BatchNorm2d(filters, eps=0.001)
        self.norm = norm

    def forward(self, x: Any) -> Any:
        y = self.conv(x)
        return (self.bn(y) if self.norm else y).relu()


class Inception(_Module):  # type: ignore[misc]
    def __init__(self, norm: bool, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        one, three_reduced, three, five_reduced, five, pooled = widths
        size = 3 if norm else 5
        self.branch1 = Convolution(norm, channels, one, 1)
        self.branch2 = nn.Sequential(
            Convolution(norm, channels, three_reduced, 1),
            Convolution(norm, three_reduced, three, 3, padding=1),
        )
        self.branch3 = nn.Sequential(
            Convolution(norm, channels, five_reduced, 1),
            Convolution(norm, five_reduced, five, size, padding=size // 2),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, 1, ceil_mode=True), Convolution(norm, channels, pooled, 1)
        )

    def forward(self, x: Any) -> Any:
        branches = self.branch1, self.branch2, self.branch3, self.branch4
        return torch.cat([branch(x) for branch in branches], 1)


class Head(_Module):  # type: ignore[misc]
    def __init__(self, norm: bool, channels: int, classes: int) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(4) if norm else nn.AvgPool2d(5, 3)
        self.conv = Convolution(norm, channels, 128, 1)
        self.fc1, self.fc2 = nn.Linear(2048, 1024), nn.Linear(1024, classes)

    def forward(self, x: Any) -> Any:
        return self.fc2(self.fc1(self.conv(self.pool(x)).flatten(1)).relu())


class GoogLeNet(_Module):  # type: ignore[misc]
    """Without dropout. In training, the logits and those of both heads, first head first."""

    def __init__(self, *, norm: bool, heads: bool, classes: int = 1000) -> None:
        super().__init__()
        self.norm, self.heads = norm, heads
        self.conv1 = Convolution(norm, 3, 64, 7, stride=2, padding=3)
        self.conv2 = Convolution(norm, 64, 64, 1)
        self.conv3 = Convolution(norm, 64, 192, 3, padding=1)
        channels = 192
        for name, widths in _TABLE.items():
            self.add_module(f"inception{name}", Inception(norm, channels, widths))
            channels = widths[0] + widths[2] + widths[4] + widths[5]
        if heads:
            self.aux1, self.aux2 = Head(norm, 512, classes), Head(norm, 528, classes)
        self.fc = nn.Linear(1024, classes)

    def forward(self, x: Any) -> Any:
        functional = nn.functional
        x = functional.max_pool2d(self.conv1(x), 3, 2, ceil_mode=True)
        if not self.norm:
            x = functional.local_response_norm(x, 5)
        x = self.conv3(self.conv2(x))
        if not self.norm:
            x = functional.local_response_norm(x, 5)
        x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
        extra = []
        for name in _TABLE:
            x = getattr(self, f"inception{name}")(x)
            if self.heads and self.training and name in ("4a", "4d"):
                extra.append((self.aux1 if name == "4a" else self.aux2)(x))
            if name == "3b":
                x = functional.max_pool2d(x, 3, 2, ceil_mode=True)
            if name == "4e":
                x = functional.max_pool2d(x, 2 if self.norm else 3, 2, ceil_mode=True)
        logits = self.fc(x.mean((2, 3)))
        return (logits, *extra) if extra else logits
