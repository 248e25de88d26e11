"""make install and make uninstall, as people call them: other directories, spaces, umask 077, twice, without root."""

import os
import pathlib
import shlex
import shutil
import stat
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = ["rowtail", "rowtail-doctor", "rowtail-mirror", "rowtail-publish"]
BUILT = [f"build/{name}" for name in PROGRAMS]
NOBODY = 65534


def make(*words, tree=ROOT, umask=0o022, user=None, check=True):
    """make in a tree that is built: what is newer than its programs is not built again."""
    kept = [word for name in BUILT for word in ("-o", name)]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(
        ["make", "--no-print-directory", *kept, *words], cwd=tree, capture_output=True, text=True, umask=umask, env=env,
        user=user, group=user, extra_groups=[] if user else None,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture
def target(tmp_path):
    return tmp_path / "target"


@pytest.fixture
def tree(tmp_path):
    """The source and the programs, as a tarball would have them, in a path with spaces."""
    copy = tmp_path / "a source, with spaces"
    copy.mkdir()
    for name in ("Makefile", "LICENSE", "fcgi", "schema", "deploy"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, copy / name)
    for path in ROOT.glob("tests/*/*.mk"):
        (copy / path.relative_to(ROOT)).parent.mkdir(parents=True)
        shutil.copy(path, copy / path.relative_to(ROOT))
    (copy / "build").mkdir()
    for name in BUILT:
        shutil.copy2(ROOT / name, copy / name)
    return copy


def files(place):
    """{path: mode} of all files below a directory."""
    found = [path for path in place.rglob("*") if not path.is_dir()]
    return {str(path.relative_to(place)): stat.S_IMODE(path.lstat().st_mode) for path in found}


def modes_for_everyone(place):
    """The files and directories that not everyone can read, or that others may write."""
    wrong = []
    for path in place.rglob("*"):
        mode = path.stat().st_mode
        wanted = 0o555 if path.is_dir() or mode & 0o100 else 0o444
        if mode & wanted != wanted or mode & 0o022:
            wrong.append((str(path), oct(mode)))
    return wrong


def test_everything_is_installed_below_prefix(target):
    make("install", f"DESTDIR={target}")
    found = files(target)
    for name in PROGRAMS:
        section = 1 if name == "rowtail-doctor" else 8
        assert found[f"usr/local/bin/{name}"] == 0o755
        assert found[f"usr/local/share/man/man{section}/{name}.{section}"] == 0o644
        assert found[f"usr/local/share/bash-completion/completions/{name}"] == 0o644
    for unit in (ROOT / "deploy/systemd").glob("rowtail*"):
        assert found[f"usr/local/lib/systemd/system/{unit.name}"] == 0o644
    for page in (ROOT / "fcgi").glob("*.[1-8]"):
        assert f"usr/local/share/man/man{page.suffix[1:]}/{page.name}" in found
    assert {name.split("/")[1] for name in found} == {"local"}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("usual", []),
        ("a name, with spaces & more", []),
        ("usr", ["PREFIX=/usr"]),
        ("opt", ["PREFIX=/opt/row tail", "UNITDIR=/etc/systemd/system"]),
        ("apart", ["BINDIR=/b", "MANDIR=/m", "DATADIR=/d/e", "UNITDIR=/u", "SYSUSERSDIR=/s", "TMPFILESDIR=/t", "COMPLETIONSDIR=/c"]),
    ],
)
def test_uninstall_removes_what_install_has_put_and_nothing_else(tmp_path, name, words):
    target = tmp_path / name
    make("install", f"DESTDIR={target}", *words)
    assert len(files(target)) > 100
    mine = [target / "usr/local/bin/mine", next(target.rglob("rowtail.sql")).with_name("mine.sql"), next(target.rglob("rowtail.8")).with_name("mine.8")]
    for path in mine:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    make("uninstall", f"DESTDIR={target}", *words)
    assert sorted(files(target)) == sorted(str(path.relative_to(target)) for path in mine)
    for path in mine:
        path.unlink()
    before = {path for path in target.rglob("*") if path.is_dir()}
    assert not any("rowtail" in path.name and path not in [mine[1].parent.parent] for path in before)


def test_uninstall_leaves_nothing_of_an_installation_into_an_empty_directory(target):
    target.mkdir()
    make("install", f"DESTDIR={target}")
    make("uninstall", f"DESTDIR={target}")
    assert list(target.iterdir()) == []


def test_uninstall_keeps_directories_that_were_there(target):
    (target / "usr/local/bin").mkdir(parents=True)
    (target / "usr/local/share/man/man8").mkdir(parents=True)
    before = sorted(target.rglob("*"))
    for _ in range(2):
        make("install", f"DESTDIR={target}")
    make("uninstall", f"DESTDIR={target}")
    assert sorted(target.rglob("*")) == before


def test_uninstall_works_without_the_list_that_versions_before_0_2_0_did_not_write(target):
    make("install", f"DESTDIR={target}")
    (target / "usr/local/share/rowtail/installed").unlink()
    make("uninstall", f"DESTDIR={target}")
    assert files(target) == {}
    make("uninstall", f"DESTDIR={target}")


def test_a_new_version_removes_what_it_no_longer_has(target, tree):
    (tree / "deploy/old.conf").write_text("")
    make("install", f"DESTDIR={target}", tree=tree)
    assert (target / "usr/local/share/rowtail/deploy/old.conf").exists()
    (tree / "deploy/old.conf").unlink()
    make("install", f"DESTDIR={target}", tree=tree)
    assert not (target / "usr/local/share/rowtail/deploy/old.conf").exists()


