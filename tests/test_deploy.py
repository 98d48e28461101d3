"""What is there to deploy a PeerServer with says what the command understands.

No container engine and no systemd runs here: this reads the files as they do.
"""

from __future__ import annotations

import argparse
import configparser
import json
import re
import shlex
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from peerjs_trio.cli.config import gather, read_file
from peerjs_trio.cli.options import OPTIONS
from peerjs_trio.cli.prepare import prepare
from peerjs_trio.cli.serve import add_parser

ROOT: Final = Path(__file__).parent.parent
DEPLOY: Final = ROOT / "examples" / "deploy"
COMPOSE: Final = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
DOCKERFILE: Final = (ROOT / "Dockerfile").read_text("utf-8")
DOCUMENT: Final = (ROOT / "docs" / "server.md").read_text("utf-8")

VARIABLES: Final = {option.variable for option in OPTIONS} | {"PEERSERVER_CONFIG"}


def parse(command: list[str]) -> argparse.Namespace:
    """As ``peerjs`` does; an option that it does not know ends the test."""
    assert Path(command[0]).name == "peerjs"
    parser = argparse.ArgumentParser()
    add_parser(parser.add_subparsers())
    return parser.parse_args(command[1:])


def instructions(name: str) -> list[str]:
    """The arguments of all Dockerfile instructions of one name, with lines joined."""
    text = re.sub(r"^ *#.*\n", "", DOCKERFILE, flags=re.M).replace("\\\n", " ")
    return re.findall(rf"^{name} +(.+)$", text, re.M)


def environment(values: dict[str, str], **given: str) -> dict[str, str]:
    """As compose fills in ``${NAME}``, ``${NAME:-default}`` and ``${NAME:?error}``."""

    def fill(found: re.Match[str]) -> str:
        name, sign, default = found.groups()
        assert sign != ":?" or name in given, f"{name} is not in .env.example"
        return given.get(name) or (default if sign == ":-" else "")

    pattern = r"\$\{(\w+)(?:(:[-?])([^}]*))?\}"
    return {name: re.sub(pattern, fill, str(value)) for name, value in values.items()}


# --- the image -----------------------------------------------------------------------------------


def test_the_image_serves_and_its_health_check_asks() -> None:
    (entry,) = instructions("ENTRYPOINT")
    (check,) = instructions("HEALTHCHECK")
    assert vars(parse(json.loads(entry))).keys() >= {"config", "check"}
    assert parse(json.loads(check.partition("CMD ")[2])).health


def test_the_image_is_built_of_wheels_and_runs_as_nobody_in_particular() -> None:
    assert len(instructions("FROM")) == 2
    assert all(image.startswith("python:3.13-slim") for image in instructions("FROM"))
    assert any("--only-binary :all:" in run for run in instructions("RUN"))
    assert "apt-get" not in DOCKERFILE
    (user,) = instructions("USER")
    assert f"{user}\n" in DOCKERFILE.partition("useradd ")[2]
    # Nothing is installed, and no file comes from elsewhere, once it is that user's.
    assert "RUN" not in DOCKERFILE.partition("\nUSER")[2]


def test_what_the_wheel_is_built_from_is_let_into_the_image() -> None:
    ignore = (ROOT / ".dockerignore").read_text("utf-8").splitlines()
    assert ignore[1] == "*"
    let_in = {line[1:] for line in ignore if line.startswith("!")}
    assert let_in == {
        *("pyproject.toml", "README.md", "CHANGELOG.md", "LICENSE"),
        *("peerjs_proto", "peerjs_trio"),
    }
    assert all((ROOT / name).exists() for name in let_in)


# --- compose -------------------------------------------------------------------------------------


def test_compose_says_what_the_server_understands() -> None:
    service = COMPOSE["services"]["peerserver"]
    assert {name for name in service["environment"] if name.startswith("PEER")} <= VARIABLES
    given = environment(service["environment"], **example_of_env())
    settings = gather({}, given)
    assert settings["port"] == 9000  # inside
    assert settings["redis"] == "redis://:x@redis:6379/0"
    assert settings.source("key") == "PEERSERVER_KEY"
    assert settings.source("proxied") is None
    grace = int(service["stop_grace_period"].removesuffix("s"))
    assert grace > settings["stop_timeout"]
    assert service["ulimits"]["nofile"] > settings.table("limits")["sockets"]


def test_compose_has_no_secrets_and_names_all_that_it_needs() -> None:
    text = (ROOT / "compose.yaml").read_text("utf-8")
    example = example_of_env()
    assert set(re.findall(r"\$\{(\w+)", text)) == set(example)
    assert all(f"\n{name}=\n" in (ROOT / ".env.example").read_text("utf-8") for name in example)
    assert "\n.env\n" in (ROOT / ".gitignore").read_text("utf-8")


def test_every_service_can_be_asked_how_it_is() -> None:
    services: dict[str, Any] = COMPOSE["services"]
    assert set(services) == {"peerserver", "redis", "coturn"}
    for name, service in services.items():
        # The server's is in its image.
        assert "healthcheck" in service or name == "peerserver"
    assert services["peerserver"]["depends_on"]["redis"]["condition"] == "service_healthy"


def example_of_env() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text("utf-8")
    needed = dict.fromkeys(re.findall(r"^([A-Z]\w+)=$", text, re.M), "x")
    return {n: "" if n.startswith("PEER") else value for n, value in needed.items()}


# --- systemd -------------------------------------------------------------------------------------


def unit() -> configparser.ConfigParser:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read(DEPLOY / "peerjs.service", encoding="utf-8")
    return parser


def test_the_unit_serves_with_the_file_beside_it() -> None:
    service = unit()["Service"]
    arguments = parse(shlex.split(service["ExecStart"]))
    assert Path(arguments.config).name == "peerjs.toml"
    settings = gather({}, {}, DEPLOY / "peerjs.toml")
    prepare(settings)
    assert int(service["TimeoutStopSec"]) > settings["stop_timeout"]
    assert int(service["LimitNOFILE"]) > settings.table("limits")["sockets"]
    assert service["Type"] == "notify"


# --- the document --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", re.findall(r"^ {4}(peerjs serve[^#\n]*(?:\\\n[^#\n]*)?)", DOCUMENT, re.M)
)
def test_the_commands_in_the_document_are_understood(command: str) -> None:
    parse(shlex.split(command.replace("\\\n", "")))


def test_the_file_in_the_document_is_right(tmp_path: Path) -> None:
    (toml,) = re.findall(r"^```toml\n(.*?)^```", DOCUMENT, re.M | re.S)
    file = tmp_path / "peerjs.toml"
    file.write_text(toml, "utf-8")
    assert read_file(file)["reserved"] == {"printer": "a long random text"}


def test_npms_options_and_variables_in_the_document_are_ours() -> None:
    table = DOCUMENT.partition("| npm's command line")[2].partition("\n\n")[0]
    names = set(re.findall(r"`--(\w+)`", table))
    assert names == {
        *("port", "host", "key", "path", "proxied", "expire_timeout", "alive_timeout"),
        *("concurrent_limit", "sslkey", "sslcert", "allow_discovery", "cors"),
    }
    for row in table.splitlines()[2:]:
        theirs, ours = row.split("|")[1:3]
        assert theirs.split() == ours.split()
