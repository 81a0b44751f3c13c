"""`detopt doctor`: whether detopt works here."""

import sys

from detopt.cli.options import JsonOption, print_json

__all__ = ["doctor"]


def doctor(as_json: JsonOption = False) -> None:
    """Look whether detopt works here: versions, extras, folders, JAX, and a resolution that is known.

    Send what it prints along with a question or a fault that you report. Exit code 1 where something is wrong.
    """
    from detopt.study.doctor import examine

    findings = []
    for one in examine():
        findings.append(one)
        if not as_json:
            print(f"{'ok   ' if one.fine else 'WRONG'}  {one.what}: {one.found}")
            if one.advice and not one.fine:
                print(f"       {one.advice}")
    if as_json:
        print_json([one._asdict() for one in findings])
    sys.exit(0 if all(one.fine for one in findings) else 1)
