"""rowtail-mirror and its file: links, directories, other files, permissions, the lock, and disks that are full."""

import contextlib
import os
import resource
import socket
import sqlite3
import stat
import time

import faults
import mirror
import pytest

pytestmark = mirror.needed


@pytest.fixture
def pg(pg):
    """A log in PostgreSQL with three rows that everyone may read."""
    pg.insert_many(3)
    return pg


def once(pg, path, cwd=None):
    return mirror.run("--from", pg.dsn, "--db", path, "--once", cwd=cwd)


def data_of(path):
    with contextlib.closing(sqlite3.connect(path)) as copy:
        return [data for (data,) in copy.execute("SELECT data FROM events ORDER BY id")]


# Links.


@pytest.mark.parametrize("how", ["absolute", "relative", "chain", "directory", "directory of the target"])
def test_link_to_a_file_that_does_not_exist_leads_there(pg, workdir, how):
    """The link stays, and the file is made where it leads."""
    (workdir / "real").mkdir()
    (workdir / "other").symlink_to("real")
    target, link = workdir / "real" / "x.db", workdir / "link.db"
    if how == "absolute":
        link.symlink_to(target)
    elif how == "relative":
        link.symlink_to("real/x.db")
    elif how == "chain":
        link.symlink_to("second.db")
        (workdir / "second.db").symlink_to("real/../real/x.db")
    elif how == "directory":
        link = workdir / "other" / "x.db"
    else:
        link.symlink_to("other/x.db")
    before = link.is_symlink()
    for _ in range(2):
        done = once(pg, link)
        assert done.returncode == 0, done.stderr
        assert link.is_symlink() == before and target.is_file()
        assert data_of(target) == ["row 1", "row 2", "row 3"]
        target.unlink()
    assert {path.name for path in workdir.iterdir()} <= {"real", "other", "link.db", "second.db"}


def test_link_to_a_file_is_kept_when_the_copy_is_made_again(pg, keep, workdir):
    (workdir / "real").mkdir()
    (workdir / "link.db").symlink_to("real/x.db")
    kept = keep(pg, db=workdir / "link.db")
    (workdir / "real" / "x.db").unlink()
    number = pg.insert("next")
    kept.wait(lambda: kept.ids()[-1] == number, "the row")
    assert os.readlink(workdir / "link.db") == "real/x.db"


@pytest.mark.parametrize("links", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "nowhere/x.db"}, {"a": "/nonexistent/x.db"}])
def test_link_that_leads_nowhere_is_refused(pg, workdir, links):
    for name, target in links.items():
        (workdir / name).symlink_to(target)
    done = once(pg, workdir / "a")
    assert done.returncode == 78, done.stderr
    assert "cannot be made" in done.stderr
    assert {path.name for path in workdir.iterdir() if path.is_symlink()} == set(links)


def test_relative_path(pg, workdir):
    (workdir / "sub").mkdir()
    for name in "x.db", "sub/x.db", "./sub/../y.db":
        done = once(pg, name, cwd=workdir)
        assert done.returncode == 0, done.stderr
        assert data_of(workdir / name) == ["row 1", "row 2", "row 3"]


@pytest.mark.parametrize("what", ["file", "directory"])
def test_link_that_is_changed_while_it_runs_is_followed(pg, keep, serve, workdir, what):
    """As a deployment does that moves `current` to another release: rowtail follows the path, too."""
    for name in "one", "two":
        (workdir / name).mkdir()
    link = workdir / ("x.db" if what == "file" else "current")
    target = "x.db" if what == "file" else ""
    link.symlink_to(f"one/{target}")
    kept = keep(pg, db=link if what == "file" else link / "x.db")
    peer = serve(kept).open(last_event_id=1)
    (workdir / "next").symlink_to(f"two/{target}")
    (workdir / "next").rename(link)
    kept.wait_log("leads to another file")
    number = pg.insert("next")
    peer.wait(lambda: peer.rows and peer.rows[-1].last_event_id == str(number), "the row")
    assert data_of(workdir / "two" / "x.db")[-1] == "next"
    assert once(pg, workdir / "two" / "x.db").returncode == 78
    # The file before is free for another mirror.
    assert once(pg, workdir / "one" / "x.db").returncode == 0


