"""A loopback W&B server for tests: the operations that the wandb 0.31 client sends to run sweeps.

``start_server()`` runs it in a thread of the test; ``python -m tests.wandb_server`` runs it as a process.
Where the behaviour of the real, closed server is not public the guess is named beside the code.
"""

from tests.wandb_server.control import Control, RemoteControl
from tests.wandb_server.faults import Fault
from tests.wandb_server.server import WandbServer, client_env, start_server

__all__ = ["Control", "Fault", "RemoteControl", "WandbServer", "client_env", "start_server"]
