"""Fixtures of the tests of networks."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def until_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    """End a stage once the items that it learns are learnt: more epochs would show nothing more."""
    import hybrid.deep.train as module

    class UntilLearnt(module.StageCallback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            super().on_epoch_end(epoch, logs)
            self.model.stop_training |= logs["val_f1"] >= 0.98

    monkeypatch.setattr(module, "StageCallback", UntilLearnt)
