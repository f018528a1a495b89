"""Stand-ins for the parts of azureml.core that entry scripts use (E12).

They come last on sys.path: where the real package is installed, it is used. What a stand-in cannot
do without the cloud it says.
"""

from azureml.core.dataset import Dataset
from azureml.core.experiment import Experiment
from azureml.core.model import Model
from azureml.core.run import Run
from azureml.core.workspace import Workspace

__all__ = ["Dataset", "Experiment", "Model", "Run", "Workspace"]
