"""How fast the emulated Marketo takes leads over HTTP, limits off: whatever is measured against it must be slower."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched, islice
