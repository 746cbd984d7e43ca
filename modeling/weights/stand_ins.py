"""Stand-ins for harmless objects in checkpoints beside the weights, so that no code of theirs is run, or even imported.

PyTorch's reader of weights alone (`weights_only`) refuses a file that names any class which it was not told of. Here it is
told of the classes below, each under its name and with a stand-in that takes everything and does nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any


class Opaque:
    """Stands for an object whose content is of no interest, such as a number of NumPy."""

    def __init__(self, *_arguments: Any) -> None:
        pass

    def __setstate__(self, _state: Any) -> None:
        pass


class Items:
    """Stands for a dictionary of another class; what is made is an OrderedDict, which the reader may fill."""

    def __new__(cls, *_arguments: Any) -> OrderedDict[Any, Any]:  # type: ignore[misc]
        return OrderedDict()


_OPAQUE = (
    *("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar", "numpy.dtype", "_codecs.encode"),
    *("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct", "numpy.ndarray"),
    *("argparse.Namespace", "pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath"),
    # Lightning names its callbacks by their classes before version 1.5.
    "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint",
    "pytorch_lightning.callbacks.early_stopping.EarlyStopping",
    "callbacks.chechpointer_callback.ModelCheckpointPeriodic",  # of centroids-reid
)
_ITEMS = (
    *("yacs.config.CfgNode", "fvcore.common.config.CfgNode", "fastreid.config.config.CfgNode"),
    *("pytorch_lightning.utilities.parsing.AttributeDict", "lightning_fabric.utilities.data.AttributeDict"),
    *("lightning.fabric.utilities.data.AttributeDict", "easydict.EasyDict", "addict.addict.Dict"),
)
# As torch.serialization.safe_globals takes them.
STAND_INS: list[Any] = [*((Opaque, name) for name in _OPAQUE), *((Items, name) for name in _ITEMS)]
