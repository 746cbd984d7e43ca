"""Short logs in the formats of fourteen public trainers, of our own writing, with what the generic reader makes of them.

Formats: the projects' public sources, as of the commits in `LOGS`. Each begins with what such a trainer prints of its
configuration, environment and model, in which there are no metrics.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

Number = int | float

YACS = """\
DATALOADER:
  NUM_INSTANCE: 4
  NUM_WORKERS: 8
  SAMPLER: softmax_triplet
DATASETS:
  NAMES: ('market1501',)
INPUT:
  DO_FLIP: True
  PADDING: 10
  PIXEL_MEAN: [0.485, 0.456, 0.406]
  PROB: 0.5
SOLVER:
  BASE_LR: 0.00035
  IMS_PER_BATCH: 64
  MAX_EPOCHS: 120
  SEED: None
TEST:
  IMS_PER_BATCH: 128
  RE_RANKING: False
"""
ENVIRONMENT = """\
PyTorch version: 1.13.1
Is debug build: False
CUDA used to build PyTorch: 11.7
ROCM used to build PyTorch: N/A
Python version: 3.8 (64-bit runtime)
Is CUDA available: True
GPU 0: NVIDIA A100
cuDNN version: 8500
"""
ARGUMENTS = (
    "Namespace(config_file='c.yml', eval_only=False, lr=0.1, num_gpus=1, opts=['SOLVER.BASE_LR', '0.1'], seed=3)"
)
MODEL = """\
Net(
  (conv1): Conv2d(3, 64, kernel_size=(7, 7), stride=(2, 2), bias=False)
  (bn1): BatchNorm2d(64, eps=1e-05, momentum=0.1, affine=True)
  (drop): Dropout(p=0.1, inplace=False)
)
"""


@dataclass(frozen=True)
class PublicLog:
    """A trainer's log; `rows` is all that is read, `missed` what is printed and not read."""

    source: str
    text: str
    rows: tuple[dict[str, Number], ...]
    missed: tuple[str, ...] = ()


def lines(prefix: str, *texts: str) -> str:
    return "".join(f"{prefix}{text}\n" for text in texts)


def strong_baseline(logger: str, iteration: str = "Iteration", per: str = "batch") -> str:
    prefix = f"2026-01-01 12:00:00,123 {logger} INFO: "
    return lines(prefix, "Using 1 GPUS", ARGUMENTS, "Loaded configuration file c.yml", "Running with config:") + (
        YACS
        + "=> Market1501 loaded\nDataset statistics:\n  ----------------------------------------\n"
        + "  subset   | # ids | # images | # cameras\n  train    |   751 |    12936 |         6\n"
        + lines(
            prefix,
            "start training",
            f"Epoch[1] {iteration}[20/183] Loss: 6.512, Acc: 0.017, Base Lr: 3.50e-05",
            f"Epoch 1 done. Time per {per}: 0.213[s] Speed: 300.1[samples/s]",
            "-" * 10,
            "Validation Results - Epoch: 1",
            "mAP: 4.4%",
            "CMC curve, Rank-1  :11.9%",
            "CMC curve, Rank-5  :24.0%",
            "CMC curve, Rank-10 :32.1%",
        )
    )