def test_everyone_can_read_what_was_installed_with_umask_077(target):
    target.mkdir()
    make("install", f"DESTDIR={target}", umask=0o077)
    assert modes_for_everyone(target) == []


def test_installing_twice_changes_nothing(target):
    make("install", f"DESTDIR={target}")
    before = files(target)
    make("-j4", "install", f"DESTDIR={target}")
    assert files(target) == before


def test_a_program_that_runs_keeps_its_file(target):
    make("install", f"DESTDIR={target}")
    program = target / "usr/local/bin/rowtail"
    inode = program.stat().st_ino
    with program.open("rb") as running:
        make("install", f"DESTDIR={target}")
        assert os.fstat(running.fileno()).st_ino == inode != program.stat().st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_a_user_installs_from_a_read_only_source(tmp_path_factory, tree):
    for path in (tree, *tree.parents):
        if path.stat().st_uid == os.geteuid() and path != pathlib.Path("/"):
            path.chmod(path.stat().st_mode | 0o055)
        if path.name.startswith("pytest-of"):
            break
    subprocess.run(["chmod", "-R", "a-w,a+rX", tree], check=True)
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o755)
    os.chown(home, NOBODY, NOBODY)
    home.parent.chmod(0o755)
    for _ in range(2):
        make("install", f"PREFIX={home}/local", tree=tree, user=NOBODY)
    assert (home / "local/bin/rowtail").stat().st_uid == NOBODY
    assert modes_for_everyone(home) == []
    make("uninstall", f"PREFIX={home}/local", tree=tree, user=NOBODY)
    assert files(home) == {}


def test_a_file_is_compiled_in_a_path_with_spaces_and_elsewhere(tree, tmp_path):
    make("build/obj/base/text.o", tree=tree)
    assert (tree / "build/obj/base/text.o").exists()
    subprocess.run(["chmod", "-R", "a-w", tree / "fcgi"], check=True)
    make(f"BUILD={tmp_path}/build", f"{tmp_path}/build/obj/base/text.o", tree=tree)
    assert (tmp_path / "build/obj/base/text.o").exists()
    make("clean", tree=tree)


def test_files_name_the_directories_they_are_installed_in(target):
    make("install", f"DESTDIR={target}", "PREFIX=/opt/row&tail")
    share = target / "opt/row&tail/share"
    assert "/opt/row&tail/share/rowtail/rowtail-down.asis" in (share / "rowtail/deploy/apache/proxy-fcgi.conf").read_text()
    assert "ExecStart=/opt/row&tail/bin/rowtail /etc/rowtail.conf" in (share.parent / "lib/systemd/system/rowtail.service").read_text()
    assert "/opt/row&tail/share/rowtail" in (share / "man/man8/rowtail.8").read_text()
    for path in share.rglob("*"):
        if path.is_file() and b"/usr/local/bin/rowtail" in path.read_bytes():
            raise AssertionError(f"{path} names /usr/local/bin")
    for name in ("png", "svg"):
        picture = next((ROOT / "deploy/pictures").glob(f"*.{name}"))
        assert (share / "rowtail/deploy/pictures" / picture.name).read_bytes() == picture.read_bytes()


def test_editors_backups_and_packaging_are_not_installed(target, tree):
    (tree / "deploy/rowtail.conf~").write_text("")
    (tree / "deploy/.rowtail.conf.swp").write_text("")
    make("install", f"DESTDIR={target}", tree=tree)
    deploy = target / "usr/local/share/rowtail/deploy"
    assert (deploy / "shared-hosting/.htaccess").exists()
    assert not list(deploy.rglob("*~")) and not list(deploy.rglob("*.swp"))
    assert not (deploy / "packaging").exists()


@pytest.mark.parametrize("program", PROGRAMS)
def test_completion_offers_the_options_that_help_lists(program):
    script = f""". deploy/packaging/completion.bash
    complete -p {program} >/dev/null || exit 1
    COMP_WORDS=(build/{program} --); COMP_CWORD=1; _rowtail; echo "${{COMPREPLY[*]}}" """
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    said = subprocess.run([ROOT / "build" / program, "--help"], capture_output=True, text=True, check=True).stdout
    listed = {word.rstrip(",") for line in said.splitlines() if line.startswith("  --")
              for word in line.split("  ")[1].split() if word.startswith("--")}
    assert {"--help", "--version", "--db"} <= listed
    assert set(done.stdout.split()) == listed


@pytest.mark.parametrize(
    ("option", "more"),
    [("--log-level", []), ("--log-format", []), ("--jwt-algorithm", ["--jwt-key", "/etc/hostname"])],
)
def test_completion_offers_the_values_that_an_option_takes(option, more):
    script = f""". deploy/packaging/completion.bash
    COMP_WORDS=(build/rowtail {option} ''); COMP_CWORD=2; _rowtail; echo "${{COMPREPLY[*]}}" """
    done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    wrong = subprocess.run(
        [ROOT / "build/rowtail", "--db", "x", "--check", *more, option, "wrong"], capture_output=True, text=True
    )
    taken = wrong.stderr.partition(": give ")[2].replace(",", " ").replace(" or ", " ").split()
    assert sorted(done.stdout.split()) == sorted(taken), wrong.stderr


def test_install_says_where_the_list_is(target):
    said = make("-s", "install", f"DESTDIR={target}").stdout
    assert shlex.split(said)[3].endswith("/installed")
