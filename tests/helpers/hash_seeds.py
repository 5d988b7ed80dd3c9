"""Sets up every kind of data, and writes down all that could depend on the order of a set; test_orders.py starts it."""

import json
import sys
from pathlib import Path
from typing import Any

from torch import Tensor

from tests.helpers.small_data import CASES


def plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, Tensor) else value


if __name__ == "__main__":
    found = {}
    for name, folder in json.loads(sys.argv[1]).items():
        data = CASES[name].ready(Path(folder))
        found[name] = {
            "state": {key: plain(value) for key, value in data.state_dict().items()},
            "splits": [split.tolist() for split in data.splits],
            "fingerprint": data.fingerprint,
        }
    print(json.dumps(found, default=plain))
