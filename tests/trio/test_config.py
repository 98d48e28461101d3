"""The options of ``peerjs serve``: npm's command lines, precedence, and errors that help."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import attrs
import pytest

from peerjs_proto.addresses import Proxies
from peerjs_proto.server_io import DEFAULT_SERVER_LIMITS, ServerLimits
from peerjs_trio.cli.config import ConfigError, Settings, gather
from peerjs_trio.cli.options import OPTIONS, add_arguments


def parse(*arguments: str) -> dict[str, Any]:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add_arguments(parser)
    return vars(parser.parse_args(arguments))


def settings(
    *arguments: str, environment: dict[str, str] | None = None, file: Path | None = None
) -> Settings:
    return gather(parse(*arguments), environment or {}, file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "peerjs.toml"


# --- the command line, as npm peer's is read by yargs ------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ("--port 9001", "port", 9001),
        ("--port=9001", "port", 9001),
        ("-p 9001", "port", 9001),
        ("-p9001", "port", 9001),
        ("-p=9001", "port", 9001),
        ("--host :: -H 127.0.0.1", "host", "127.0.0.1"),
        ("-k secret", "key", "secret"),
        ("--key 123", "key", "123"),  # npm's makes a number of it, and nobody gets in
        ("--path /app", "path", "/app"),
        ("--expire_timeout 3000", "expire_timeout", 3.0),
        ("--expire-timeout 3000", "expire_timeout", 3.0),
        ("-t 250", "expire_timeout", 0.25),
        ("--alive_timeout 90000", "alive_timeout", 90.0),
        ("-c 10", "concurrent_limit", 10),
        ("--concurrent_limit 0", "concurrent_limit", 0),
        ("--sslkey a.pem --sslcert b.pem", "sslcert", "b.pem"),
        ("--allow_discovery", "allow_discovery", True),
        ("--allow-discovery", "allow_discovery", True),
        ("--allow_discovery true", "allow_discovery", True),
        ("--allow_discovery=true", "allow_discovery", True),
        ("--allow_discovery false", "allow_discovery", False),
        ("--allow_discovery --port 1", "allow_discovery", True),
        ("--no-allow_discovery", "allow_discovery", False),
        ("--no-allow-discovery", "allow_discovery", False),
        ("--allow_discovery --no-allow_discovery", "allow_discovery", False),
        ("--proxied", "proxied", Proxies.parse("true")),
        ("--proxied true", "proxied", Proxies.parse("true")),
        ("--no-proxied", "proxied", Proxies()),
        ("--proxied 10.0.0.0/8,::1", "proxied", Proxies.parse("10.0.0.0/8,::1")),
        ("--cors https://a.example", "cors", ["https://a.example"]),
        ("--cors a b --port 1", "cors", ["a", "b"]),
        ("--cors a --cors b", "cors", ["a", "b"]),
        ("--cors=a,b", "cors", ["a", "b"]),
    ],
)
def test_what_npms_takes_is_taken(arguments: str, name: str, value: object) -> None:
    assert settings(*arguments.split())[name] == value


def test_the_defaults_are_those_of_npms_cli() -> None:
    nothing = settings()
    assert nothing["expire_timeout"] == 5.0
    assert nothing["alive_timeout"] == 60.0
    assert nothing["concurrent_limit"] == 5000
    assert (nothing["key"], nothing["path"], nothing["host"]) == ("peerjs", "/", "::")
    assert nothing["cors"] is None
    assert not nothing["allow_discovery"]
    assert nothing.source("port") is None


def test_a_flag_takes_true_and_false_alone() -> None:
    # yargs takes any other word for false, which nobody means who writes 1.
    with pytest.raises(ConfigError, match=r"^--allow-discovery: true or false, not '1'$"):
        settings("--allow_discovery=1")


def test_a_name_is_not_cut_short() -> None:
    with pytest.raises(SystemExit):
        parse("--alive", "5")


# --- precedence ----------------------------------------------------------------------------------


def test_the_command_line_wins_over_the_environment_and_that_over_the_file(file: Path) -> None:
    file.write_text('port = 1\nkey = "file"\npath = "/file"\n')
    environment = {"PEERSERVER_PORT": "2", "PEERSERVER_KEY": "environment"}
    found = settings("--port", "3", environment=environment, file=file)
    assert (found["port"], found["key"], found["path"]) == (3, "environment", "/file")
    assert found.source("port") == "--port"
    assert found.source("key") == "PEERSERVER_KEY"
    assert found.source("path") == str(file)


def test_npms_two_variables_are_read() -> None:
    found = settings(environment={"PORT": "9100", "PEERSERVER_PATH": "/app"})
    assert (found["port"], found["path"]) == (9100, "/app")
    assert settings(environment={"PORT": "1", "PEERSERVER_PORT": "2"})["port"] == 2


def test_an_empty_variable_is_none() -> None:
    assert settings(environment={"PEERSERVER_KEY": "", "PORT": ""})["key"] == "peerjs"


def test_every_option_has_a_variable_but_tables() -> None:
    assert [option.name for option in OPTIONS if option.variable is None] == ["reserved"]
    environment = {"PEERSERVER_CORS": "a, b", "PEERSERVER_ALLOW_DISCOVERY": "true"}
    found = settings(environment=environment | {"PEERSERVER_MESSAGE_BYTES": "1000"})
    assert found["cors"] == ["a", "b"]
    assert found["allow_discovery"] is True
    assert found.table("limits")["message_bytes"] == 1000


def test_a_variable_that_is_not_allowed_is_named() -> None:
    # Kubernetes sets this one for a service that is called peerserver.
    with pytest.raises(ConfigError, match=r"^PEERSERVER_PORT: a whole number, 0 to 65535, not 't"):
        settings(environment={"PEERSERVER_PORT": "tcp://10.0.0.1:9000"})


# --- the file ------------------------------------------------------------------------------------


def test_every_option_can_stand_in_the_file(file: Path) -> None:
    tables: dict[str, list[str]] = {"": [], "limits": []}
    examples = {"reserved": '{alice = "wonderland"}', "cors": '["a", "b"]', "proxied": "true"}
    for option in OPTIONS:
        words = option.kind.allowed
        example = "5" if "number" in words else "true" if words == "true or false" else '"a:b"'
        if words.startswith('"'):
            example = words.split(" or ")[0]
        if option.name != "reserved_file":
            tables[option.table].append(f"{option.name} = {examples.get(option.name, example)}")
    file.write_text("\n".join([*tables[""], "[limits]", *tables["limits"]]))
    found = settings(file=file)
    assert found["reserved"] == {"alice": "wonderland"}
    assert found["expire_timeout"] == 0.005
    assert ServerLimits(**found.table("limits")).message_bytes == 5
    assert all(found.source(o.name) == str(file) for o in OPTIONS if o.name != "reserved_file")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("port = '9000'", "port: a whole number, 0 to 65535, not '9000'"),
        ("port = true", "port: a whole number, 0 to 65535, not True"),
        ("port = 65536", "port: a whole number, 0 to 65535, not 65536"),
        ("expire_timeout = -1", "expire_timeout: a number, 0 or more, not -1"),
        ("expire_timeout = inf", "expire_timeout: a number, 0 or more, not inf"),
        ("expire_timeout = nan", "expire_timeout: a number, 0 or more, not nan"),
        ("key = ''", "key: a text, not ''"),
        ("allow_discovery = 1", "allow_discovery: true or false, not 1"),
        ("cors = 'https://a'", "cors: a list of texts, not 'https://a'"),
        ("proxied = 'nginx'", "proxied: true, false or a list of networks, not 'nginx'"),
        ("proxied = ['10.0.0.0/33']", "proxied: true, false or a list of networks"),
        ("cors = [1]", "cors: a list of texts"),
        ("authorize = 'module'", "authorize: a text like module:function, not 'module'"),
        ("log_format = 'xml'", """log_format: "text" or "json", not 'xml'"""),
        ("reserved = '12345'", "reserved: texts by names"),
        ("[reserved]\nalice = 12345", "reserved: texts by names"),
        ("limits = 5", "limits is a table: [limits]"),
        ("[limits]\nmessage_byte = 5", "[limits] message_byte is no option; message_bytes is"),
        ("[limits]\nport = 5", "[limits] port is no option of this table"),
        ("message_bytes = 5", "message_bytes is no option here: it stands in [limits]"),
        ("expire-timeout = 5", "expire-timeout is no option; expire_timeout is"),
        ("warp = 9", "warp is no option; docs/server-options.md has them all"),
        ("[limits]\nmessage_bytes = 1.5", "[limits] message_bytes: a whole number, 0 or more, "),
        ("port 9000", "Expected '=' after a key in a key/value pair (at line 1, column 6)"),
    ],
)
def test_an_error_names_the_file_the_key_and_what_is_allowed(
    file: Path, text: str, said: str
) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=re.escape(f"{file}: {said}")) as error:
        settings(file=file)
    assert "12345" not in str(error.value)


def test_a_file_that_is_not_there_is_said(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"peerjs\.toml: No such file or directory"):
        settings(file=file)
    file.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match=r"peerjs\.toml: .*utf-8"):
        settings(file=file)


def test_reserved_ids_can_have_a_file_of_their_own(file: Path, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.toml"
    tokens.write_text('alice = "of the file of tokens"\n')
    file.write_text(f'reserved_file = "{tokens}"\n[reserved]\nalice = "a"\nbob = "b"\n')
    found = settings(file=file)
    assert found["reserved"] == {"alice": "of the file of tokens", "bob": "b"}
    assert "of tokens" not in repr(found)
    tokens.write_text("alice = 12345")
    with pytest.raises(ConfigError, match=r"tokens\.toml: texts by names$"):
        settings(file=file)


# --- the table itself ----------------------------------------------------------------------------


def test_every_limit_is_an_option_with_its_own_default() -> None:
    limits = settings().table("limits")
    assert set(limits) == {field.name for field in attrs.fields(ServerLimits)}
    assert ServerLimits(**limits) == DEFAULT_SERVER_LIMITS


def test_no_name_is_used_twice() -> None:
    names = [option.name for option in OPTIONS]
    assert len(names) == len(set(names))
