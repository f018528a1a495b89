"""read_csv.py FILE BYTES REPEATS: pandas alone. Prints the median milliseconds in which read_csv makes
a DataFrame of the first BYTES bytes of FILE, cut at a line's end, from memory."""

import io
import statistics
import sys
import time

import pandas


def main():
    with open(sys.argv[1], "rb") as file:
        data = file.read(int(sys.argv[2]))
    data = data[: data.rindex(b"\n") + 1]
    times = []
    for _ in range(int(sys.argv[3])):
        start = time.perf_counter()
        pandas.read_csv(io.BytesIO(data))
        times.append(time.perf_counter() - start)
    print(statistics.median(times) * 1e3)


if __name__ == "__main__":
    main()
