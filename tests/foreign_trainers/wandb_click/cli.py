"""A command line of click's; the epoch is the step."""

import click
import wandb


@click.command()
@click.option("--lr", type=float, default=0.1)
@click.option("--hidden_size", type=int, default=8)
@click.option("--verbose", type=bool, default=False)
def main(lr, hidden_size, verbose):
    with wandb.init(config={"lr": lr, "hidden_size": hidden_size}, tags=["cli"], name=f"lr={lr}") as run:
        for epoch in range(0, 30, 10):
            run.log({"loss": 1 / (epoch + 1)}, step=epoch)
            run.log({"rmse": lr * 10 / run.config.hidden_size / (epoch + 1)}, step=epoch)
            print(f"epoch {epoch} loss={1 / (epoch + 1):.2f} rmse={lr:.1f}")


main()