SWIN = "\x1b[32m[2026-01-01 12:00:00 swin_tiny]\x1b[0m\x1b[33m(main.py 222)\x1b[0m: INFO "
TEXTS = {
    "jongphago": strong_baseline("reid_baseline.train"),
    "reid_strong_baseline": strong_baseline("reid_baseline.train"),
    "transreid": strong_baseline("transreid.train"),
    "solider": strong_baseline("transreid.train", "Iter", "epoch"),
    "clip_reid": lines(
        "2026-01-01 12:00:00,123 transreid.train INFO: ",
        "Epoch[1] Iteration[50/201] Loss: 3.210, Base Lr: 3.50e-04",
    )
    + strong_baseline("transreid.train"),
    "fast_reid": lines(
        "\x1b[32m[01/01 12:00:00 fastreid]: \x1b[0m",
        "Rank of current process: 0. World size: 1",
        "Running with full config:\n" + YACS.rstrip(),
        "Model:\n" + MODEL.rstrip(),
        "=> Loaded Market1501 in csv format: \n\x1b[36m| subset   | # ids   | # images   | # cameras   |\n"
        "|:---------|:--------|:-----------|:------------|\n| train    | 751     | 12936      | 6           |\x1b[0m",
        "Starting training from epoch 0",
        " eta: 1:12:33  epoch/iter: 0/199  total_loss: 6.512  loss_cls: 6.1  loss_triplet: 0.41  time: 0.2412  "
        "data_time: 0.0012  lr: 3.50e-05  max_mem: 10240M",
        "Start inference on 19281 images",
        "Inference done 11/151. 0.0512 s / batch. ETA=0:00:07",
        "Total inference time: 0:00:07.512 (0.051 s / batch per device, on 1 devices)",
        "Evaluation results in csv format: \n\x1b[36m| Dataset    | Rank-1   | Rank-5   | mAP   | mINP   | metric   |\n"
        "|:-----------|:---------|:---------|:------|:-------|:---------|\n"
        "| Market1501 | 94.42    | 98.10    | 86.06 | 60.11  | 90.24    |\x1b[0m",
        " eta: 1:12:13  epoch/iter: 0/209  total_loss: 6.4  loss_cls: 6.0  loss_triplet: 0.4  time: 0.2412  "
        "data_time: 0.0012  lr: 3.50e-05  max_mem: 10240M",
    ),
    "torchreid": "Show configuration\n"
    + "adam:\n  beta1: 0.9\n  beta2: 0.999\ncuhk03:\n  labeled_images: False\n  use_metric: False\ntest:\n  eval_freq: 10\n"
    + "train:\n  batch_size: 32\n  fixbase_epoch: 5\n  lr: 0.0003\n  max_epoch: 60\n  open_layers: ['classifier']\n\n"
    + "Collecting env info ...\n** System info **\n"
    + ENVIRONMENT
    + "Building model: osnet_x1_0\nModel complexity: params=2,193,616 flops=978,878,352\n=> Start training\n"
    + "epoch: [1/60][20/404]\ttime 0.250 (0.300)\tdata 0.010 (0.020)\teta 1:02:03\tloss 6.5120 (6.6100)\tacc 1.0000 (2.0000)\t"
    + "lr 0.000300\n##### Evaluating market1501 (source) #####\nExtracting features from query set ...\n"
    + "Done, obtained 3368-by-512 matrix\nSpeed: 0.0213 sec/batch\n** Results **\nmAP: 44.1%\nCMC curve\n"
    + 'Rank-1  : 61.0%\nRank-5  : 70.0%\nCheckpoint saved to "log/model/model.pth.tar-1"\n',
    "swin": lines(
        SWIN,
        "Full config saved to output/config.json",
        "AMP_ENABLE: True\nAUG:\n  AUTO_AUGMENT: rand-m9-mstd0.5-inc1\n  COLOR_JITTER: 0.4\n  CUTMIX: 1.0\n"
        "  CUTMIX_MINMAX: null\nBASE:\n- ''\nDATA:\n  BATCH_SIZE: 128\nPRINT_FREQ: 10\nSEED: 0",
        '{"cfg": "configs/swin.yaml", "opts": null, "batch_size": 128, "zip": false, "local_rank": 0, "fused_layernorm": false}',
        "Creating model:swin/swin_tiny",
        "number of params: 28288354",
        "Start training",
        "Train: [0/300][10/1251]\teta 2 days, 3:04:05 lr 0.000001\t wd 0.0500\ttime 0.2500 (0.3000)\tloss 6.9120 (6.9300)\t"
        "grad_norm 1.2500 (1.3000)\tloss_scale 65536.0000 (65536.0000)\tmem 5012MB",
        "EPOCH 0 training takes 0:05:00",
        "Test: [0/98]\tTime 0.512 (0.512)\tLoss 6.8120 (6.8130)\tAcc@1 1.562 (1.570)\tAcc@5 4.688 (4.700)\tMem 5012MB",
        " * Acc@1 1.570 Acc@5 4.710",
        "Accuracy of the network on the 50000 test images: 1.6%",
        "Max accuracy: 1.57%",
    ),
    "pycls": lines(
        "[meters.py: 153]: ",
        'json_stats: {"BN": {"EPS": 1e-05, "MOM": 0.1}, "OPTIM": {"BASE_LR": 0.1, "MAX_EPOCH": 100}, "_type": "cfg"}',
        'json_stats: {"_type": "train_iter", "epoch": "1/100", "eta": "1 day, 02:03:04", "iter": "2/4", "loss": 6.9123, '
        '"lr": 0.1, "mem": 5012, "time_avg": 0.25, "time_diff": 0.26, "top1_err": 99.5, "top5_err": 97.0}',
        'json_stats: {"_type": "train_epoch", "epoch": "1/100", "eta": "02:03:04", "loss": 6.8, "lr": 0.1, "mem": 5012, '
        '"time_avg": 0.25, "time_epoch": 1.0, "top1_err": 99.0, "top5_err": 96.0}',
        'json_stats: {"_type": "test_iter", "epoch": "1/100", "iter": "1/2", "mem": 5012, "time_avg": 0.1, "time_diff": 0.1, '
        '"top1_err": 98.0, "top5_err": 95.0}',
        'json_stats: {"_type": "test_epoch", "epoch": "1/100", "max_top1_err": 98.5, "mem": 5012, "min_top1_err": 98.5, '
        '"min_top5_err": 95.0, "time_avg": 0.1, "time_epoch": 0.2, "top1_err": 98.5, "top5_err": 95.0}',
    ),
    "slowfast": lines(
        "[01/01 12:00:00][INFO] slowfast.utils.logging:   99: ",
        "Train with config:",
        "CfgNode({'AUG': CfgNode({'ENABLE': False, 'NUM_SAMPLE': 1}), 'BN': CfgNode({'WEIGHT_DECAY': 0.0}), 'RNG_SEED': 0})",
        'json_stats: {"_type": "train_iter_", "cur_epoch": "1/196", "cur_iter": "10", "dt": 0.51234, "dt_data": 0.01, '
        '"dt_net": 0.5, "eta": "5:04:03", "gpu_mem": "10.21G", "loss": 5.99123, "lr": 0.05, "top1_err": 99.0, "top5_err": 95.0}',
        'json_stats: {"RAM": "52.10/503.77G", "_type": "train_epoch", "cur_epoch": "1/196", "dt": 0.5, "dt_data": 0.01, '
        '"dt_net": 0.5, "eta": "5:04:03", "gpu_mem": "10.21G", "loss": 5.9, "lr": 0.05, "top1_err": 98.0, "top5_err": 94.0}',
        'json_stats: {"_type": "val_iter", "cur_epoch": "1/196", "cur_iter": "10", "eta": "0:00:03", "gpu_mem": "10.21G", '
        '"time_diff": 0.3, "top1_err": 97.5, "top5_err": 93.0}',
        'json_stats: {"RAM": "52.10/503.77G", "_type": "val_epoch", "cur_epoch": "1/196", "gpu_mem": "10.21G", '
        '"min_top1_err": 97.0, "min_top5_err": 93.0, "time_diff": 0.3, "top1_err": 97.0, "top5_err": 93.0}',
        'json_stats: {"split": "test_final", "top1_acc": "41.20", "top5_acc": "66.10"}',
    ),
    "detectron2": lines(
        "[01/01 12:00:00 d2.engine]: ",
        "Environment info:\n----------------------  ---------------\nsys.platform            linux\n"
        "Pillow                  9.4.0\n----------------------  ---------------",
        "Command line arguments: " + ARGUMENTS,
        "Running with full config:\n\x1b[5mCUDNN_BENCHMARK: False\x1b[0m\n" + YACS.rstrip(),
        "Distribution of instances among all 2 categories:\n|  category  | #instances   |  category  | #instances   |\n"
        "|:----------:|:-------------|:----------:|:-------------|\n|   person   | 257253       |  bicycle   | 7056         |",
        " eta: 0:03:04  iter: 19  total_loss: 1.512  loss_cls: 0.9  loss_box_reg: 0.6    time: 0.2412  last_time: 0.2500  "
        "data_time: 0.0012  last_data_time: 0.0010   lr: 0.0002  max_mem: 2048M",
        "Average Precision  (AP) @[ IoU=0.50:0.95 | area=   all | maxDets=100 ] = 0.379",
        "Average Precision  (AP) @[ IoU=0.50      | area=   all | maxDets=100 ] = 0.571",
        "Evaluation results for bbox: \n|   AP   |  AP50  |  AP75  |\n|:------:|:------:|:------:|\n| 37.931 | 57.140 |  nan   |",
        "Per-category bbox AP: \n| category   | AP     | category   | AP     |\n|:-----------|:-------|:-----------|:-------|\n"
        "| person     | 51.2   | bicycle    | 24.6   |",
        "copypaste: Task: bbox",
        "copypaste: AP,AP50,AP75",
        "copypaste: 37.9312,57.1400,nan",
        " eta: 0:03:01  iter: 39  total_loss: 1.4  loss_cls: 0.8  loss_box_reg: 0.6    time: 0.2412  last_time: 0.2500  "
        "data_time: 0.0012  last_data_time: 0.0010   lr: 0.0003  max_mem: 2048M",
    ),
    "maskrcnn_benchmark": lines(
        "2026-01-01 12:00:00,123 maskrcnn_benchmark INFO: ",
        "Collecting env info (might take some time)",
        "\n" + ENVIRONMENT.rstrip(),
        "Running with config:\n" + YACS.rstrip(),
        "Start training",
        "eta: 1 day, 2:03:04  iter: 20  loss: 1.5120 (1.6000)  loss_mask: 0.6000 (0.7000)  time: 0.5000 (0.6000)  "
        "data: 0.0100 (0.0200)  lr: 0.002500  max mem: 5120",
        "Start evaluation on [Validation] dataset(5000 images).",
        "OrderedDict([('bbox', OrderedDict([('AP', 0.3779), ('AP50', 0.5901)]))])\n"
        "Task: bbox\nAP, AP50, APs\n0.3779, 0.5901, -1.0000\n"
        "Task: segm\nAP, AP50, APs\n0.3412, 0.5602, 0.1000",
        "[Validation]:   eta: 1 day, 2:03:04  iter: 20  loss: 9.9900 (9.8700)  loss_mask: 0.5000 (0.6000)  lr: 0.002500  "
        "max mem: 5120",
    ),
    "hrnet_pose": lines(
        "2026-01-01 12:00:00,123 ",
        "Namespace(cfg='c.yaml', dataDir='', logDir='', modelDir='', opts=[], prevModelDir='')",
        "\n" + YACS.rstrip(),
        "=> load 149813 samples",
        "Epoch: [0][0/1170]\tTime 2.512s (2.512s)\tSpeed 51.0 samples/s\tData 1.2s (1.2s)\tLoss 0.00251 (0.00253)\t"
        "Accuracy 0.012 (0.011)",
        "Test: [0/199]\tTime 0.512 (0.513)\tLoss 0.0021 (0.0022)\tAccuracy 0.021 (0.022)",
        "=> writing results json to output/keypoints.json",
        "| Arch | AP | Ap .5 | AP .75 | AR |",
        "|---|---|---|---|---|",
        "| pose_hrnet | 0.701 | 0.888 | 0.771 | 0.761 |",
        "=> saving checkpoint to output/coco",
    ),
    "hrnet_cls": lines(
        "2026-01-01 12:00:00,123 ",
        "Namespace(cfg='c.yaml', dataDir='', logDir='', modelDir='', testModel='')",
        "CfgNode({'AUTO_RESUME': True, 'CUDNN': CfgNode({'BENCHMARK': True, 'ENABLED': True}), 'PRINT_FREQ': 100})",
        "Epoch: [0][0/5005]\tTime 2.512s (2.512s)\tSpeed 51.0 samples/s\tData 1.2s (1.2s)\tLoss 6.91200 (6.93000)\t"
        "Accuracy@1 0.100 (0.110)\tAccuracy@5 0.500 (0.510)\t",
        "Test: Time 0.512\tLoss 6.8120\tError@1 99.500\tError@5 98.000\tAccuracy@1 0.500\tAccuracy@5 2.000\t",
        "=> saving checkpoint to output/imagenet",
    ),
}
LOGS: dict[str, PublicLog] = {
    "jongphago": PublicLog(
        "jongphago/reid-strong-baseline 1118bd4",
        TEXTS["jongphago"],
        (
            {"Loss": 6.512, "Acc": 0.017, "Lr": 3.5e-05, "epoch": 1},
            {"Speed": 300.1, "epoch": 1},
            {"mAP": 4.4, "epoch": 1, "Rank-1": 11.9, "Rank-5": 24.0, "Rank-10": 32.1},
        ),
        ("Time per batch",),
    ),
    "reid_strong_baseline": PublicLog(
        "michuanhaohao/reid-strong-baseline 3da7e6f",
        TEXTS["reid_strong_baseline"],
        (
            {"Loss": 6.512, "Acc": 0.017, "Lr": 3.5e-05, "epoch": 1},
            {"Speed": 300.1, "epoch": 1},
            {"mAP": 4.4, "epoch": 1, "Rank-1": 11.9, "Rank-5": 24.0, "Rank-10": 32.1},
        ),
        ("Time per batch",),
    ),
    "transreid": PublicLog(
        "damo-cv/TransReID dec5504",
        TEXTS["transreid"],
        (
            {"Loss": 6.512, "Acc": 0.017, "Lr": 3.5e-05, "epoch": 1},
            {"Speed": 300.1, "epoch": 1},
            {"mAP": 4.4, "epoch": 1, "Rank-1": 11.9, "Rank-5": 24.0, "Rank-10": 32.1},
        ),
        ("Time per batch",),
    ),
    "solider": PublicLog(
        "tinyvision/SOLIDER-REID 8c08e1c",
        TEXTS["solider"],
        (
            {"Loss": 6.512, "Acc": 0.017, "Lr": 3.5e-05, "epoch": 1},
            {"Speed": 300.1, "epoch": 1},
            {"mAP": 4.4, "epoch": 1, "Rank-1": 11.9, "Rank-5": 24.0, "Rank-10": 32.1},
        ),
        ("Time per epoch",),
    ),
    "clip_reid": PublicLog(
        "Syliz517/CLIP-ReID eb1898b",
        TEXTS["clip_reid"],
        (
            {"Loss": 3.21, "Lr": 0.00035, "epoch": 1},
            {"Loss": 6.512, "Acc": 0.017, "Lr": 3.5e-05, "epoch": 1},
            {"Speed": 300.1, "epoch": 1},
            {"mAP": 4.4, "epoch": 1, "Rank-1": 11.9, "Rank-5": 24.0, "Rank-10": 32.1},
        ),
        ("Time per batch",),
    ),
    "fast_reid": PublicLog(
        "JDAI-CV/fast-reid c9bc3ce",
        TEXTS["fast_reid"],
        (
            {
                "iter": 199,
                "total_loss": 6.512,
                "loss_cls": 6.1,
                "loss_triplet": 0.41,
                "time": 0.2412,
                "data_time": 0.0012,
                "lr": 3.5e-05,
                "epoch": 0,
            },
            {
                "Market1501/Rank-1": 94.42,
                "Market1501/Rank-5": 98.1,
                "Market1501/mAP": 86.06,
                "Market1501/mINP": 60.11,
                "Market1501/metric": 90.24,
                "epoch": 0,
            },
            {
                "iter": 209,
                "total_loss": 6.4,
                "loss_cls": 6.0,
                "loss_triplet": 0.4,
                "time": 0.2412,
                "data_time": 0.0012,
                "lr": 3.5e-05,
                "epoch": 0,
            },
        ),
        ("max_mem",),
    ),
    "torchreid": PublicLog(
        "KaiyangZhou/deep-person-reid f8cd150",
        TEXTS["torchreid"],
        (
            {
                "time": 0.25,
                "time_avg": 0.3,
                "data": 0.01,
                "data_avg": 0.02,
                "loss": 6.512,
                "loss_avg": 6.61,
                "acc": 1.0,
                "acc_avg": 2.0,
                "lr": 0.0003,
                "epoch": 1,
            },
            {"Speed": 0.0213, "epoch": 1, "mAP": 44.1, "Rank-1": 61.0, "Rank-5": 70.0},
        ),
        (),
    ),
    "swin": PublicLog(
        "microsoft/Swin-Transformer f82860b",
        TEXTS["swin"],
        (
            {"params": 28288354},
            {
                "lr": 1e-06,
                "wd": 0.05,
                "time": 0.25,
                "time_avg": 0.3,
                "loss": 6.912,
                "loss_avg": 6.93,
                "grad_norm": 1.25,
                "grad_norm_avg": 1.3,
                "loss_scale": 65536.0,
                "loss_scale_avg": 65536.0,
                "epoch": 0,
            },
            {
                "test/Time": 0.512,
                "test/Time_avg": 0.512,
                "test/Loss": 6.812,
                "test/Loss_avg": 6.813,
                "test/Acc@1": 1.562,
                "test/Acc@1_avg": 1.57,
                "test/Acc@5": 4.688,
                "test/Acc@5_avg": 4.7,
                "epoch": 0,
            },
            {"Acc@1": 1.57, "Acc@5": 4.71, "epoch": 0},
            {"max_accuracy": 1.57, "epoch": 0},
        ),
        (
            "mem",
            "Accuracy of the network",
        ),
    ),
    "pycls": PublicLog(
        "facebookresearch/pycls 5719de6",
        TEXTS["pycls"],
        (
            {
                "train_iter/iter": 2,
                "train_iter/loss": 6.9123,
                "train_iter/lr": 0.1,
                "train_iter/mem": 5012,
                "train_iter/time_avg": 0.25,
                "train_iter/time_diff": 0.26,
                "train_iter/top1_err": 99.5,
                "train_iter/top5_err": 97.0,
                "epoch": 1,
            },
            {
                "train_epoch/loss": 6.8,
                "train_epoch/lr": 0.1,
                "train_epoch/mem": 5012,
                "train_epoch/time_avg": 0.25,
                "train_epoch/time_epoch": 1.0,
                "train_epoch/top1_err": 99.0,
                "train_epoch/top5_err": 96.0,
                "epoch": 1,
            },
            {
                "test_iter/iter": 1,
                "test_iter/mem": 5012,
                "test_iter/time_avg": 0.1,
                "test_iter/time_diff": 0.1,
                "test_iter/top1_err": 98.0,
                "test_iter/top5_err": 95.0,
                "epoch": 1,
            },
            {
                "test_epoch/max_top1_err": 98.5,
                "test_epoch/mem": 5012,
                "test_epoch/min_top1_err": 98.5,
                "test_epoch/min_top5_err": 95.0,
                "test_epoch/time_avg": 0.1,
                "test_epoch/time_epoch": 0.2,
                "test_epoch/top1_err": 98.5,
                "test_epoch/top5_err": 95.0,
                "epoch": 1,
            },
        ),
        (),
    ),
    "slowfast": PublicLog(
        "facebookresearch/SlowFast 287ec00",
        TEXTS["slowfast"],
        (
            {
                "train_iter/cur_iter": 10,
                "train_iter/dt": 0.51234,
                "train_iter/dt_data": 0.01,
                "train_iter/dt_net": 0.5,
                "train_iter/loss": 5.99123,
                "train_iter/lr": 0.05,
                "train_iter/top1_err": 99.0,
                "train_iter/top5_err": 95.0,
                "epoch": 1,
            },
            {
                "train_epoch/dt": 0.5,
                "train_epoch/dt_data": 0.01,
                "train_epoch/dt_net": 0.5,
                "train_epoch/loss": 5.9,
                "train_epoch/lr": 0.05,
                "train_epoch/top1_err": 98.0,
                "train_epoch/top5_err": 94.0,
                "epoch": 1,
            },
            {
                "val_iter/cur_iter": 10,
                "val_iter/time_diff": 0.3,
                "val_iter/top1_err": 97.5,
                "val_iter/top5_err": 93.0,
                "epoch": 1,
            },
            {
                "val_epoch/min_top1_err": 97.0,
                "val_epoch/min_top5_err": 93.0,
                "val_epoch/time_diff": 0.3,
                "val_epoch/top1_err": 97.0,
                "val_epoch/top5_err": 93.0,
                "epoch": 1,
            },
            {"test_final/top1_acc": 41.2, "test_final/top5_acc": 66.1, "epoch": 1},
        ),
        (
            "gpu_mem",
            "RAM",
        ),
    ),
    "detectron2": PublicLog(
        "facebookresearch/detectron2 02b5c4e",
        TEXTS["detectron2"],
        (
            {
                "iter": 19,
                "total_loss": 1.512,
                "loss_cls": 0.9,
                "loss_box_reg": 0.6,
                "time": 0.2412,
                "last_time": 0.25,
                "data_time": 0.0012,
                "last_data_time": 0.001,
                "lr": 0.0002,
            },
            {"bbox/AP": 37.931, "bbox/AP50": 57.14, "bbox/AP75": math.nan},
            {
                "iter": 39,
                "total_loss": 1.4,
                "loss_cls": 0.8,
                "loss_box_reg": 0.6,
                "time": 0.2412,
                "last_time": 0.25,
                "data_time": 0.0012,
                "last_data_time": 0.001,
                "lr": 0.0003,
            },
        ),
        (
            "max_mem",
            "Average Precision  (AP) @[",
            "person",
        ),
    ),
    "maskrcnn_benchmark": PublicLog(
        "facebookresearch/maskrcnn-benchmark 57eec25",
        TEXTS["maskrcnn_benchmark"],
        (
            {
                "iter": 20,
                "loss": 1.512,
                "loss_avg": 1.6,
                "loss_mask": 0.6,
                "loss_mask_avg": 0.7,
                "time": 0.5,
                "time_avg": 0.6,
                "data": 0.01,
                "data_avg": 0.02,
                "lr": 0.0025,
                "max_mem": 5120,
            },
            {"bbox/AP": 0.3779, "bbox/AP50": 0.5901, "bbox/APs": -1.0},
            {"segm/AP": 0.3412, "segm/AP50": 0.5602, "segm/APs": 0.1},
            {
                "iter": 20,
                "val/loss": 9.99,
                "val/loss_avg": 9.87,
                "val/loss_mask": 0.5,
                "val/loss_mask_avg": 0.6,
                "lr": 0.0025,
                "val/max_mem": 5120,
            },
        ),
        (),
    ),
    "hrnet_pose": PublicLog(
        "leoxiaobin/deep-high-resolution-net.pytorch 6f69e46",
        TEXTS["hrnet_pose"],
        (
            {"Loss": 0.00251, "Loss_avg": 0.00253, "Accuracy": 0.012, "Accuracy_avg": 0.011, "epoch": 0},
            {
                "test/Time": 0.512,
                "test/Time_avg": 0.513,
                "test/Loss": 0.0021,
                "test/Loss_avg": 0.0022,
                "test/Accuracy": 0.021,
                "test/Accuracy_avg": 0.022,
                "epoch": 0,
            },
            {
                "pose_hrnet/AP": 0.701,
                "pose_hrnet/Ap .5": 0.888,
                "pose_hrnet/AP .75": 0.771,
                "pose_hrnet/AR": 0.761,
                "epoch": 0,
            },
        ),
        (
            "Speed",
            "Data",
        ),
    ),
    "hrnet_cls": PublicLog(
        "HRNet/HRNet-Image-Classification f760c98",
        TEXTS["hrnet_cls"],
        (
            {
                "Loss": 6.912,
                "Loss_avg": 6.93,
                "Accuracy@1": 0.1,
                "Accuracy@1_avg": 0.11,
                "Accuracy@5": 0.5,
                "Accuracy@5_avg": 0.51,
                "epoch": 0,
            },
            {
                "test/Loss": 6.812,
                "test/Error@1": 99.5,
                "test/Error@5": 98.0,
                "test/Accuracy@1": 0.5,
                "test/Accuracy@5": 2.0,
                "epoch": 0,
            },
        ),
        (
            "Speed",
            "Data",
        ),
    ),
}
