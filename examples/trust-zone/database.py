"""PostgreSQL through psql: values go in as variables, so that no text of a caller becomes a statement."""

import os
import subprocess


class DatabaseError(Exception):
    """psql's own words."""


def query(statement, **values):
    """The rows that a statement gives, each a list of texts. Where the database is and the password are in PG* variables."""
    words = [os.environ.get("PSQL", "psql"), "--no-psqlrc", "--quiet", "--no-align", "--tuples-only", "--field-separator=\t",
             "--set=ON_ERROR_STOP=1"]
    for name, value in values.items():
        words.append(f"--set={name}={value}")
    done = subprocess.run(words, input=statement, capture_output=True, text=True, timeout=30)
    if done.returncode != 0:
        raise DatabaseError(done.stderr.strip())
    return [line.split("\t") for line in done.stdout.splitlines() if line]
