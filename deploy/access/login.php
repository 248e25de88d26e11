<?php
// A login for a stream. It takes a name and password and sets a cookie that rowtail accepts for ten minutes.
//
// POST user and password. The answer is 200 with two cookies. `rowtail_token` is a JWT for /events: rowtail
// verifies it with the same key, and the table grants says what user:NAME may read. `login` is for this
// program only: for twelve hours, a POST without a body renews the token, as long as the name is among the
// accounts.
//
// For PHP 8 in any web server (login-nginx.conf). No library is needed.
//
//     openssl rand -hex 32 | tr -d '\n' > /etc/rowtail-jwt.key     (rowtail.conf: jwt-key, jwt-algorithm)
//     htpasswd -B -c /etc/rowtail-accounts ann                     asks for ann's password
//
// PHP's user must be able to read both files, and rowtail's user the key. Nobody else may.

declare(strict_types=1);

const SESSION_SECONDS = 12 * 3600;

function setting(string $name, string $default): string
{
	return ($_SERVER[$name] ?? getenv($name)) ?: $default;
}

// Signing.
function base64url(string $raw): string
{
	return rtrim(strtr(base64_encode($raw), '+/', '-_'), '=');
}

function signed(string $text): string
{
	$key = file_get_contents(setting('LOGIN_KEY', '/etc/rowtail-jwt.key'));
	if (!$key) {
		throw new RuntimeException('the key cannot be read');
	}
	return $text . '.' . base64url(hash_hmac('sha256', $text, $key, true));
}

// There is no claim `channels`, so only the table grants decides, and one DELETE ends all access.
function jwt(string $user, int $seconds): string
{
	$parts = [
		['alg' => 'HS256', 'typ' => 'JWT'],
		['sub' => $user, 'iat' => time(), 'exp' => time() + $seconds],
	];
	return signed(implode('.', array_map(fn ($part) => base64url(json_encode($part)), $parts)));
}

// Begins in a way that no JWT can, so neither can be used as the other.
function session(string $user): string
{
	return signed('session-' . bin2hex($user) . '-' . (time() + SESSION_SECONDS));
}

// Returns the user of this `login` cookie, or ''.
function session_user(string $cookie): string
{
	$text = explode('.', $cookie)[0];
	if (!preg_match('/^session-((?:[0-9a-f]{2})+)-([0-9]+)$/D', $text, $parts)
		|| !hash_equals(signed($text), $cookie) || (int) $parts[2] <= time()) {
		return '';
	}
	return hex2bin($parts[1]);
}

// Accounts: one line each, NAME:HASH, as htpasswd -B writes it.

function accounts(): array
{
	$accounts = [];
	foreach (file(setting('LOGIN_ACCOUNTS', '/etc/rowtail-accounts'), FILE_IGNORE_NEW_LINES) as $line) {
		[$name, $hash] = explode(':', $line, 2) + ['', ''];
		$accounts['user ' . $name] = $hash; // PHP would make a number of the key "007"
	}
	return $accounts;
}

// Takes about the same time for a name that does not exist.
function password_is_right(string $user, string $password): bool
{
	$nobody = '$2y$05$' . str_repeat('.', 53);
	return password_verify($password, accounts()['user ' . $user] ?? $nobody);
}

// The answer.

function finish(int $status, string $body, string $type = 'text/plain'): never
{
	http_response_code($status);
	header("Content-Type: $type; charset=utf-8");
	echo $body;
	exit;
}

// Strict works for pages of another origin of the same site (app.example.org and events.example.org).
// Another site needs None, which browsers may refuse.
function send_cookie(string $name, string $value, string $path, int $seconds): void
{
	setcookie($name, $value, ['expires' => time() + $seconds, 'path' => $path, 'secure' => true,
		'httponly' => true, 'samesite' => 'Strict']);
}

$origin = $_SERVER['HTTP_ORIGIN'] ?? '';
$allowed = setting('LOGIN_ORIGIN', ''); // a page of another origin that may log in here
$seconds = (int) setting('LOGIN_SECONDS', '600');
header('Cache-Control: no-store');
header('Vary: Origin');
if ($origin !== '' && $origin === $allowed) {
	header("Access-Control-Allow-Origin: $origin");
	header('Access-Control-Allow-Credentials: true');
}
if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
	header('Allow: POST');
	finish(405, "POST user and password.\n");
}
// A foreign page must not log its visitor in as somebody else.
if (!in_array($origin, ['', $allowed], true)
	&& ($_SERVER['HTTP_SEC_FETCH_SITE'] ?? '') !== 'same-origin') {
	finish(403, "This page may not log in here.\n");
}
[$user, $password, $login] = array_map(fn ($text) => is_string($text) ? $text : '',
	[$_POST['user'] ?? '', $_POST['password'] ?? '', $_COOKIE['login'] ?? '']);
if ($user !== '') {
	if (!password_is_right($user, $password)) {
		finish(401, "Wrong name or password.\n");
	}
	send_cookie('login', session($user), '/login', SESSION_SECONDS);
} else {
	$user = session_user($login);
	if ($user === '' || !isset(accounts()['user ' . $user])) {
		finish(401, "Log in.\n");
	}
}
send_cookie('rowtail_token', jwt($user, $seconds), '/events', $seconds);
finish(200, json_encode(['user' => $user, 'seconds' => $seconds]), 'application/json');
