"""azureml.core.experiment: what Run.experiment is."""

__all__ = ["Experiment"]


class Experiment:
    def __init__(self, workspace, name):
        self.workspace = workspace
        self.name = name
