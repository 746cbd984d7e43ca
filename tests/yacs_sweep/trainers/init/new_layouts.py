"""Four more trainers of our own writing: made when the code that reads them was done, as a new user's would be."""

from __future__ import annotations

from tests.yacs_sweep.trainers.init.layouts import Layout

GROUPED_OPTIONS = Layout(
    {
        "segnet/__init__.py": "",
        "segnet/options.py": """
            import argparse

            def build_parser():
                parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
                data = parser.add_argument_group('data')
                data.add_argument('--data_root', default='data')
                optim = parser.add_argument_group('optimisation')
                optim.add_argument('--learning_rate', type=float, default=6e-5, help='of AdamW')
                optim.add_argument('--weight_decay', type=float, default=0.01)
                optim.add_argument('--batch_size', '-b', type=int, default=8)
                optim.add_argument('--num_epochs', type=int, default=80)
                optim.add_argument('--dropout', type=float, default=0.1)
                run = parser.add_argument_group('run')
                run.add_argument('--exp_dir', type=str, default='experiments/default')
                run.add_argument('--gpu', type=str, default='0')
                run.add_argument('--random_seed', type=int, default=1234)
                run.add_argument('--resume', action='store_true')
                return parser
            """,
        "segnet/engine.py": """
            import os
            import torch

            class Trainer:
                def __init__(self, opt):
                    self.opt = opt

                def run(self):
                    for epoch in range(self.opt.num_epochs):
                        print(f'[{epoch:03d}/{self.opt.num_epochs}] train loss: {0.1:.4f}')
                        print(f'[{epoch:03d}] val mIoU: {0.5:.4f}, val loss: {0.2:.4f}')
                        self.save_model(epoch)

                def save_model(self, epoch):
                    torch.save({}, os.path.join(self.opt.exp_dir, f'epoch_{epoch}.pt'))
            """,
        "train.py": """
            import os
            from segnet.options import build_parser
            from segnet.engine import Trainer

            def main():
                opt = build_parser().parse_args()
                os.environ['CUDA_VISIBLE_DEVICES'] = opt.gpu
                Trainer(opt).run()

            if __name__ == '__main__':
                main()
            """,
        "evaluate.py": "import argparse\nif __name__ == '__main__':\n    argparse.ArgumentParser().parse_args()\n",
    },
    {
        "command": ["python", "train.py"],
        "overrides": "argparse",
        "schema": "argparse",
        "output_dir_key": "exp_dir",
        "gpu_key": "gpu",
        "checkpoints": ["*.pt"],
        "metric": {"name": "val/mIoU", "goal": "maximize"},
        "aliases": {
            "base_lr": "learning_rate",
            "weight_decay": "weight_decay",
            "ims_per_batch": "batch_size",
            "max_epochs": "num_epochs",
            "dropout": "dropout",
            "seed": "random_seed",
        },
    },
    frozenset({"base_lr", "weight_decay", "dropout", "ims_per_batch"}),
    log="[000/80] train loss: 0.1000\n[000] val mIoU: 0.5000, val loss: 0.2000\n",
    metric=("val/mIoU", "maximize"),
)
FUNCTION_TREE = Layout(
    {
        "core/defaults.py": """
            from yacs.config import CfgNode as ConfigurationNode

            __C = ConfigurationNode()
            __C.OPTIMIZER = ConfigurationNode()
            __C.OPTIMIZER.LR = 0.02
            __C.OPTIMIZER.WD = 0.0001
            __C.SCHEDULE = ConfigurationNode(dict(TOTAL_EPOCHS=12, WARMUP_EPOCHS=1))
            __C.DATASET = ConfigurationNode()
            __C.DATASET.BATCH_SIZE = 16
            __C.EVAL = ConfigurationNode()
            __C.EVAL.BATCH_SIZE = 64
            __C.RESULTS_DIR = 'results'
            __C.RNG_SEED = None

            def get_cfg_defaults():
                return __C.clone()
            """,
        "scripts/train_net.py": """
            import argparse
            import logging
            import os
            import sys
            sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..'))
            from core import defaults

            log = logging.getLogger(__name__)

            def setup(arguments):
                configuration = defaults.get_cfg_defaults()
                configuration.merge_from_file(arguments.config)
                configuration.merge_from_list(arguments.set)
                configuration.freeze()
                return configuration

            def main():
                parser = argparse.ArgumentParser()
                parser.add_argument('--config', required=True)
                parser.add_argument('--set', nargs='*', default=[])
                cfg = setup(parser.parse_args())
                rate, decay = cfg.OPTIMIZER.LR, cfg.OPTIMIZER.WD
                for epoch in range(cfg.SCHEDULE.TOTAL_EPOCHS + cfg.SCHEDULE.WARMUP_EPOCHS):
                    log.info('epoch %d: top1_err %.2f', epoch, 20.0)
                log.info('%s', cfg.DATASET.BATCH_SIZE)

            if __name__ == '__main__':
                main()
            """,
        "experiments/r50.yaml": "OPTIMIZER:\n  LR: 0.04\n",
    },
    {
        "command": ["python", "scripts/train_net.py", "--config", "{config_file}"],
        "overrides": "yacs",
        "overrides_option": "--set",
        "schema": "core/defaults.py:__C",
        "output_dir_key": "RESULTS_DIR",
        "aliases": {
            "base_lr": "OPTIMIZER.LR",
            "weight_decay": "OPTIMIZER.WD",
            "ims_per_batch": "DATASET.BATCH_SIZE",
            "max_epochs": "SCHEDULE.TOTAL_EPOCHS",
            "warmup_epochs": "SCHEDULE.WARMUP_EPOCHS",
            "seed": "RNG_SEED",
        },
    },
    frozenset({"base_lr", "weight_decay", "warmup_epochs", "ims_per_batch"}),
    log="epoch 0: top1_err 20.00\nepoch 1: top1_err 19.00\n",
    metric=("top1_err", "minimize"),
)
PLAIN_YAML = Layout(
    {
        "run.py": """
            import sys, yaml, argparse

            def train(config):
                for epoch in range(config['training']['epochs']):
                    print('epoch:', epoch, 'val_auc:', 0.5)

            if __name__ == '__main__':
                ap = argparse.ArgumentParser()
                ap.add_argument('-c', '--config', default='config.yaml')
                with open(ap.parse_args().config) as f:
                    train(yaml.safe_load(f))
            """,
        "config.yaml": """
            training:
              lr: 0.001
              epochs: 30
              batch_size: 64
              seed: 3
            model:
              dropout: 0.25
            output_dir: runs/one
            """,
    },
    {
        "command": ["python", "run.py", "--config", "{config_file}"],
        "overrides": "file",
        "output_dir_key": "output_dir",
        "aliases": {
            "base_lr": "training.lr",
            "max_epochs": "training.epochs",
            "ims_per_batch": "training.batch_size",
            "dropout": "model.dropout",
            "seed": "training.seed",
        },
    },
    frozenset({"base_lr", "dropout", "ims_per_batch"}),
    log="epoch: 0 val_auc: 0.5\nepoch: 1 val_auc: 0.6\n",
    metric=("val_auc", "maximize"),
)
HYDRA_GROUPS = Layout(
    {
        "main.py": """
            import logging
            import hydra
            from omegaconf import DictConfig

            logger = logging.getLogger(__name__)

            @hydra.main(config_path="configs", config_name="default.yaml", version_base="1.3")
            def run(cfg: DictConfig) -> float:
                for epoch in range(cfg.trainer.max_epochs):
                    logger.info(f"Epoch {epoch}: val/acc={0.9:.3f} train/loss={0.1:.3f}")
                return 0.9

            if __name__ == "__main__":
                run()
            """,
        "configs/default.yaml": """
            defaults:
              - optimizer: adamw
              - data: cifar
              - _self_
            trainer:
              max_epochs: 100
            seed: 42
            """,
        "configs/optimizer/adamw.yaml": "_target_: torch.optim.AdamW\nlr: 3e-4\nweight_decay: 0.05\n",
        "configs/data/cifar.yaml": "batch_size: 128\nnum_workers: 4\n",
    },
    {
        "command": ["python", "main.py"],
        "overrides": "hydra",
        "output_dir_key": "hydra.run.dir",
        "schema": {"config_path": "configs", "config_name": "default"},
        "aliases": {
            "base_lr": "optimizer.lr",
            "weight_decay": "optimizer.weight_decay",
            "ims_per_batch": "data.batch_size",
            "max_epochs": "trainer.max_epochs",
            "seed": "seed",
        },
    },
    frozenset({"base_lr", "weight_decay", "ims_per_batch"}),
    log="Epoch 0: val/acc=0.900 train/loss=0.100\nEpoch 1: val/acc=0.910 train/loss=0.090\n",
    metric=("val/acc", "maximize"),
)
NEW_LAYOUTS = {
    "grouped options": GROUPED_OPTIONS,
    "tree of a function": FUNCTION_TREE,
    "plain YAML": PLAIN_YAML,
    "Hydra groups": HYDRA_GROUPS,
}
