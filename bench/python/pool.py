"""What ParallelRunStep's users would write themselves: multiprocessing.Pool over the same files.

pool.py FOLDER SIZE WORKERS: prints the seconds from the first result to the last, and how many
results there were before the last. Only starting the pool is left out.
"""

import os
import sys
import time
from multiprocessing import Pool

from noop import run


def main():
    folder, size, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    paths = sorted(os.path.join(folder, name) for name in os.listdir(folder))
    mini_batches = [paths[i:i + size] for i in range(0, len(paths), size)]
    with Pool(workers) as pool:
        results = pool.imap_unordered(run, mini_batches)
        next(results)
        start = time.perf_counter()
        rows = sum(len(result) for result in results)
        seconds = time.perf_counter() - start
    assert rows == len(paths) - size
    print(seconds, len(mini_batches) - 1)


if __name__ == "__main__":
    main()
