"""Looks at an entry script without running any of it.

    python3 -I -S -B prs_gpu_check.py SCRIPT

Prints one JSON object: the interpreter's "version" and "executable", and of the script the "names"
it defines at its top level, "stars" (modules from which everything is imported: what those define
is not known), or "error". Also runs under interpreters of the wrong version, to say so.
"""

import ast
import json
import sys


def target_names(target):
    """The names that an assignment to `target` defines."""
    if isinstance(target, ast.Name):
        return [target.id]
    if isinstance(target, (ast.Tuple, ast.List)):
        return [name for element in target.elts for name in target_names(element)]
    return []


def blocks(statement):
    """The lists of statements inside a statement that are of the same scope."""
    for field in ("body", "orelse", "finalbody"):
        yield getattr(statement, field, [])
    for handler in getattr(statement, "handlers", []):
        yield handler.body


def collect(statements, names, stars):
    """Adds what `statements` define to `names`, and modules imported by * to `stars`."""
    for statement in statements:
        if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.append(statement.name)
            continue
        if isinstance(statement, ast.Assign):
            for target in statement.targets:
                names.extend(target_names(target))
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            names.extend(target_names(statement.target))
        elif isinstance(statement, ast.Import):
            names.extend((a.asname or a.name.split(".")[0]) for a in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            for alias in statement.names:
                if alias.name == "*":
                    stars.append("." * statement.level + (statement.module or ""))
                else:
                    names.append(alias.asname or alias.name)
        for block in blocks(statement):
            collect(block, names, stars)


def main():
    report = {"version": list(sys.version_info[:2]), "executable": sys.executable or "",
              "names": [], "stars": [], "error": ""}
    try:
        with open(sys.argv[1], "rb") as script:
            tree = ast.parse(script.read(), sys.argv[1])
        collect(tree.body, report["names"], report["stars"])
    except SyntaxError as error:
        report["error"] = "line %s: %s: %s" % (error.lineno, type(error).__name__, error.msg)
        if error.text:
            report["error"] += ": " + error.text.strip()
    except (ValueError, RecursionError, OSError) as error:
        report["error"] = "%s: %s" % (type(error).__name__, error)
    print(json.dumps(report))


if __name__ == "__main__":
    main()