# What is no file.


@pytest.mark.parametrize("kind, words", [("directory", "is a directory"), ("FIFO", "no regular file"),
                                         ("socket", "no regular file"), ("device", "no regular file")])
@pytest.mark.parametrize("option", ["--once", "--check"])
def test_what_is_no_file_is_refused(pg, workdir, kind, words, option):
    path = workdir / "x.db"
    if kind == "directory":
        path.mkdir()
    elif kind == "FIFO":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(str(path))
    else:
        path.symlink_to("/dev/null")
        pytest.skip("rowtail-mirror would put its lock into /dev") if os.getuid() == 0 else None
    before = path.lstat()
    done = mirror.run("--from", pg.dsn, "--db", path, option)
    assert done.returncode == 78, done.stdout + done.stderr
    assert f"{path} is" in done.stdout + done.stderr and words in done.stdout + done.stderr
    assert path.lstat().st_ino == before.st_ino


def test_copy_that_is_replaced_by_something_else_is_left_alone(pg, keep, workdir):
    """While the mirror runs: somebody's database is not overwritten, and the mirror ends and says so."""
    kept = keep(pg)
    (workdir / "theirs.db").write_text("somebody's notes\n" * 100)
    (workdir / "theirs.db").rename(kept.path)
    assert kept.process.wait(10) == 78
    for _ in range(2):
        assert "no copy that rowtail-mirror made" in kept.stderr
        assert kept.path.read_text() == "somebody's notes\n" * 100
        assert kept.start(wait_copy=False).process.wait(10) == 78


def test_copy_that_is_put_back_to_an_older_one_catches_up(pg, keep, workdir):
    kept = keep(pg)
    with contextlib.closing(sqlite3.connect(kept.path)) as copy, contextlib.closing(sqlite3.connect(workdir / "old")) as old:
        copy.backup(old)
    pg.insert_many(20)
    pg.rows("DELETE FROM events WHERE id = 2")
    kept.wait_same(pg)
    (workdir / "old").rename(kept.path)
    kept.wait_log("was removed or replaced")
    kept.wait_same(pg)


# Who may read it.


@pytest.mark.parametrize("how", ["damaged", "removed", "replaced by an empty file"])
def test_new_copy_has_the_permissions_of_the_old_one(pg, keep, how):
    """A copy that only some may read is not open to all because it was removed."""
    kept = keep(pg)
    kept.path.chmod(0o640)
    owner = (65534, 65534) if os.getuid() == 0 else (os.getuid(), os.getgid())
    os.chown(kept.path, *owner)
    if how == "damaged":
        kept.stop()
        with kept.path.open("r+b") as file:
            file.write(b"\0" * 4096)
        kept.start()
    else:
        kept.stop().start()  # it knows the permissions that the file had when it opened it
        inode = kept.path.stat().st_ino
        kept.path.rename(kept.path.with_name("old"))
        if how == "replaced by an empty file":
            kept.path.touch(0o600)
            kept.path.chmod(0o640)
            os.chown(kept.path, *owner)
        kept.wait(lambda: kept.path.exists() and kept.path.stat().st_ino != inode and kept.path.stat().st_size, "a new copy")
    number = pg.insert("next")
    kept.wait(lambda: kept.ids()[-1] == number, "the row")
    for name in "", "-wal", "-shm":
        found = kept.path.with_name(kept.path.name + name).stat()
        assert (stat.S_IMODE(found.st_mode), found.st_uid, found.st_gid) == (0o640, *owner), name
    kept.wait_same(pg)


def test_new_copy_does_not_meet_the_wal_of_the_old_one(pg, keep, workdir):
    """A mirror that was killed leaves a -wal; the copy beside it is then removed, or of another log."""
    kept = keep(pg)
    pg.insert_many(50)
    kept.wait_same(pg)
    kept.kill()
    assert kept.path.with_name(kept.path.name + "-wal").stat().st_size > 0
    kept.path.unlink()
    kept.start()
    kept.wait_same(pg)
    assert kept.sql("PRAGMA integrity_check") == [("ok",)]


# The lock.


