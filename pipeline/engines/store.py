"""What is put into a cluster's object store: once for all fits, and fetched once by each node."""

from collections.abc import Callable
from typing import Any

import numpy as np

from pipeline.fits.caches import Caches, tables_of
from pipeline.fits.inputs import Shared
from pipeline.fits.job import Job


class Store:
    """References to rows, tokens and backbones, each put there by `put` when a fit first needs it."""

    def __init__(self, put: Callable[[Any], Any], shared: Shared, caches: Caches) -> None:
        self._put, self._shared, self._caches = put, shared, caches
        self._there: dict[str, Any] = {}

    def given(self, job: Job) -> tuple[Any, dict[str, Any], tuple[str, Any] | None]:
        """What a fit is given: the shared rows, tokens by their keys, and its backbone's hash and files.

        A linear one needs neither tokens nor a backbone. Texts are Arrow's, which all fits of a node share.
        """
        shared = self._once("shared", lambda: self._shared)
        if job.linear:
            return shared, {}, None
        tokens = {
            key: self._once(key, make) for key, make in tables_of(job.settings, self._shared, self._caches).items()
        }
        return shared, tokens, self._backbone(job)

    def _backbone(self, job: Job) -> tuple[str, Any]:
        from models.encoder.backbone import files_of

        found = self._caches.backbone(job.settings)
        files = files_of(found.folder)
        return found.sha256, self._once(
            found.sha256, lambda: {path.name: np.fromfile(path, np.uint8) for path in files}
        )

    def _once(self, what: str, make: Callable[[], Any]) -> Any:
        if what not in self._there:
            self._there[what] = self._put(make())
        return self._there[what]
