"""Matrix factorisation guesses films' ratings: a script that reports to Weights & Biases."""

import numpy as np
import wandb

USERS, FILMS, RATINGS = 100, 60, 3000


def ratings():
    """Drawn: what a user thinks of a film, from four properties of both, and noise."""
    rng = np.random.default_rng(0)
    truth = rng.normal(0, 0.7, (USERS, 4)) @ rng.normal(0, 0.7, (FILMS, 4)).T + 3.5
    user, film = rng.integers(0, USERS, RATINGS), rng.integers(0, FILMS, RATINGS)
    return user, film, truth[user, film] + rng.normal(0, 0.3, RATINGS)


def main():
    wandb.init(project="films", config={"lr": 0.02, "rank": 2, "decay": 0.0, "epochs": 12})
    config = wandb.config
    user, film, stars = ratings()
    train = np.arange(RATINGS) < 0.8 * RATINGS
    rng = np.random.default_rng(1)
    of_user, of_film = rng.normal(0, 0.3, (USERS, config.rank)), rng.normal(0, 0.3, (FILMS, config.rank))
    mean = stars[train].mean()

    for epoch in range(config.epochs):
        for i in rng.permutation(np.flatnonzero(train)):
            u, f = of_user[user[i]], of_film[film[i]]
            error = stars[i] - mean - u @ f
            of_user[user[i]], of_film[film[i]] = (
                u + config.lr * (error * f - config.decay * u),
                f + config.lr * (error * u - config.decay * f),
            )
        wrong = stars - mean - np.sum(of_user[user] * of_film[film], axis=1)
        rmse = np.sqrt(np.mean(wrong[train] ** 2)), np.sqrt(np.mean(wrong[~train] ** 2))
        wandb.log({"epoch": epoch, "train_rmse": rmse[0], "val_rmse": rmse[1]})


if __name__ == "__main__":
    main()
