"""A module of a package, started by its name; a file holds its parameters, a variable its place."""

import json
import os
import sys

import wandb

from . import model

assert os.environ["PLACE"].endswith("/ABSENT") and os.environ["PLACE"] != "/ABSENT"
with open(sys.argv[sys.argv.index("--params") + 1]) as file:
    params = json.load(file)
wandb.init(config=params)
for epoch in range(params["epochs"]):
    wandb.log({"epoch": epoch, "loss": model.loss(params["lr"], params["wd"], epoch)})
