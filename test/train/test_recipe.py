"""Recipes: what ships is whole, and what is not allowed is named."""

from __future__ import annotations

import pytest

from fastdepth_ros.errors import FastDepthError
from fastdepth_ros.train.recipe import load_recipe, recipe_names


def test_the_papers_recipe_says_what_the_paper_says():
    paper = load_recipe("paper")
    assert (paper.optimizer, paper.momentum, paper.weight_decay) == ("sgd", 0.9, 1e-4)
    assert (paper.learning_rate, paper.batch, paper.loss, paper.augmentation) == (0.01, 8, "l1", "authors")


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_of_the_package_loads_by_name(name):
    assert load_recipe(name).name == name


def test_overrides_replace_the_recipes_own():
    assert load_recipe("strong", {"epochs": 3, "seed": 9}).epochs == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no mapping"),
        ("{", "not YAML"),
        ("name: a", "missing"),
        ("speed: fast", "unknown fields speed"),
        ("epochs: many", "epochs is 'many', needs int"),
        ("loss: l7", "l1, log-depth"),
        ("epochs: 0", "epochs is 0"),
        ("holdout: 1.5", "holdout is 1.5"),
        ("learning_rate: -1.0", "learning_rate is -1.0"),
    ],
)
def test_what_is_wrong_with_a_recipe_is_named(tmp_path, text, told):
    file = tmp_path / "mine.yaml"
    base = (
        ""
        if "missing" in told or "mapping" in told or "YAML" in told
        else (
            "name: mine\nepochs: 1\nbatch: 4\noptimizer: sgd\nlearning_rate: 0.1\nweight_decay: 0\n"
            "schedule: step\nloss: l1\naugmentation: warp\n"
        )
    )
    kept = [line for line in base.splitlines() if line.partition(":")[0] != text.partition(":")[0]]
    file.write_text("\n".join([*kept, text]))
    with pytest.raises(FastDepthError, match=told):
        load_recipe(str(file))


def test_an_unknown_recipe_lists_the_known():
    with pytest.raises(FastDepthError, match="there is cut, finish, imagenet, kinds, labeled, mixture"):
        load_recipe("secret")
