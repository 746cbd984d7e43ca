"""Keys of the network: backbone, neck, losses, starting weights and arithmetic."""

from __future__ import annotations

from math import inf

from yacs.config import CfgNode as CN

from modeling.backbones import BACKBONES
from modeling.heads import HEADS, POOLINGS
from utils.families import Family

MODEL = CN()
# Where to compute: auto (the first of cuda, mps, cpu that is there), cpu, mps, cuda or cuda:N. Which GPUs a
# process sees is CUDA_VISIBLE_DEVICES' business and never set here.
MODEL.DEVICE = "auto"
# Backbone: a name of those beside, timm/<name> for any network of timm, or FILE.py:NAME for your own.
MODEL.NAME = "resnet50"
# Stride of the backbone's last stage: 1 keeps a feature map twice as high and wide as 2 does. Networks of timm keep
# their own; see OUTPUT_STRIDE.
MODEL.LAST_STRIDE = 1
# Pixels of the image for one of the feature map's, of convolutional networks of timm that can change it: 8, 16 or 32.
# Where a stage loses its stride, its convolutions are dilated. 0: the network's own, mostly 32.
MODEL.OUTPUT_STRIDE = 0
# Largest probability with which a residual block is passed over in training, of transformers and networks of timm; it
# rises from 0 in the first block.
MODEL.DROP_PATH = 0.0
# Pixels from a patch to the next, down and across, of vit_…, deit_… and clip_vit_b16, whose patches are of 16 x 16; smaller:
# they overlap.
MODEL.STRIDE_SIZE = (16, 16)
# Side information of vit_…, deit_… and clip_vit_b16: add an embedding of the camera to those of the positions (to the class
# token alone in clip_vit_b16).
MODEL.SIE_CAMERA = False
# Likewise of the view, which VeRi-776 has; with SIE_CAMERA, one of each pair of camera and view.
MODEL.SIE_VIEW = False
# Factor on those embeddings.
MODEL.SIE_COE = 3.0
# Share of semantics, beside appearance, that SOLIDER's controller in a swin_… is given: 0 is appearance alone, 1 semantics
# alone, and SOLIDER's re-ID results have 0.2. -1: no controller, Swin's own network. SOLIDER's weights need the controller.
MODEL.SEMANTIC_WEIGHT = -1.0
# ReLU after the stem's batch normalisation. Published re-ID results were obtained without it.
MODEL.STEM_RELU = False
# Pooling of a ResNet's stem: padded (by one pixel on each side, as in torchvision) or ceil (no padding, the size rounded up,
# as fast-reid's networks were trained).
MODEL.STEM_POOLING = "padded"
# Non-local blocks in each of a ResNet's four stages, behind its last blocks. AGW: [0,2,3,0] in ResNet-50, [0,2,9,0] in
# ResNet-101.
MODEL.NON_LOCAL = (0, 0, 0, 0)
# Starting weights: imagenet (backbone only; from PRETRAIN_PATH, else torchvision's download), self (the whole network,
# from PRETRAIN_PATH) or none (random).
MODEL.PRETRAIN_CHOICE = "imagenet"
# File of starting weights, of this trainer or of others that docs/weights.md lists; empty: none.
MODEL.PRETRAIN_PATH = ""
# Head, the layers behind the backbone: baseline (pooling, neck and classifier, one branch), mgn (copies of a ResNet's last
# stages for global features and those of two and three stripes), clip or clip_reid (behind CLIP's image encoder, the latter
# with a first stage that learns sentences), jpm (TransReID's, of vit_… and deit_…: a branch of the whole image and one of
# each of several groups of patches), or FILE.py:NAME.
MODEL.HEAD = "baseline"
# Of jpm: shift and shuffle the patches before they are divided into groups.
MODEL.RE_ARRANGE = True
# Of jpm: the first SHIFT_NUM - 1 patches are moved behind the last.
MODEL.SHIFT_NUM = 5
# Of jpm: groups that patches are dealt out from when they are shuffled.
MODEL.SHUFFLE_GROUP = 2
# Of jpm: groups of patches, each with a branch of its own.
MODEL.DEVIDE_LENGTH = 4
# Neck between pooling and classifier: bnneck (batch normalisation with frozen bias) or no.
MODEL.NECK = "bnneck"
# Pooling of the feature map: avg, max or gem (generalised mean with a learnt exponent).
MODEL.POOLING = "avg"
# Arithmetic of the network: fp32, or mixed precision: bf16 or fp16 (with loss scaling). Weights stay float32.
MODEL.PRECISION = "fp32"
# Store feature maps with channels last, which convolutions are faster with.
MODEL.CHANNELS_LAST = True
# Compile the network with torch.compile: minutes at the start for faster steps.
MODEL.COMPILE = False
# On one GPU, replay the network's forward and backward pass as CUDA graphs, which small batches are faster with; not used,
# with a line that says why, where that cannot be. Not tried on a GPU yet.
MODEL.CUDA_GRAPHS = False
# Under torchrun, take the statistics of batch normalisation over all processes, which makes results independent of
# their number; False takes each process's own in a step, and rank 0's for evaluation and checkpoints.
MODEL.SYNC_BN = True

CHOICES: dict[str, tuple[object, ...]] = {
    "MODEL.NAME": BACKBONES.names,
    "MODEL.HEAD": HEADS.names,
    "MODEL.LAST_STRIDE": (1, 2),
    "MODEL.OUTPUT_STRIDE": (0, 8, 16, 32),
    "MODEL.STEM_POOLING": ("padded", "ceil"),
    "MODEL.PRETRAIN_CHOICE": ("imagenet", "self", "none"),
    "MODEL.NECK": ("bnneck", "no"),
    "MODEL.POOLING": POOLINGS.names,
    "MODEL.PRECISION": ("fp32", "bf16", "fp16"),
}
BOUNDS: dict[str, tuple[float, float]] = {
    "MODEL.DROP_PATH": (0, 0.95),
    "MODEL.NON_LOCAL": (0, 36),
    "MODEL.STRIDE_SIZE": (1, 16),
    "MODEL.SIE_COE": (0, inf),
    "MODEL.SEMANTIC_WEIGHT": (-1, 1),
    "MODEL.SHIFT_NUM": (1, inf),
    "MODEL.SHUFFLE_GROUP": (1, inf),
    "MODEL.DEVIDE_LENGTH": (1, inf),
}
# Tables of builders, by the key that names one; beside their names a file of the user's is allowed.
FAMILIES: dict[str, Family] = {"MODEL.NAME": BACKBONES, "MODEL.HEAD": HEADS, "MODEL.POOLING": POOLINGS}
