"""Small trainers of our own writing, one for each usual layout; none of them needs a library to be read."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent


@dataclass(frozen=True)
class Layout:
    """A project's files, and what `--init` has to find: parts of the profile as YAML reads it, and of the sweep."""

    files: dict[str, str]
    profile: dict[str, object]
    parameters: frozenset[str]
    unsure: tuple[str, ...] = ()
    log: str = ""
    metric: tuple[str, str] | None = None
    words: list[str] = field(default_factory=list)


def write(layout: Layout, folder: Path) -> Path:
    """Writes the project's files below a folder; returns it."""
    for name, text in layout.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text).lstrip("\n"))
    if layout.log:
        (folder / "train.log").write_text(dedent(layout.log).lstrip("\n"))
    return folder


YACS_PACKAGE = Layout(
    {
        "settings/__init__.py": "from .tree import _C as cfg\n",
        "settings/tree.py": """
            from yacs.config import CfgNode as CN
            _C = CN()
            _C.MODEL = CN()
            _C.MODEL.DEVICE_ID = '0'
            _C.MODEL.DROP_RATE = 0.1
            _C.SOLVER = CN()
            _C.SOLVER.BASE_LR = 3e-4
            _C.SOLVER.WEIGHT_DECAY = 0.0005
            _C.SOLVER.WARMUP_EPOCHS = 5
            _C.SOLVER.WARMUP_ITERS = 500
            _C.SOLVER.MAX_EPOCHS = 60
            _C.SOLVER.SEED = 7
            _C.TEST = CN()
            _C.TEST.IMS_PER_BATCH = 256
            _C.OUTPUT_DIR = ''
            """,
        "loop.py": """
            import logging, torch
            def fit(cfg, model):
                logger = logging.getLogger('x')
                for epoch in range(cfg.SOLVER.MAX_EPOCHS):
                    lr = cfg.SOLVER.BASE_LR * min(1, epoch / cfg.SOLVER.WARMUP_EPOCHS)
                    decay, drop = cfg.SOLVER.WEIGHT_DECAY, cfg.MODEL.DROP_RATE
                    logger.info("Epoch[{}] Loss: {:.3f}".format(epoch, 1.0))
                    logger.info("val mAP: {:.1%}".format(0.5))
                    torch.save(model, cfg.OUTPUT_DIR + '/model_{}.pth'.format(epoch))
            """,
        "train.py": """
            import argparse, os
            from settings import cfg
            from loop import fit
            if __name__ == '__main__':
                parser = argparse.ArgumentParser()
                parser.add_argument("--config_file", default="", type=str)
                parser.add_argument("opts", default=None, nargs=argparse.REMAINDER)
                args = parser.parse_args()
                cfg.merge_from_file(args.config_file)
                cfg.merge_from_list(args.opts)
                os.environ['CUDA_VISIBLE_DEVICES'] = cfg.MODEL.DEVICE_ID
                fit(cfg, None)
            """,
        "test.py": "if __name__ == '__main__':\n    import argparse\n",
        "configs/market.yml": "SOLVER:\n  BASE_LR: 0.001\n",
    },
    {
        "command": ["python", "train.py", "--config_file", "{config_file}"],
        "overrides": "yacs",
        "schema": "settings/tree.py:_C",
        "output_dir_key": "OUTPUT_DIR",
        "gpu_key": "MODEL.DEVICE_ID",
        "checkpoints": ["*.pth"],
        "metric": {"name": "val/mAP", "goal": "maximize"},
        "aliases": {
            "base_lr": "SOLVER.BASE_LR",
            "weight_decay": "SOLVER.WEIGHT_DECAY",
            "warmup_epochs": "SOLVER.WARMUP_EPOCHS",
            "dropout": "MODEL.DROP_RATE",
            "max_epochs": "SOLVER.MAX_EPOCHS",
            "seed": "SOLVER.SEED",
        },
    },
    frozenset({"base_lr", "weight_decay", "warmup_epochs", "dropout"}),
)
OPTS_AND_OPTION = Layout(
    {
        "config.py": """
            from yacs.config import CfgNode as CN
            _C = CN()
            _C.TRAIN = CN()
            _C.TRAIN.BASE_LR = 0.1
            _C.TRAIN.EPOCHS = 90
            _C.DATA = CN()
            _C.DATA.BATCH_SIZE = 128
            _C.OUTPUT = ''
            _C.SEED = 0
            _C.RANK = 0
            def update(config, args):
                config.merge_from_file(args.cfg)
                if args.opts:
                    config.merge_from_list(args.opts)
                if args.output:
                    config.OUTPUT = args.output
            def get_config(args):
                config = _C.clone()
                update(config, args)
                return config
            """,
        "main.py": """
            import argparse, os
            from config import get_config
            def parse():
                parser = argparse.ArgumentParser('x', add_help=False)
                parser.add_argument('--cfg', type=str, required=True)
                parser.add_argument('--opts', default=None, nargs='+')
                parser.add_argument('--output', default='output', type=str)
                return parser.parse_known_args()[0]
            def main(config):
                rate, epochs, size = config.TRAIN.BASE_LR, config.TRAIN.EPOCHS, config.DATA.BATCH_SIZE
                rank = int(os.environ['LOCAL_RANK'])
                print(f' * Acc@1 {50.0:.3f} Acc@5 {80.0:.3f}')
            if __name__ == '__main__':
                main(get_config(parse()))
            """,
        "main_other.py": "import argparse\nif __name__ == '__main__':\n    argparse.ArgumentParser().parse_args()\n",
    },
    {
        "command": ["python", "main.py", "--cfg", "{config_file}", "--output", "{output_dir}"],
        "overrides_option": "--opts",
        "schema": "config.py:_C",
        "output_dir_key": None,
        "aliases": {
            "base_lr": "TRAIN.BASE_LR",
            "max_epochs": "TRAIN.EPOCHS",
            "ims_per_batch": "DATA.BATCH_SIZE",
            "seed": "SEED",
        },
        "metric": {"name": "Acc@1", "goal": "maximize"},
    },
    frozenset({"base_lr", "ims_per_batch"}),
    unsure=("main_other.py", "torchrun"),
    log=" * Acc@1 50.000 Acc@5 80.000\n * Acc@1 51.000 Acc@5 81.000\n",
    metric=("Acc@1", "maximize"),
)
FILE_ONLY = Layout(
    {
        "lib/config/__init__.py": "from .default import _C as config\nfrom .default import update_config\n",
        "lib/config/default.py": """
            from yacs.config import CfgNode as CN
            _C = CN()
            _C.OUTPUT_DIR = ''
            _C.GPUS = (0, 1)
            _C.TRAIN = CN()
            _C.TRAIN.LR = 0.01
            _C.TRAIN.WD = 1e-4
            _C.TRAIN.MOMENTUM = 0.9
            _C.TRAIN.END_EPOCH = 100
            def update_config(cfg, args):
                cfg.merge_from_file(args.cfg)
                if args.modelDir:
                    cfg.OUTPUT_DIR = args.modelDir
            """,
        "tools/train.py": """
            import argparse, sys
            sys.path.insert(0, 'lib')
            from config import config, update_config
            def main():
                parser = argparse.ArgumentParser()
                parser.add_argument('--cfg', required=True, type=str)
                parser.add_argument('--modelDir', type=str, default='')
                update_config(config, parser.parse_args())
                print(config.TRAIN.LR, config.TRAIN.WD, config.TRAIN.MOMENTUM, config.TRAIN.END_EPOCH)
            if __name__ == '__main__':
                main()
            """,
    },
    {
        "command": ["python", "tools/train.py", "--cfg", "{config_file}"],
        "overrides": "file",
        "gpu_key": "GPUS",
        "schema": "lib/config/default.py:_C",
        "output_dir_key": "OUTPUT_DIR",
    },
    frozenset({"base_lr", "weight_decay", "momentum"}),
    unsure=("No key of a seed", "metric to optimise is not known"),
)
ARGPARSE = Layout(
    {
        "train.py": """
            import argparse, torch
            parser = argparse.ArgumentParser()
            parser.add_argument('--lr', type=float, default=1e-3)
            parser.add_argument('--wd', '--weight-decay', type=float, default=0.01)
            parser.add_argument('--batch-size', type=int, default=32)
            parser.add_argument('--epochs', type=int, default=20)
            parser.add_argument('--save-dir', default='runs')
            parser.add_argument('--seed', type=int, default=0)
            parser.add_argument('--amp', action='store_true')
            parser.add_argument('--data', required=True)
            args = parser.parse_args()
            for epoch in range(args.epochs):
                print('epoch %d val_loss %.4f' % (epoch, 0.5))
                torch.save({}, f'{args.save_dir}/last.ckpt')
            """,
    },
    {
        "command": ["python", "train.py", "--data", "FILL_IN"],
        "overrides": "argparse",
        "schema": "argparse",
        "output_dir_key": "save-dir",
        "checkpoints": ["*.ckpt"],
        "aliases": {
            "base_lr": "lr",
            "weight_decay": "weight-decay",
            "ims_per_batch": "batch-size",
            "max_epochs": "epochs",
            "seed": "seed",
        },
        "metric": {"name": "val_loss", "goal": "minimize"},
    },
    frozenset({"base_lr", "weight_decay", "ims_per_batch"}),
    unsure=("needs --data",),
    log="epoch 0 val_loss: 0.5000 train_loss: 0.4\nepoch 1 val_loss: 0.4000 train_loss: 0.3\n",
    metric=("val_loss", "minimize"),
)
HYDRA = Layout(
    {
        "src/train.py": """
            import hydra
            @hydra.main(version_base=None, config_path="../conf", config_name="config")
            def main(cfg):
                print(f"val/f1: {0.5}")
            if __name__ == "__main__":
                main()
            """,
        "conf/config.yaml": "defaults:\n  - model: small\n  - _self_\nseed: 1\ntrainer:\n  epochs: 10\n",
        "conf/model/small.yaml": "lr: 1e-3\ndropout: 0.2\n",
    },
    {
        "command": ["python", "src/train.py"],
        "overrides": "hydra",
        "output_dir_key": "hydra.run.dir",
        "schema": {"config_path": "../conf", "config_name": "config"},
        "aliases": {"base_lr": "model.lr", "dropout": "model.dropout", "max_epochs": "trainer.epochs", "seed": "seed"},
    },
    frozenset({"base_lr", "dropout"}),
)
LAYOUTS = {
    "yacs package": YACS_PACKAGE,
    "opts and an option": OPTS_AND_OPTION,
    "file only": FILE_ONLY,
    "argparse": ARGPARSE,
    "hydra": HYDRA,
}
