"""The static program itself: what it is made of, and what it opens while it runs."""

import re
import subprocess

import pytest

import rowtail

MEGABYTE = 1000 * 1000


def test_it_is_small_and_needs_no_library():
    assert rowtail.BINARY.stat().st_size < 5 * MEGABYTE
    sections = subprocess.run(
        ["readelf", "--dynamic", "--program-headers", rowtail.BINARY],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "NEEDED" not in sections
    assert "INTERP" not in sections
    assert "DYN" in sections  # its address is random, as the dynamic program's


def test_the_oldest_kernel_is_the_documented_one():
    notes = subprocess.run(
        ["readelf", "--notes", rowtail.BINARY], capture_output=True, text=True, check=True
    ).stdout
    oldest = re.search(r"OS: Linux, ABI: (\d+\.\d+)", notes).group(1)
    readme = (rowtail.ROOT / "deploy" / "packaging" / "README.md").read_text()
    assert f"Linux {oldest} " in readme


# Files that are data: what the system says of itself, names, and the time zone.
DATA = re.compile(r"/(proc|sys|dev|tmp|rt-[^/]*)/|/etc/(passwd|group|hosts|localtime)$")


@pytest.mark.parametrize("what", ["check", "cgi"])
def test_it_loads_nothing(log, workdir, what):
    """No library, no module of glibc, no locale, in an environment that asks for all of them."""
    log.insert("a row")
    trace = workdir / "trace"
    options = ["--db", log.path]
    env = {"LANG": "de_DE.UTF-8", "LC_ALL": "C.UTF-8", "LANGUAGE": "de", "OPENSSL_CONF": "/etc/x"}
    if what == "check":
        options += ["--check", "--listen", "localhost:9"]
    else:
        options += ["--max-stream-age", "1"]
        env.update(GATEWAY_INTERFACE="CGI/1.1", REQUEST_METHOD="GET", QUERY_STRING="tail=1")
    done = subprocess.run(
        ["strace", "-f", "-qq", "-e", "trace=open,openat,execve", "-o", trace, rowtail.BINARY, *options],
        env=rowtail.environment(**env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=20,
    )
    if not trace.exists() or "ptrace" in done.stderr:
        pytest.skip(f"strace does not work here: {done.stderr}")
    assert ("can serve" if what == "check" else "a row") in done.stdout
    opened = re.findall(r'open(?:at)?\([^"]*"([^"]*)"', trace.read_text())
    assert str(log.path) in opened
    # The directory of the log, whose locks count the CGI processes.
    assert [path for path in opened if not DATA.match(path) and path != str(log.path.parent)] == []


def test_config_file_as_the_program(log, workdir):
    """A CONFIG file whose first line names the static program is the program that a host starts."""
    config = workdir / "events.cgi"
    config.write_text(f"#!{rowtail.BINARY}\ndb = {log.path}\nmax-stream-age = 1\n")
    config.chmod(0o755)
    log.insert("a row")
    env = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "QUERY_STRING": "tail=1"}
    done = subprocess.run(
        [config], env=rowtail.environment(**env), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20
    )
    assert "data: a row" in done.stdout


