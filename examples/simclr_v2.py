"""SimCLR v2 in three stages, labels for a tenth of the images: python examples/simclr_v2.py photos/CLASS-FOLDERS"""

import sys

import unlabel

data = sys.argv[1] if len(sys.argv) > 1 else "shapes:2000"

# 1. Without labels: contrast, with a projector of three layers.
pretrained = unlabel.pretrain("simclr_v2", data=data, budget="5m")
print(pretrained.verdict.sentence)

# 2. With a tenth of the labels, from the first layer of the projector on.
tuned = unlabel.finetune(pretrained.folder, labels=0.1)
print(tuned.verdict.sentence)

# 3. Without labels again: a student learns what the fine-tuned network says of all images.
student = unlabel.distil(tuned.folder, backbone="tiny_resnet")
print(student.verdict.sentence)
print("report:", student.report)
