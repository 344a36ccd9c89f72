"""A job's columns are declared once, and every field of a summary has one."""

from dataclasses import fields

from safelight.core.job import JobSummary
from safelight.db.job_columns import COLUMNS


def test_every_field_of_a_summary_has_a_column() -> None:
    assert [column.name for column in COLUMNS] == [field.name for field in fields(JobSummary)]
