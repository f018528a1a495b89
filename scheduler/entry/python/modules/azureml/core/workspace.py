"""azureml.core.workspace: the machine that the step runs on."""

import os
import socket

__all__ = ["Workspace"]


class Workspace:
    """Names for logs and paths; nothing of it is in a cloud."""

    def __init__(self, subscription_id="local", resource_group="local", workspace_name=None):
        self.subscription_id = subscription_id
        self.resource_group = resource_group
        self.name = workspace_name or socket.gethostname()
        self.location = "local"

    @classmethod
    def from_config(cls, *arguments, **named):
        return cls()

    @classmethod
    def get(cls, name=None, subscription_id="local", resource_group="local", **named):
        return cls(subscription_id, resource_group, name)

    @property
    def models(self):
        from azureml.core.model import Model

        return {model.name: model for model in Model.list(self)}

    def get_default_datastore(self):
        raise NotImplementedError(
            "datastores are not reachable here; write into the step's output folder, "
            + os.environ.get("AZUREML_BI_OUTPUT_PATH", "AZUREML_BI_OUTPUT_PATH"))
