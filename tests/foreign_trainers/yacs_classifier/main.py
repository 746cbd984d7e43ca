"""An image classifier on YACS, as one finds them: options, then KEY VALUE words."""

import argparse
import math

from config import _C as config

parser = argparse.ArgumentParser()
parser.add_argument("--cfg")
parser.add_argument("opts", nargs=argparse.REMAINDER)
args = parser.parse_args()
config.defrost()
if args.cfg:
    config.merge_from_file(args.cfg)
config.merge_from_list(args.opts)
config.freeze()
print("=> creating model", flush=True)
for epoch in range(config.TRAIN.END_EPOCH):
    loss = 2.0 / (epoch + 1)
    print("Epoch: [%d][0/10]\tLoss %.5f (%.5f)\tAccuracy@1 %.3f" % (epoch, loss, loss, 50 + epoch))
    accuracy = math.exp(-abs(math.log10(config.TRAIN.LR / 0.01))) * 64 / (64 + config.TRAIN.BATCH_SIZE_PER_GPU)
    print("=> test_accuracy %.4f" % accuracy, flush=True)
