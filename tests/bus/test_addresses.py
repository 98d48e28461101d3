"""Addresses of Redis, as they are given to ``--redis``."""

from __future__ import annotations

import pytest

from peerjs_trio.bus import RedisAddress


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("redis://h", "redis://h:6379/0"),
        ("redis://h:7000/3", "redis://h:7000/3"),
        ("redis://[::1]:7000?db=2", "redis://[::1]:7000/2"),
        ("redis://user:p%40ss@h/1", "redis://h:6379/1"),
        ("rediss://h:1?verify=no", "rediss://h:1/0"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
        ("unix://:p@/run/redis.sock?db=4", "unix:///run/redis.sock"),
        ("redis+sentinel://a:1,b/main", "redis+sentinel://a:1,b:26379/main/0"),
        (
            "redis+sentinel://:p@a,b/main/2?sentinel_password=q",
            "redis+sentinel://a:26379,b:26379/main/2",
        ),
        ("redis+cluster://a:1,b:2", "redis+cluster://a:1,b:2"),
        ("rediss+cluster://a?ca=/ca.pem", "rediss+cluster://a:6379"),
    ],
)
def test_addresses(url: str, text: str) -> None:
    assert str(RedisAddress.parse(url)) == text


def test_what_is_in_them() -> None:
    address = RedisAddress.parse("redis://user:p%40%3Ass@h/1")
    assert (address.username, address.password, address.db) == ("user", "p@:ss", 1)
    assert "p@" not in repr(address)
    address = RedisAddress.parse("unix://:p@/run/redis%20here.sock?db=4")
    assert (address.path, address.db, address.password) == ("/run/redis here.sock", 4, "p")
    address = RedisAddress.parse("redis+sentinel://a/main?sentinel_password=hush")
    assert address.sentinel_password == "hush"
    assert "hush" not in repr(address)
    address = RedisAddress.parse("rediss://h?ca=/ca.pem&cert=/c.pem&key=/k.pem")
    assert address.tls == {"ca": "/ca.pem", "cert": "/c.pem", "key": "/k.pem"}


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://h",
        "redis://",
        "redis://:secret@",
        "redis://h:secret",
        "redis://h:99999",
        "redis://h/secret",
        "redis://h?secret=1",
        "redis://h?verify=no",
        "redis+cluster://a/1",
        "redis+sentinel://a",
        "redis://a,b",
        "unix://",
    ],
)
def test_what_is_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"Redis|Sentinel|redis") as error:
        RedisAddress.parse(url)
    assert "secret" not in str(error.value)