def test_lock_that_is_removed_is_taken_again(pg, keep):
    """Two mirrors of one file would both make it anew, again and again."""
    kept = keep(pg)
    lock = kept.path.with_name(kept.path.name + ".lock")
    inode = lock.stat().st_ino
    (lock.parent / "busy").touch()  # so that the new file does not get the same number
    lock.rename(lock.parent / "gone")
    kept.wait(lambda: lock.exists() and lock.stat().st_ino != inode and lock.stat().st_size, "the lock")
    assert once(pg, kept.path).returncode == 78
    kept.wait_same(pg)
    assert "new copy" not in kept.stderr


def test_mirror_whose_file_another_one_took_ends(pg, keep):
    kept = keep(pg)
    kept.pause()
    kept.path.with_name(kept.path.name + ".lock").unlink()
    other = keep(pg, db=kept.path)
    kept.resume()
    assert kept.process.wait(10) == 78
    assert "another rowtail-mirror" in kept.stderr
    number = pg.insert("next")
    other.wait(lambda: other.ids()[-1] == number, "the row")
    assert "new copy" not in other.stderr


# Disks.


def limit(kept, size):
    hard = resource.prlimit(kept.process.pid, resource.RLIMIT_FSIZE)[1]
    resource.prlimit(kept.process.pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def test_disk_that_is_full_while_the_copy_is_made(pg, keep):
    """Nothing is left on the disk, PostgreSQL is not asked all the time, and the copy is made when there is room."""
    pg.rows("INSERT INTO events(data) SELECT repeat('x', 10000) FROM generate_series(1, 3000)")
    kept = keep(pg)
    limit(kept, 10_000_000)
    kept.path.unlink()
    kept.wait_log("cannot be written")
    began, connects = time.monotonic(), kept.metric("connects_total")
    time.sleep(2)
    assert (kept.metric("connects_total") - connects) / (time.monotonic() - began) < 8
    assert kept.page("health").head.status == 503
    assert "cannot be written" in kept.page("health").body.decode()
    limit(kept, None)
    kept.wait_same(pg)
    assert kept.page("health").head.status == 200
    assert not list(kept.path.parent.glob("*.new*"))


@pytest.mark.parametrize("method, file, error", [
    ("write", "wal", "full"), ("write", "any", "full"), ("read", "any", "ioerr_read"),
    ("open", "any", "cantopen"), ("lock", "any", "busy"), ("any", "any", "nomem"), ("shmmap", "any", "ioerr_shmmap"),
])
def test_file_system_that_fails_for_a_while(pg, keep, workdir, method, file, error):
    broken = faults.Files(workdir)
    kept = keep(pg, env=broken.env)
    with broken.during((method, file, error)):
        number = pg.insert_many(30)
        with contextlib.suppress(AssertionError):
            broken.wait_hits(1, 4)
        time.sleep(0.3)
    kept.wait(lambda: kept.ids()[-1] == number, "the rows")
    kept.wait_same(pg)
    assert broken.hits > 0


# Kills.


@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_kill_at_any_moment_of_a_new_copy(pg, keep, again):
    """After each kill there is the old copy, whole, or the new one, or none; the next start completes it."""
    pg.insert_many(3000)
    kept = keep(pg)
    token = pg.rows("SELECT token FROM events_log")[0][0]
    for round_ in range(12):
        kept.stop() if round_ == 0 else None
        if again:
            with contextlib.closing(sqlite3.connect(kept.path)) as copy:
                copy.execute("UPDATE rowtail_mirror SET token = 'another log'")
                copy.commit()
        else:
            kept.path.unlink(missing_ok=True)
        kept.start(wait_copy=False)
        time.sleep(0.02 + 0.012 * round_)
        kept.kill()
        if kept.path.exists():
            assert kept.sql("PRAGMA integrity_check") == [("ok",)]
            assert len(kept.ids()) == 3003
        else:
            assert not again
    kept.start(wait_copy=False)
    kept.wait(lambda: kept.sql("SELECT token FROM rowtail_mirror") == [(token,)], "the copy of this log")
    kept.wait_same(pg)
    assert not list(kept.path.parent.glob("*.new*"))
