"""From what run() returns to rows of the output file (E5, E6, O2)."""

import csv
import io
import json
import math
import os
import sys


class WrongResult(TypeError):
    """run() returned what is no result."""


def plain(value):
    """What JSON has no form for, as something that it has one for."""
    if hasattr(value, "tolist"):  # NumPy's scalars and arrays, and what behaves like them.
        return value.tolist()
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "isoformat"):
        return value.isoformat()
    if isinstance(value, (set, frozenset)):
        return list(value)
    raise TypeError(f"a value of type {type(value).__name__} has no form in JSON")


def finite(value):
    """The same with "NaN", "Infinity" and "-Infinity" for the numbers that JSON has no form for."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, dict):
        return {key: finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(one) for one in value]
    return finite(plain(value)) if hasattr(value, "tolist") else value


def _is_a(value, module, name):
    """isinstance() by a class of a module that may not be imported: then it is none."""
    loaded = sys.modules.get(module)
    kind = getattr(loaded, name, None)
    return isinstance(kind, type) and isinstance(value, kind)


def _escaped(text):
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace("\r", "\\r")


def _lines(rows):
    return "\n".join(rows) + "\n" if rows else ""


class RowWriter:
    """Writes the results of one worker. `output_format`: "text", "csv" or "jsonl"."""

    def __init__(self, output_format, counts_only, safe_output, dataframe_header):
        self._format = output_format
        self._counts_only = counts_only
        self._safe = safe_output and output_format == "text"
        self._dataframe_header = dataframe_header
        self._columns = None  # Of dict rows in CSV: those of the first one.

    def write(self, result):
        """(rows as bytes, each ended by a newline; their number; header or "")."""
        header = ""
        if isinstance(result, (list, tuple)):
            rows = result
        elif _is_a(result, "pandas", "DataFrame"):
            if self._counts_only:
                return b"", len(result), ""
            text, header = self._frame(result)
            return self._bytes(text), len(result), header
        elif _is_a(result, "pandas", "Series") or (
                _is_a(result, "numpy", "ndarray") and result.ndim > 0):
            rows = list(result)
        else:
            what = "None" if result is None else "a value of type " + type(result).__name__
            if _is_a(result, "numpy", "ndarray"):
                what = "a NumPy array without dimensions"
            raise WrongResult(f"run() returned {what}; it must return a list, a tuple, a pandas "
                              "DataFrame or Series, or a NumPy array, with one row an item")
        if self._counts_only:
            return b"", len(rows), ""
        if self._format == "jsonl":
            text = _lines([json.dumps(row, ensure_ascii=False, default=plain) for row in rows])
        elif self._format == "csv":
            text, header = self._csv(rows)
        elif self._safe:
            text = _lines([_escaped(str(row)) for row in rows])
        else:
            text = _lines(list(map(str, rows)))
        return self._bytes(text), len(rows), header

    @staticmethod
    def _bytes(text):
        try:
            # Names of files that are no UTF-8 come out as the bytes that they are.
            return text.encode("utf-8", "surrogateescape")
        except UnicodeEncodeError:
            return text.encode("utf-8", "backslashreplace")

    def _frame(self, frame):
        if self._format == "jsonl":
            text = frame.to_json(orient="records", lines=True, force_ascii=False,
                                 date_format="iso")
            return (text if text.endswith("\n") or not text else text + "\n"), ""
        separator = "," if self._format == "csv" else " "
        if self._safe:
            frame = frame.apply(lambda column: column.map(
                lambda cell: _escaped(cell) if isinstance(cell, str) else cell))
        text = frame.to_csv(sep=separator, header=False, index=False)
        header = ""
        if self._format == "csv" or self._dataframe_header:
            header = frame.iloc[:0].to_csv(sep=separator, index=False)
        return text, header

    def _csv(self, rows):
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        for number, row in enumerate(rows):
            if isinstance(row, dict):
                writer.writerow(self._dict_fields(number, row))
            elif isinstance(row, (list, tuple)) or _is_a(row, "numpy", "ndarray"):
                writer.writerow(row)
            else:
                writer.writerow([row])
        header = ""
        if self._columns is not None:
            line = io.StringIO()
            csv.writer(line, lineterminator="\n").writerow(self._columns)
            header = line.getvalue()
        return out.getvalue(), header

    def _dict_fields(self, number, row):
        if self._columns is None:
            self._columns = list(row)
        elif row.keys() != set(self._columns):
            raise WrongResult(f"row {number} has the columns {list(row)}, earlier rows have "
                              f"{self._columns}; all rows of a CSV file have the same")
        return [row[column] for column in self._columns]
