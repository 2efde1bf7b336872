"""Pre-train on a folder of pictures and use the backbone: python examples/pretrain.py photos/"""

import sys

import torch

import unlabel

result = unlabel.pretrain("simclr", data=sys.argv[1], budget="10m")
print(result.verdict.sentence)
print("report:", result.report)

backbone = unlabel.load(result.folder)
with torch.inference_mode():
    print("features of two noise images:", backbone(torch.randn(2, 3, 32, 32)).shape)
