"""The command line. Import it before torch and lightning: how threads wait, and what is imported, is settled here."""

import os
import sys
import time
from importlib.util import find_spec

from datamodules.loading.die_with_parent import end_with_launcher
from scripts.cli.lazy_dynamo import import_when_compiling
from scripts.cli.lazy_packages import import_lazily

STARTED = time.perf_counter()  # of this process, nearly

# By default an idle thread spins for milliseconds, which is a catastrophe where another process wants its core: a
# step of 40 ms was measured to take 1,000 ms and more next to other jobs, and 120 to 400 ms with a short spin. Threads
# that never spin make a model of many small operations twice as slow on a machine of its own.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "3000")

if missing := [package for package in ("yaml", "torch", "lightning") if find_spec(package) is None]:
    sys.exit(
        f"error: {sys.executable} lacks {', '.join(missing)}: activate the virtual environment of the project, or "
        f"install it: pip install -e ."
    )
import_lazily()
import_when_compiling()
end_with_launcher()
