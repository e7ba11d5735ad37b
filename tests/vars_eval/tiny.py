"""Models small enough to score a benchmark in a moment; named as `tiny:build` on the command line."""

import torch
from timm.layers import Attention
from torch import Tensor, nn

SIDE = 64
SEED = 6  # right on some images and wrong on others, clean and attacked


class TinyNet(nn.Module):
    """Four classes from 64 x 64 pixels, with the layers that betray a wrong mode: BatchNorm and dropout."""

    def __init__(self, classes: int = 4, seed: int = SEED) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.stem = nn.Conv2d(3, 16, 8, stride=8)
        self.norm = nn.BatchNorm2d(16)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(16, classes)
        for parameter in (self.stem.weight, self.stem.bias, self.head.weight):
            nn.init.normal_(parameter, std=0.3, generator=generator)
        nn.init.zeros_(self.head.bias)
        # An attention that can be looked at and changes nothing.
        self.attn = Attention(16, num_heads=2)
        nn.init.normal_(self.attn.qkv.weight, std=0.5, generator=generator)
        nn.init.zeros_(self.attn.proj.weight)
        nn.init.zeros_(self.attn.proj.bias)
        self.pretrained_cfg = {"input_size": (3, SIDE, SIDE), "architecture": "tiny"}

    def reset_classifier(self, num_classes: int) -> None:
        self.head = nn.Linear(16, num_classes)

    def forward(self, pixels: Tensor) -> Tensor:
        features = self.drop(nn.functional.gelu(self.norm(self.stem(pixels))))
        tokens = features.flatten(2).transpose(1, 2)
        features = features + self.attn(tokens).transpose(1, 2).unflatten(2, features.shape[2:])
        return self.head(features.mean((2, 3)))


class Greedy(TinyNet):
    """Runs out of memory above a number of images."""

    most = 3

    def forward(self, pixels: Tensor) -> Tensor:
        if len(pixels) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1.00 GiB.")
        return super().forward(pixels)


class Constant(nn.Module):
    """Gives the same logits for every image."""

    def __init__(self, logits: Tensor, side: int = 32) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)
        self.pretrained_cfg = {"input_size": (3, side, side), "architecture": "constant"}

    def forward(self, pixels: Tensor) -> Tensor:
        return self.logits + 0 * pixels.mean((1, 2, 3))[:, None]


def build(**kwargs: int) -> nn.Module:
    return TinyNet(**kwargs)
