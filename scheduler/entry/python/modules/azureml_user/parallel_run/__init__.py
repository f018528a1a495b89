"""azureml_user.parallel_run, as PRS gives it to entry scripts (E11)."""

import logging
import os

import prs_gpu_host

__all__ = ["EntryScript"]


class EntryScript:
    """What a script may know of its surroundings. There is one in a process."""

    _instance = None

    def __new__(cls):
        if cls._instance is None:
            if prs_gpu_host.current() is None:
                raise RuntimeError("EntryScript() works only in a worker of prs-gpu run")
            cls._instance = super().__new__(cls)
            cls._instance._logger = None
        return cls._instance

    @property
    def _settings(self):
        return prs_gpu_host.current().settings

    @property
    def logger(self):
        """Writes to logs/user/entry_script_log/<node>/<process>.log.txt, by logging_level."""
        if self._logger is None:
            os.makedirs(self.log_dir, exist_ok=True)
            handler = logging.FileHandler(self._settings.entry_log, encoding="utf-8",
                                          errors="backslashreplace")
            handler.setFormatter(logging.Formatter(
                "%(asctime)s|%(levelname)s|%(process)d|%(filename)s:%(lineno)d|%(message)s"))
            logger = logging.getLogger("azureml_user.parallel_run.entry_script")
            logger.propagate = False
            logger.setLevel(self._settings.logging_level)
            logger.addHandler(handler)
            self._logger = logger
        return self._logger

    @property
    def log_dir(self):
        """logs/user/entry_script_log/<node>. May not exist yet."""
        return os.path.dirname(self._settings.entry_log)

    @property
    def output_dir(self):
        """The output folder of the step."""
        return self._settings.output

    @property
    def working_dir(self):
        """The folder that the script runs in."""
        return os.getcwd()

    @property
    def agent_name(self):
        """process000, process001, ..."""
        return self._settings.agent_name

    @property
    def node_id(self):
        return self._settings.node_id

    @property
    def run_id(self):
        return self._settings.run_id

    @property
    def inputs(self):
        """The inputs of the step as they were given: paths, patterns, @lists."""
        return list(self._settings.inputs)

    @property
    def side_inputs(self):
        """Name -> path of the step's side inputs (S1)."""
        return dict(self._settings.side_inputs)
