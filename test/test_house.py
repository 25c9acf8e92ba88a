"""The measuring script counts what it says, and keeps the page's other columns."""

from __future__ import annotations

import ast

import measure_house

SOURCE = '''"""A docstring
of two lines."""

# a comment
class WrongError(ValueError):  # one
    """Wrong."""

class WorseError(WrongError):
    "Worse."

TEXT = """four

five"""  # blank lines inside a text are no code lines of their own, but its lines are
ERRORS = (WrongError, WorseError)
TABLE = {}

def answer():
    """Forty-two."""
    return 42
'''


def test_code_lines_leave_out_blanks_comments_and_docstrings(tmp_path):
    file = tmp_path / "sample.py"
    file.write_text(SOURCE)
    assert measure_house.code_lines(file) == 2 + 3 + 2 + 2


def test_error_classes_tuples_and_registries_are_counted():
    module = ast.parse(SOURCE)
    assert measure_house._error_classes([module]) == {"WrongError", "WorseError"}
    assert sum(map(measure_house._is_tuple_of_errors, ast.walk(module))) == 1
    assert measure_house._empty_tables(module) == 1


def test_a_column_is_added_or_replaced_and_the_rest_of_the_page_stays():
    page = measure_house.with_column("# Title\n\n", "before", {"frame: calls": "9", "frame: files": "3"})
    page = measure_house.with_column(page + "\nThe end.\n", "after", {"frame: calls": "8", "robot: files": "1"})
    page = measure_house.with_column(page, "after", {"frame: calls": "7"})
    assert page.splitlines() == [
        "# Title", "", "| figure | before | after |", "| --- | --- | --- |", "| frame: calls | 9 | 7 |",
        "| frame: files | 3 |  |", "", "The end.",
    ]  # fmt: skip
