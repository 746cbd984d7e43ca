"""Keys of the network: backbone, neck, losses, starting weights and arithmetic."""

from __future__ import annotations

from yacs.config import CfgNode as CN

MODEL = CN()
# Where to compute: auto (the first of cuda, mps, cpu that is there), cpu, mps, cuda or cuda:N. Which GPUs a
# process sees is CUDA_VISIBLE_DEVICES' business and never set here.
MODEL.DEVICE = "auto"
# Backbone: resnet18, resnet34, resnet50, resnet101, resnet152, resnet50_ibn_a, se_resnet50, se_resnet101,
# se_resnet152, se_resnext50, se_resnext101, senet154, mobilenet_v2, or timm/<name> for any network of timm.
MODEL.NAME = "resnet50"
# Stride of the backbone's last stage: 1 keeps a feature map twice as high and wide as 2 does. Networks of timm keep
# their own.
MODEL.LAST_STRIDE = 1
# ReLU after the stem's batch normalisation. Published re-ID results were obtained without it.
MODEL.STEM_RELU = False
# Starting weights: imagenet (backbone only; from PRETRAIN_PATH, else torchvision's download), self (a
# checkpoint of this trainer or a state dict, from PRETRAIN_PATH) or none (random).
MODEL.PRETRAIN_CHOICE = "imagenet"
# File of starting weights; empty: none.
MODEL.PRETRAIN_PATH = ""
# Head between backbone and classifier: bnneck (batch normalisation with frozen bias) or no.
MODEL.NECK = "bnneck"
# Pooling of the feature map: avg or gem (generalised mean with a learnt exponent).
MODEL.POOLING = "avg"
# Label smoothing of the identity loss with epsilon 0.1: on or off.
MODEL.IF_LABELSMOOTH = "on"
# Identity loss, of the samplers with softmax: softmax, or a softmax of cosines with a margin: cosface, arcface or
# circle.
MODEL.ID_LOSS_TYPE = "softmax"
# Loss over the pairs of a batch, of the samplers with triplet: triplet (batch-hard) or circle; triplet_center is
# triplet, and center none, beside center loss.
MODEL.METRIC_LOSS_TYPE = "triplet"
# Adds center loss: yes or no.
MODEL.IF_WITH_CENTER = "no"
# Arithmetic of the network: fp32, or mixed precision: bf16 or fp16 (with loss scaling). Weights stay float32.
MODEL.PRECISION = "fp32"
# Store feature maps with channels last, which convolutions are faster with.
MODEL.CHANNELS_LAST = True
# Compile the network with torch.compile: minutes at the start for faster steps.
MODEL.COMPILE = False
# Under torchrun, take the statistics of batch normalisation over all processes, which makes results independent of
# their number; False takes each process's own.
MODEL.SYNC_BN = True

CHOICES: dict[str, tuple[object, ...]] = {
    "MODEL.NAME": (
        "resnet18",
        "resnet34",
        "resnet50",
        "resnet101",
        "resnet152",
        "resnet50_ibn_a",
        "se_resnet50",
        "se_resnet101",
        "se_resnet152",
        "se_resnext50",
        "se_resnext101",
        "senet154",
        "mobilenet_v2",
    ),
    "MODEL.LAST_STRIDE": (1, 2),
    "MODEL.PRETRAIN_CHOICE": ("imagenet", "self", "none"),
    "MODEL.NECK": ("bnneck", "no"),
    "MODEL.POOLING": ("avg", "gem"),
    "MODEL.IF_LABELSMOOTH": ("on", "off"),
    "MODEL.ID_LOSS_TYPE": ("softmax", "cosface", "arcface", "circle"),
    "MODEL.METRIC_LOSS_TYPE": ("triplet", "circle", "triplet_center", "center"),
    "MODEL.IF_WITH_CENTER": ("yes", "no"),
    "MODEL.PRECISION": ("fp32", "bf16", "fp16"),
}
