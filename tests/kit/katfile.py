"""Files of known answers (.rsp) that the package cryptography_vectors carries."""

from __future__ import annotations

from cryptography_vectors import open_vector_file


def known_answers(path: str) -> list[dict[str, str]]:
    """The records of a file of lines `name = hex`; each begins with `count`."""
    answers: list[dict[str, str]] = []
    with open_vector_file(path, "r") as file:
        for line in file:
            name, _, value = line.partition("=")
            if name.strip() == "count":
                answers.append({})
            if value:
                answers[-1][name.strip()] = value.strip()
    return answers
