"""Defines the launcher's own tables in a PostgreSQL database that many machines share, beside Optuna's tables.

`yacs_sweep_sweeps` says what is searched and how it is launched, so that a machine without the sweep's folder can join.
`yacs_sweep_agents` has a row for each live agent: its lease, which the agent renews. `yacs_sweep_trials` has the content of
each trial.json; with no shared disk, these rows are the truth. `yacs_sweep_orders` is the list of what users have ordered,
and of what the launches have answered (`records.control.orders`).
"""

from __future__ import annotations

import sqlalchemy as sa

metadata = sa.MetaData()
sweeps = sa.Table(
    "yacs_sweep_sweeps",
    metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("lease", sa.Float, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
agents = sa.Table(
    "yacs_sweep_agents",
    metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("agent", sa.Text, primary_key=True),
    sa.Column("host", sa.Text, nullable=False),
    sa.Column("kernel", sa.Text, nullable=False),  # agents with the same one see each other's file locks
    sa.Column("beats", sa.BigInteger, nullable=False, default=0),
    sa.Column("beat", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.clock_timestamp()),
    sa.Column("lost", sa.Boolean, nullable=False, default=False),  # its lease has expired
    sa.Column("waits", sa.Boolean, nullable=False, default=False),  # for the others' trials, in case one is lost
)
trials = sa.Table(
    "yacs_sweep_trials",
    metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("number", sa.Integer, primary_key=True),
    sa.Column("agent", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("settled", sa.Boolean, nullable=False),
    sa.Column("row", sa.Text, nullable=False),
)
orders = sa.Table(
    "yacs_sweep_orders",
    metadata,
    sa.Column("sweep", sa.Text, primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),  # 0, 1, … in the order of the entries
    sa.Column("row", sa.Text, nullable=False),
)
