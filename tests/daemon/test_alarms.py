"""Each file is asked about once, however often that was wanted, and at the earliest of the times."""

from onitufs.daemon.alarms import Alarms


def test_a_file_rings_once_at_the_earliest_time():
    alarms = Alarms()
    for at_s in (7.0, 5.0, 9.0, 5.0):
        alarms.set(1, at_s)
    alarms.set(2, 6.0)
    assert (len(alarms), alarms.next_s) == (2, 5.0)
    assert alarms.due(4.9) == []
    assert alarms.due(5.0) == [1]
    assert alarms.due(100.0) == [2]
    assert (len(alarms), alarms.next_s) == (0, float("inf"))


def test_who_is_asked_about_again_and_again_is_no_more_than_one():
    """Each time it is asked about, two more times are named for it: that must not double."""
    alarms = Alarms()
    alarms.set(1, 1.0)
    rung = 0
    for now_s in range(1, 30):
        for file in alarms.due(float(now_s)):
            rung += 1
            alarms.set(file, now_s + 1.0)
            alarms.set(file, now_s + 1.5)
    assert rung <= 29
    assert len(alarms) == 1


def test_an_alarm_can_be_set_anew():
    alarms = Alarms()
    alarms.set(1, 5.0)
    alarms.set(1, 3.0)
    assert alarms.due(3.0) == [1]
    alarms.set(1, 5.0)
    assert alarms.due(4.0) == []
    assert alarms.due(5.0) == [1]
    assert alarms.due(5.0) == []
