"""Few careers for fine-tunings, and processes of their own, forked from one that has the libraries loaded."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from labor_llm.careers.panel import CareerPanel, split_workers, write_panel


@pytest.fixture(scope="session")
def few(panel: CareerPanel) -> CareerPanel:
    """Of 60 workers 42 train a model, in batches of eight six steps an epoch."""
    return panel.restrict(set(panel.workers[:60]))


@pytest.fixture(scope="session")
def few_stored(few: CareerPanel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("few") / "panel"
    write_panel(folder, few, split_workers(few, seed=1))
    return folder


@pytest.fixture(scope="session")
def started() -> Callable[[str, dict[str, Any]], BaseProcess]:
    """Start a process that runs a program with values for its names."""
    context: ForkServerContext = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["labor_llm.finetuning.fit"])

    def start(program: str, given: dict[str, Any]) -> BaseProcess:
        process = context.Process(target=exec, args=(program, given))
        process.start()
        return process

    return start
