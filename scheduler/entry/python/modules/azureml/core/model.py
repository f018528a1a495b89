"""azureml.core.model: models by name, from folders of this machine.

A model NAME is looked for, in this order:
  $AZUREML_MODEL_DIR/NAME                 the step's model
  $AZUREML_MODEL_DIR                      when it, or the one file in it, bears the name
  $PRS_MODEL_REGISTRY/NAME[/VERSION]      a folder of models that the user keeps
  azureml-models/NAME[/VERSION]           where azureml-core itself puts downloaded models
NAME may come with or without the file's extension. Of several versions (folders named by numbers)
the newest is taken.
"""

import os
import shutil

__all__ = ["Model", "ModelNotFoundException"]


class ModelNotFoundException(Exception):
    """No model of that name; the message says where it was looked for."""


def _versions(folder):
    return sorted((int(name) for name in os.listdir(folder) if name.isdecimal()), reverse=True)


def _registries():
    registry = os.environ.get("PRS_MODEL_REGISTRY")
    return ([registry] if registry else []) + ["azureml-models"]


def _named(folder, name):
    """The entry of `folder` that is called `name`, or `name` with an extension; None."""
    if not os.path.isdir(folder):
        return None
    exact = os.path.join(folder, name)
    if os.path.exists(exact):
        return exact
    found = sorted(entry for entry in os.listdir(folder) if os.path.splitext(entry)[0] == name)
    return os.path.join(folder, found[0]) if found else None


def _version(path, version):
    """What a registry's entry means: its version's only file, or the folder; None."""
    if not os.path.isdir(path):
        return path if version is None else None
    versions = _versions(path)
    if versions or version is not None:
        wanted = versions[0] if version is None else int(version)
        if wanted not in versions:
            return None
        path = os.path.join(path, str(wanted))
        entries = os.listdir(path)
        if len(entries) == 1:
            path = os.path.join(path, entries[0])
    return path


class Model:
    """A file or folder with a name."""

    def __init__(self, workspace=None, name=None, id=None, version=None, **named):
        if id is not None:
            name, _, after = id.partition(":")
            version = after or version
        self.workspace = workspace
        self.name = name
        self._path = self.get_model_path(name, version)
        self.version = int(version) if version is not None else self._found_version()
        self.id = f"{self.name}:{self.version}"

    def _found_version(self):
        for part in (self._path, os.path.dirname(self._path)):
            if os.path.basename(part).isdecimal():
                return int(os.path.basename(part))
        return 1

    @staticmethod
    def get_model_path(model_name, version=None, _workspace=None):
        """The path of a model's file or folder. Raises ModelNotFoundException."""
        looked = []
        own = os.environ.get("AZUREML_MODEL_DIR")
        if own:
            looked.append(own)
            found = _named(own, model_name)
            if found is not None:
                path = _version(found, version if os.path.isdir(found) and _versions(found)
                                else None)
                if path is not None:
                    return path
            if os.path.basename(os.path.normpath(own)) == model_name:
                return own
        for registry in _registries():
            looked.append(os.path.abspath(registry))
            found = _named(registry, model_name)
            path = _version(found, version) if found is not None else None
            if path is not None:
                return path
        wanted = model_name if version is None else f"{model_name}, version {version}"
        raise ModelNotFoundException(
            f"no model {wanted} in {', '.join(looked)}; name the step's model (model: PATH), or "
            "set PRS_MODEL_REGISTRY to a folder with NAME or NAME/VERSION in it")

    @staticmethod
    def list(workspace=None, name=None, **named):
        """The models of AZUREML_MODEL_DIR and of the registries."""
        names = {}
        for folder in [os.environ.get("AZUREML_MODEL_DIR"), *_registries()]:
            if folder and os.path.isdir(folder):
                for entry in sorted(os.listdir(folder)):
                    names.setdefault(entry)
        return [Model(workspace, entry) for entry in names if name is None or entry == name]

    def download(self, target_dir=".", exist_ok=False, exists_ok=None):
        """Copies the model into `target_dir`; gives the path of the copy."""
        exist_ok = exist_ok if exists_ok is None else exists_ok
        os.makedirs(target_dir, exist_ok=True)
        target = os.path.join(target_dir, os.path.basename(self._path))
        if os.path.exists(target) and not exist_ok:
            raise FileExistsError(f"{target} is there already; exist_ok=True replaces it")
        if os.path.isdir(self._path):
            shutil.copytree(self._path, target, dirs_exist_ok=True)
        else:
            shutil.copy2(self._path, target)
        return target
