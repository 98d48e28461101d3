"""Dates: refused, or by ``dates_as_text`` the text that JavaScript's ``new Date`` reads."""

from __future__ import annotations

import time as clock
from datetime import UTC, date, datetime, time, timedelta, timezone

import pytest

from peerjs_proto.binarypack import pack, unpack
from peerjs_proto.errors import UnsupportedValue

_MOMENT = datetime(2024, 2, 29, 12, 30, 15, 678_999, UTC)


class Holiday(date):
    def isoformat(self) -> str:
        return "holiday"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (_MOMENT, "2024-02-29T12:30:15.678Z"),
        (_MOMENT.astimezone(timezone(timedelta(hours=-3))), "2024-02-29T12:30:15.678Z"),
        (_MOMENT.astimezone(timezone(timedelta(minutes=3, seconds=7))), "2024-02-29T12:30:15.678Z"),
        (datetime(1, 1, 1, tzinfo=UTC), "0001-01-01T00:00:00.000Z"),
        (date(2024, 2, 29), "2024-02-29"),
        (Holiday(2024, 12, 25), "2024-12-25"),
    ],
)
def test_dates_as_text(value: date, text: str) -> None:
    assert unpack(pack({"at": [value]}, dates_as_text=True)) == {"at": [text]}
    with pytest.raises(UnsupportedValue, match=r'at value\["at"\]\[0\]'):
        pack({"at": [value]})


@pytest.mark.skipif(not hasattr(clock, "tzset"), reason="the time zone cannot be set here")
def test_the_time_zone_of_the_machine_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        monkeypatch.setenv("TZ", "XXX-5:30")
        clock.tzset()
        assert unpack(pack(_MOMENT, dates_as_text=True)) == "2024-02-29T12:30:15.678Z"
    finally:
        monkeypatch.undo()
        clock.tzset()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            datetime(2024, 2, 29),
            "cannot send a datetime without a time zone at value[0]: "
            "the far side would take it for its own",
        ),
        (
            datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
            "cannot send a datetime outside the years 1 to 9999 in UTC at value[0]",
        ),
        (time(12), "cannot send a time at value[0]"),
        (timedelta(1), "cannot send a timedelta at value[0]"),
    ],
)
def test_what_is_no_point_in_time_is_refused(value: object, message: str) -> None:
    with pytest.raises(UnsupportedValue) as caught:
        pack([value], dates_as_text=True)
    assert str(caught.value) == message
