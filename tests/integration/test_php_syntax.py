"""setup.php runs on the PHP of old web hosts, 5.6 and later."""

import shutil
import subprocess

import pytest

import rowtail

CHECK = rowtail.ROOT / "tests" / "lint" / "php56.php"
SETUP = rowtail.ROOT / "deploy" / "shared-hosting" / "setup.php"
pytestmark = pytest.mark.skipif(not shutil.which("php"), reason="this release of Debian has no php-cli")

LATER = [
    "$a = $b ?? 1;",
    "$a ??= 1;",
    "$a = $b <=> $c;",
    "function f(int $a) {}",
    "function f(?Foo $a) {}",
    "function f($a): string {}",
    "$f = fn ($a) => $a;",
    "[$a, $b] = $c;",
    "foreach ($c as [$a, $b]) {}",
    "try {} catch (A | B $e) {}",
    "try {} catch (A) {}",
    "try {} catch (Throwable $e) {}",
    "$a = new class {};",
    "class A { private const B = 1; }",
    "class A { public int $b; }",
    "f($a, );",
    "f(name: 1);",
    "$a = 1_000;",
    "$a = match ($b) { 1 => 2 };",
    "$a?->b();",
    "$a = random_bytes(4);",
    "$a = str_contains($b, $c);",
    "json_decode($a, true, 9, JSON_THROW_ON_ERROR);",
    "declare(strict_types=1);",
    "use A\\{B, C};",
    "$a = <<<X\n  b\n  X;",
]


def check(path):
    """What PHP 5.6 would not understand."""
    done = subprocess.run(["php", CHECK, path], capture_output=True, text=True, timeout=60)
    if done.returncode == 77:
        pytest.skip("this release of Debian has no php-parser with the grammar of PHP 5")
    assert done.returncode == (1 if done.stdout else 0), done.stdout + done.stderr
    return done.stdout


def test_setup_is_php_5_6():
    assert check(SETUP) == ""
    assert subprocess.run(["php", "-l", SETUP], capture_output=True, timeout=60).returncode == 0


def test_later_syntax_is_found(workdir):
    file = workdir / "later.php"
    unseen = []
    for text in LATER:
        file.write_text(f"<?php\n{text}\n")
        if not check(file):
            unseen.append(text)
    assert not unseen, unseen
