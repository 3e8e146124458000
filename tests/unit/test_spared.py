"""Modules that are not loaded for what is never done."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from connector.cli.spared import later, without


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library whose `greet` takes `seldom`, and two more that use it in other ways."""
    files = {
        "library": "import seldom\nimport seldom as again\ngreet = lambda: seldom.greeting + again.greeting",
        "taking": "from seldom import greeting",
        "diving": "import seldom.deep\ndepth = seldom.deep.depth",
        "seldom/__init__": "greeting = 'hello'",
        "seldom/deep": "depth = 3",
    }
    (tmp_path / "seldom").mkdir()
    for name, text in files.items():
        (tmp_path / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name.replace("/", ".").removesuffix(".__init__"), raising=False)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("library")
def test_a_module_is_loaded_when_something_in_it_is_used() -> None:
    with later("seldom"):
        library = import_module("library")
    assert "seldom" not in sys.modules
    assert library.greet() == "hellohello"
    assert sys.modules["seldom"].greeting == "hello"


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(("name", "attribute", "value"), [("taking", "greeting", "hello"), ("diving", "depth", 3)])
def test_it_is_loaded_at_once_for_who_takes_something_out_of_it(name: str, attribute: str, value: object) -> None:
    with later("seldom"):
        assert getattr(import_module(name), attribute) == value
        assert sys.modules["seldom"].__file__
    with later("seldom"):
        assert sys.modules["seldom"].__file__, "what is there already stays"
    assert sys.modules["seldom"].__file__


@pytest.mark.usefixtures("library")
def test_a_module_is_not_there_and_then_it_is() -> None:
    with without("seldom"), pytest.raises(ImportError):
        import_module("taking")
    taking = import_module("taking")
    with without("seldom"):
        assert sys.modules["seldom"].__file__, "what is there already stays"
    assert taking.greeting == "hello"
