"""Takes what a Hydra application takes: key=value words, here read without Hydra."""

import json
import os
import sys

config = {"optim.lr": "0.1", "model.backbone": "resnet18", "train.num_epochs": "2", "hydra.run.dir": "outputs"}
for word in sys.argv[1:]:
    key, equals, value = word.partition("=")
    if not equals or key not in config:
        sys.exit("error: Could not override '%s'" % key)
    config[key] = value
with open(os.path.join(config["hydra.run.dir"], "config.json"), "w") as file:
    json.dump(config, file)
bonus = {"resnet18": 0.0, "resnet50": 0.1}[config["model.backbone"]]
for epoch in range(int(config["train.num_epochs"])):
    print("\rtraining:  %d%%|#####     | %d/2" % (50 * epoch, epoch), end="")
    print("\repoch=%d train_loss=%.3e val_miou=%.4f" % (epoch, 1 / (epoch + 1), float(config["optim.lr"]) + bonus), flush=True)
