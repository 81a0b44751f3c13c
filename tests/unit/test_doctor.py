"""`detopt doctor` finds a healthy machine healthy, and says what is wrong with another."""

import json

from detopt.study import doctor


def test_all_is_well(cli):
    answer = cli("doctor")
    assert answer.code == 0, answer.out
    assert "WRONG" not in answer.out
    assert "right" in answer.out.splitlines()[-1]


def test_what_is_wrong_is_told(cli, monkeypatch):
    monkeypatch.setattr(doctor, "_KNOWN", 25.0)
    answer = cli("doctor", "--json")
    assert answer.code == 1
    last = json.loads(answer.out)[-1]
    assert not last["fine"]
    assert "should be 25.0" in last["found"]


def test_a_folder_that_cannot_be_written(cli, monkeypatch):
    def refuse(folder: str) -> str:
        raise PermissionError(13, "Permission denied", folder)

    monkeypatch.setattr(doctor, "_writable", refuse)
    answer = cli("doctor")
    assert answer.code == 1
    assert "WRONG  this folder: PermissionError" in answer.out
