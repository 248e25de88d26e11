"""Options, environment and CONFIG file: what each accepts, and which one wins."""

import os

import pytest

import rowtail


@pytest.fixture
def config(workdir):
    """config("poll = 5\\n…") writes a CONFIG file and returns its path."""

    def write(text, name="rowtail.conf"):
        path = workdir / name
        path.write_bytes(text.encode())
        return path

    return write


def reconnection_time(process):
    """The reconnection time at the start of a stream, in ms."""
    with process.open() as peer:
        return peer.parser.reconnection_time


def test_command_line_overrides_environment_overrides_file(launch, config):
    path = config("retry-jitter = 0\nretry = 1111\n")
    env = {"ROWTAIL_RETRY": "2222"}
    assert reconnection_time(launch(path)) == 1111
    assert reconnection_time(launch(path, env=env)) == 2222
    assert reconnection_time(launch("--retry", 3333, path, env=env)) == 3333
    assert reconnection_time(launch("--retry=4444", path, env=env)) == 4444


def test_all_in_the_file(launch, log, config):
    path = config(
        "#!/usr/bin/rowtail\n"
        "# who may read: see grants\n"
        "\n"
        f"db = {log.path}\n"
        "  retry=1234\n"
        "retry-jitter =0\r\n"
        "public = yes\n"
        "table = events"
    )
    log.sql("DELETE FROM grants")
    assert reconnection_time(launch(path, db=None)) == 1234


def test_all_in_the_environment(launch, log):
    log.sql("DELETE FROM grants")
    env = {
        "ROWTAIL_DB": str(log.path),
        "ROWTAIL_RETRY": "1234",
        "ROWTAIL_RETRY_JITTER": "0",
        "ROWTAIL_PUBLIC": "yes",
    }
    assert reconnection_time(launch(db=None, env=env)) == 1234


def test_lists_are_separated_by_spaces(launch, config):
    origins = ["https://a.example", "https://b.example:8443"]
    line = " ".join(origins)
    processes = [
        launch(config(f"allow-origin = {line}\n")),
        launch(env={"ROWTAIL_ALLOW_ORIGIN": line}),
        launch("--allow-origin", origins[0], "--allow-origin", origins[1]),
    ]
    for process in processes:
        for origin in origins:
            peer = process.open(headers={"Origin": origin})
            assert peer.head.get("Access-Control-Allow-Origin") == origin


def refused(log, workdir, status, words, *arguments, **how):
    done = rowtail.run("--db", log.path, "--listen", workdir / "s", *arguments, **how)
    assert done.returncode == status, done.stderr
    for word in words:
        assert str(word) in done.stderr, f"{word!r} is not in {done.stderr!r}"
    assert not (workdir / "s").exists()


@pytest.mark.parametrize(
    "lines, line, words",
    [
        (["poll = 5", "max-stream = 5"], 2, ["max-stream", "max-streams"]),
        (["", "# a comment", "poll = soon"], 3, ["poll", "soon"]),
        (["public = perhaps"], 1, ["public", "perhaps"]),
        (["poll = 5", "just words"], 2, []),
        (["[section]", "poll = 5"], 1, []),
        (["poll = 5", "poll = 6"], 2, ["poll"]),
        (["heartbeat ="], 1, ["heartbeat"]),
    ],
)
def test_error_in_the_file_names_file_line_and_key(log, workdir, config, lines, line, words):
    path = config("\n".join(lines) + "\n")
    refused(log, workdir, os.EX_CONFIG, [path, line, *words], path)


def test_error_in_the_environment_names_the_variable(log, workdir):
    env = {"ROWTAIL_POLL": "soon"}
    refused(log, workdir, os.EX_CONFIG, ["ROWTAIL_POLL", "soon"], env=env)


def test_missing_file(log, workdir):
    path = workdir / "nosuch.conf"
    refused(log, workdir, os.EX_NOINPUT, [path], path)


def test_error_in_the_file_is_fatal_even_if_overridden(log, workdir, config):
    path = config("poll = soon\n")
    refused(log, workdir, os.EX_CONFIG, [path, "poll"], "--poll", 50, path)
