"""azureml.core.run: the job as scripts see it. Metrics go to `prs-gpu metrics OUTPUT`."""

import os
import shutil

import prs_gpu_host
from azureml.core.experiment import Experiment
from azureml.core.workspace import Workspace

__all__ = ["Run"]


class Run:
    """The run that a script belongs to."""

    def __init__(self, experiment=None, run_id=None, parent=None, name=""):
        self.experiment = experiment or Experiment(Workspace(), "prs-gpu")
        self.id = run_id or os.environ.get("AZUREML_RUN_ID", "local")
        self.name = name or self.id
        self.parent = parent
        self._status = "Running"

    @classmethod
    def get_context(cls, allow_offline=True, **named):
        """The run of this worker; its parent stands for the job."""
        job = cls()
        host = prs_gpu_host.current()
        name = host.settings.agent_name if host is not None else "offline"
        return cls(job.experiment, job.id, job, name)

    def child_run(self, name=None, run_id=None, outputs=None, **named):
        return Run(self.experiment, run_id or f"{self.id}_{name or 'child'}", self, name or "child")

    def _record(self, kind, name, value):
        host = prs_gpu_host.current()
        if host is None:
            print(f"{name} = {value}")  # Outside of a worker there is no job to keep it.
        else:
            host.log_metric(kind, name, value)

    def log(self, name, value, description="", step=None):
        self._record("value", name, value)

    def log_list(self, name, value, description=""):
        self._record("list", name, list(value))

    def log_row(self, name, description=None, **columns):
        self._record("row", name, columns)

    def log_table(self, name, value, description=""):
        self._record("row", name, value)

    def upload_file(self, name, path_or_stream, datastore_name=None):
        """Copies a file to NAME in the output folder."""
        target = os.path.join(os.environ.get("AZUREML_BI_OUTPUT_PATH", "."), name)
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        if hasattr(path_or_stream, "read"):
            content = path_or_stream.read()
            with open(target, "wb") as file:
                file.write(content.encode() if isinstance(content, str) else content)
        else:
            shutil.copyfile(path_or_stream, target)

    def complete(self, **named):
        self._status = "Completed"

    def fail(self, error_details=None, error_code=None, **named):
        self._status = "Failed"

    def get_status(self):
        return self._status

    def get_details(self):
        return {"runId": self.id, "status": self._status}

    def tag(self, key, value=None):
        self._record("tag", key, value)

    def flush(self, timeout_seconds=300):
        """Metrics are written as they are logged."""
