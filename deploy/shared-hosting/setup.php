<?php
/*
 * setup.php sets rowtail up on a web host, once. README.md beside this file says when to open it.
 *
 * Write a phrase of your own here, of 16 letters or more, before you upload this file. Whoever knows it may set
 * rowtail up; others learn nothing here. When the log exists, this page does nothing more.
 */
$code = '';

/*
 * Runs on PHP 5.6 and later with PDO's SQLite. It makes the log outside of the web root, writes the two paths into
 * events.cgi and the folder's name into .htaccess, and asks for the stream as a visitor does. If the stream does
 * not come, it removes the log again, so that you can repeat it.
 */
error_reporting(E_ALL);
if (may_call('ini_set')) {
	ini_set('display_errors', '0');
}
if (may_call('set_time_limit')) {
	set_time_limit(120);
}

define('SAMPLE_PROGRAM', '/home/USER/rowtail/rowtail');
define('SAMPLE_DB', '/home/USER/rowtail/events.db');
define('HELD_BACK_S', 6); // a stream that has not begun by then is buffered

/* What was found: array(kind, sentence), in order. Kinds: ok, note, WRONG. */
$said = array();

function say($kind, $sentence)
{
	global $said;
	$said[] = array($kind, $sentence);
	return $kind !== 'WRONG';
}

function is_wrong()
{
	global $said;
	foreach ($said as $line) {
		if ($line[0] === 'WRONG') {
			return true;
		}
	}
	return false;
}

function html($text)
{
	return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
}

function given($name, $otherwise)
{
	return isset($_POST[$name]) && is_string($_POST[$name]) ? trim($_POST[$name]) : $otherwise;
}

function server($name)
{
	return isset($_SERVER[$name]) && is_string($_SERVER[$name]) ? $_SERVER[$name] : '';
}

/* Whether a function that hosts forbid often is allowed. In PHP 8 a forbidden one does not exist, and a call is fatal. */
function may_call($name)
{
	$forbidden = array_map('trim', explode(',', (string) ini_get('disable_functions')));
	return function_exists($name) && !in_array($name, $forbidden, true);
}

function set_mode($path, $mode)
{
	return may_call('chmod') && @chmod($path, $mode);
}

// ---- Where things are

/* The path of the log in events.cgi; '' for the one it is shipped with. */
function configured_db()
{
	$text = (string) @file_get_contents(__DIR__ . '/events.cgi');
	if (!preg_match('/^db[ \t]*=[ \t]*(.*?)[ \t\r]*$/m', $text, $found) || $found[1] === SAMPLE_DB) {
		return '';
	}
	return $found[1];
}

/*
 * The highest directory above this one that belongs to the same owner and has a web root's name, or else the one
 * that the URL says is the web root.
 */
function web_root()
{
	$url = array_reverse(explode('/', trim(dirname(server('SCRIPT_NAME')), '/')));
	$root = __DIR__;
	foreach ($url as $part) {
		if ($part === '' || basename($root) !== $part) {
			break;
		}
		$root = dirname($root);
	}
	$owner = @fileowner(__DIR__);
	$names = '/^(public_html|htdocs|httpdocs|www|html|web|public|wwwroot|webroot)$/i';
	for ($at = __DIR__; dirname($at) !== $at && @fileowner($at) === $owner; $at = dirname($at)) {
		if (preg_match($names, basename($at)) && strpos($root . '/', $at . '/') === 0) {
			$root = $at;
		}
	}
	$document_root = server('DOCUMENT_ROOT') === '' ? false : realpath(server('DOCUMENT_ROOT'));
	if ($document_root !== false && strpos($root . '/', $document_root . '/') === 0) {
		$root = $document_root;
	}
	return $root;
}

/* The first of these files that exists; '' for none. */
function first_file($paths)
{
	foreach ($paths as $path) {
		if (@is_file($path)) {
			return $path;
		}
	}
	return '';
}

// ---- What a host gets wrong

function check_php()
{
	if (!extension_loaded('pdo_sqlite')) {
		return say('WRONG', 'PHP has no SQLite (pdo_sqlite). Switch the extension on in the host\'s control panel.');
	}
	/* Before PHP 8 a host could leave it out. */
	if (!function_exists('json_decode')) {
		return say('WRONG', 'PHP has no JSON (json). Switch the extension on in the host\'s control panel.');
	}
	$memory = new PDO('sqlite::memory:');
	$version = $memory->query('SELECT sqlite_version()')->fetchColumn();
	return say('ok', 'PHP ' . PHP_VERSION . ' with SQLite ' . $version . '.');
}

function check_folder($folder)
{
	if (!preg_match('#^/[A-Za-z0-9_./@+~,:-]+$#', $folder) || preg_match('#/\.\.?(/|$)#', $folder)) {
		return say('WRONG', "The folder must begin with /, without . or .. as a part, and may have letters, digits and "
			. "_ . - in its name: $folder");
	}
	$root = web_root();
	$real = is_dir($folder) ? realpath($folder) : realpath(dirname($folder)) . '/' . basename($folder);
	foreach (array($folder, (string) $real) as $path) {
		if (strpos($path . '/', rtrim($root, '/') . '/') === 0) {
			return say('WRONG', "The folder $folder is inside the web root $root, where visitors could fetch the log. "
				. 'Choose one beside the web root.');
		}
	}
	if (!@is_dir($folder) && !@mkdir($folder, 0711)) {
		return say('WRONG', "PHP cannot make the folder $folder. Make it by FTP, and open this page again. If there is "
			. 'none beside the web root where you can, ask the host where your programs may keep files.');
	}
	clearstatcache();
	$probe = @tempnam($folder, 'try');
	if ($probe === false || dirname($probe) !== realpath($folder)) {
		if ($probe) {
			@unlink($probe);
		}
		return say('WRONG', "PHP may not write in $folder. Set its mode to 755 by FTP, or 775 if PHP has the group.");
	}
	$user = @fileowner($probe);
	@unlink($probe);
	if ($user !== @fileowner(__FILE__)) {
		say('note', 'PHP runs as user ' . $user . ', but the uploaded files belong to user ' . @fileowner(__FILE__)
			. '. If CGI programs run as the owner (suexec), they cannot write what PHP makes. Then ask the host for PHP '
			. 'that runs as your own user (PHP-FPM).');
	}
	@file_put_contents("$folder/.htaccess", "<IfModule mod_authz_core.c>\n\tRequire all denied\n</IfModule>\n"
		. "<IfModule !mod_authz_core.c>\n\tDeny from all\n</IfModule>\n");
	check_file_system($folder);
	return say('ok', "The folder $folder is outside of the web root, and PHP may write there.");
}

/* SQLite's write-ahead log needs memory that all processes share, which a network file system has not. */
function check_file_system($folder)
{
	$longest = $type = '';
	foreach ((array) @file('/proc/self/mounts') as $line) {
		$parts = explode(' ', $line);
		if (count($parts) > 2 && strpos($folder . '/', rtrim($parts[1], '/') . '/') === 0
			&& strlen($parts[1]) >= strlen($longest)) {
			list($longest, $type) = array($parts[1], $parts[2]);
		}
	}
	if (preg_match('/^(nfs|cifs|smb|9p|afs|ceph|gluster|fuse\.(sshfs|gluster|ceph))/', $type)) {
		say('note', "The folder is on a network file system ($type). If the web server, CGI programs and PHP do not all "
			. 'run on one machine, rows get lost or the log is damaged. Ask the host for a folder on a local disk.');
	}
}

/* What uname -m says, as the number in an ELF header. */
function machine_number()
{
	$machines = array('x86_64' => 62, 'amd64' => 62, 'aarch64' => 183, 'arm64' => 183, 'armv7l' => 40, 'armv6l' => 40,
		'i386' => 3, 'i486' => 3, 'i586' => 3, 'i686' => 3, 'ppc64le' => 21, 's390x' => 22, 'riscv64' => 243);
	$name = may_call('php_uname') ? strtolower(php_uname('m')) : '';
	return isset($machines[$name]) ? $machines[$name] : 0;
}

/* Whether the file is a whole program for this processor. Says what is wrong. */
function check_program($path)
{
	$head = (string) @file_get_contents($path, false, null, 0, 64);
	if (strlen($head) < 64 || substr($head, 0, 4) !== "\x7fELF") {
		return say('WRONG', "$path is not a Linux program, or PHP cannot read it. Upload the file rowtail of the archive again.");
	}
	$little = ord($head[5]) === 1;
	$short = $little ? 'v' : 'n';
	$machine = unpack($short . 'is', substr($head, 18, 2));
	if (machine_number() !== 0 && $machine['is'] !== machine_number()) {
		return say('WRONG', "The program is for another processor. This host has " . php_uname('m')
			. ': upload the program of the archive for it.');
	}
	// The table of sections is at the end of the file. A transfer as text changes the length.
	if (ord($head[4]) === 2 && $little) {
		$at = unpack('Vlow/Vhigh', substr($head, 40, 8));
		$table = unpack('vsize/vcount', substr($head, 58, 4));
		$whole = $at['low'] + $table['size'] * $table['count'];
		if ($at['high'] === 0 && $at['low'] > 0 && filesize($path) !== $whole) {
			return say('WRONG', "The program is damaged: it has " . filesize($path) . " bytes, not $whole. Upload the file "
				. 'rowtail again, in the FTP program\'s binary mode.');
		}
	}
	return true;
}

/* Puts the program where CGI can run it. Returns its path, '' with a WRONG. */
function place_program($folder)
{
	$program = "$folder/rowtail";
	$uploaded = first_file(array(__DIR__ . '/rowtail', dirname(__DIR__) . '/rowtail'));
	if ($uploaded !== '' && !@is_file($program)) {
		if (!check_program($uploaded)) {
			return '';
		}
		if (!@copy($uploaded, $program)) {
			say('WRONG', "PHP cannot copy the program to $program. Upload the file rowtail there.");
			return '';
		}
		if (dirname($uploaded) === __DIR__) {
			@unlink($uploaded);
		}
	}
	if (!@is_file($program)) {
		say('WRONG', "The program is missing. Upload the file rowtail of the archive to $folder or to " . __DIR__ . '.');
		return '';
	}
	if (!check_program($program)) {
		return '';
	}
	set_mode($program, 0755);
	clearstatcache();
	if ((fileperms($program) & 0111) !== 0111) {
		say('WRONG', "The program $program is not executable. Set its mode to 755 by FTP.");
		return '';
	}
	if (strlen($program) > 124) {
		say('WRONG', "The path $program is too long: Linux allows at most 124 letters. Choose a shorter folder.");
		return '';
	}
	return runs($program) ? $program : '';
}

/* Tries the program, if PHP may start programs here. */
function runs($program)
{
	if (!may_call('exec')) {
		return say('ok', "The program $program is there, whole, executable and for this processor.");
	}
	$lines = array();
	@exec(escapeshellarg($program) . ' --version 2>&1', $lines, $status);
	$answer = isset($lines[0]) ? $lines[0] : '';
	if ($status === 0 && strpos($answer, 'rowtail') === 0) {
		return say('ok', "The program $program runs: $answer.");
	}
	return say('WRONG', "The program $program does not run: " . ($answer === '' ? "exit status $status" : $answer)
		. '. Its file system may forbid programs (noexec): choose another folder, or ask the host.');
}

/* suexec refuses programs and folders that others may write, or that belong to others. */
function check_modes()
{
	$owner = @fileowner(__DIR__);
	foreach (array(__DIR__, __DIR__ . '/events.cgi') as $path) {
		$mode = (int) @fileperms($path);
		if (($mode & 022) !== 0 && !set_mode($path, 0755)) {
			say('WRONG', sprintf('Others may write %s (mode %o), and many hosts refuse such programs. Set its mode to 755 '
				. 'by FTP.', $path, $mode & 0777));
		}
		if (@fileowner($path) !== $owner) {
			say('WRONG', "$path does not belong to the owner of its folder, and suexec refuses that. Upload it again with "
				. 'the account that made the folder.');
		}
	}
	return !is_wrong();
}

// ---- What this page writes

/* Writes a file in place, since a new one would belong to PHP's user. $instead: what the owner can write himself. */
function write_file($path, $text, $instead)
{
	if ((string) @file_get_contents($path) === $text) {
		return true;
	}
	if (@file_put_contents($path, $text, LOCK_EX) === strlen($text)) {
		return true;
	}
	return say('WRONG', "PHP may not write $path. In an editor, $instead. Upload it, and press the button again.");
}

function write_program($program, $db)
{
	$path = __DIR__ . '/events.cgi';
	$text = @file_get_contents($path);
	if ($text === false) {
		return say('WRONG', 'events.cgi is missing beside setup.php. Upload it.');
	}
	$text = str_replace("\r", '', $text); // FTP as text may have added them
	$text = preg_replace('/\A#!.*$/m', '#!' . $program, $text, 1);
	$text = preg_replace('/^db[ \t]*=.*$/m', 'db = ' . $db, $text, 1);
	if (!write_file($path, $text, "make its first line: #!$program and the line with \"db =\": db = $db")) {
		return false;
	}
	set_mode($path, 0755);
	clearstatcache();
	if ((fileperms($path) & 0111) !== 0111) {
		return say('WRONG', 'events.cgi is not executable. Set its mode to 755 by FTP.');
	}
	return true;
}

/* The name of this folder in the URL, where .htaccess names the answer while rowtail is down. */
function write_htaccess()
{
	$path = __DIR__ . '/.htaccess';
	$text = @file_get_contents($path);
	if ($text === false) {
		return say('note', '.htaccess is missing beside setup.php. FTP programs hide files whose name begins with a dot: '
			. 'switch them on there, and upload it. Without it most hosts do not run events.cgi.');
	}
	$mount = rtrim(dirname(server('SCRIPT_NAME')), '/');
	if (!preg_match('#^[A-Za-z0-9_./~+@%-]*$#', $mount)) {
		return say('note', "Rename this folder, so that its URL has letters, digits, - and _ only: $mount");
	}
	$down = $mount . '/rowtail-down.asis';
	$text = preg_replace('#^(\s*ErrorDocument \d+ )\S*rowtail-down\.asis#m', '${1}' . $down, $text);
	return write_file($path, $text, "write $down in the lines with ErrorDocument");
}

function connect($db)
{
	$pdo = new PDO('sqlite:' . $db);
	$pdo->setAttribute(PDO::ATTR_ERRMODE, PDO::ERRMODE_EXCEPTION);
	$pdo->exec('PRAGMA busy_timeout = 10000');
	return $pdo;
}

function run_statement($pdo, $sql, $values)
{
	$pdo->prepare($sql)->execute($values);
}

/* Makes the log; SQLite itself finds where each statement ends. */
function make_log($db, $schema)
{
	$before = umask(0077);
	try {
		$pdo = connect($db);
		$pdo->exec(str_replace("\r", '', file_get_contents($schema)));
		$mode = $pdo->query('PRAGMA journal_mode')->fetchColumn();
		$tables = $pdo->query("SELECT count(*) FROM sqlite_master WHERE name IN ('events', 'grants', 'events_pruned')");
		if ($tables->fetchColumn() < 3) {
			say('WRONG', 'rowtail.sql is damaged. Upload it again.');
		} elseif ($mode !== 'wal') {
			say('WRONG', "SQLite cannot use its write-ahead log in this folder (the journal mode is $mode). Network file "
				. 'systems do not allow it: choose a folder on a local disk.');
		} else {
			say('ok', "The log is made: $db.");
		}
	} catch (Exception $e) {
		say('WRONG', 'The log cannot be made: ' . $e->getMessage());
	}
	umask($before);
	return !is_wrong();
}

function remove_log($db)
{
	foreach (array('', '-wal', '-shm', '-journal') as $end) {
		@unlink($db . $end);
	}
}

// ---- Asking the stream through the web server

function scheme()
{
	$secure = server('HTTPS');
	$forwarded = strtolower(server('HTTP_X_FORWARDED_PROTO'));
	return ($secure !== '' && $secure !== 'off') || $forwarded === 'https' ? 'https' : 'http';
}

/*
 * One request to this site. $each is called with the body so far and the milliseconds, about a hundred times a
 * second, and ends the request by returning true. Returns status (0: no answer), head, body, began (when the head
 * came, in ms) and error. NULL: PHP cannot ask.
 */
function ask($query, $accept, $seconds, $each)
{
	$url = scheme() . '://' . server('HTTP_HOST') . rtrim(dirname(server('SCRIPT_NAME')), '/') . '/events.cgi?' . $query;
	$headers = array('Accept: ' . $accept, 'Accept-Encoding: gzip');
	$login = server('PHP_AUTH_USER') !== '';
	if ($login) {
		$headers[] = 'Authorization: Basic ' . base64_encode(server('PHP_AUTH_USER') . ':' . server('PHP_AUTH_PW'));
	}
	if (may_call('curl_init') && may_call('curl_multi_init') && may_call('curl_multi_exec')) {
		return ask_by_curl($url, $headers, $login, $seconds, $each);
	}
	if (ini_get('allow_url_fopen')) {
		return ask_by_fopen($url, $headers, $login, $seconds, $each);
	}
	return null;
}

function milliseconds($since)
{
	return (int) round((microtime(true) - $since) * 1000);
}

function ask_by_fopen($url, $headers, $verify, $seconds, $each)
{
	$answer = array('status' => 0, 'head' => '', 'body' => '', 'began' => 0, 'error' => '');
	$context = stream_context_create(array(
		'http' => array('header' => array_merge($headers, array('Connection: close')), 'timeout' => $seconds,
			'ignore_errors' => true, 'follow_location' => 0, 'protocol_version' => 1.1),
		'ssl' => array('verify_peer' => $verify, 'verify_peer_name' => $verify),
	));
	$begun = microtime(true);
	$opened = @fopen($url, 'r', false, $context);
	$answer['began'] = milliseconds($begun);
	if ($opened === false) {
		$why = error_get_last();
		$answer['error'] = $why === null ? 'no answer' : preg_replace('/^.*\): /', '', $why['message']);
		return $answer;
	}
	$meta = stream_get_meta_data($opened);
	$answer['head'] = implode("\n", (array) $meta['wrapper_data']);
	$answer['status'] = (int) substr($answer['head'], 9, 3);
	stream_set_blocking($opened, false);
	do {
		$answer['body'] .= (string) fread($opened, 65536);
		if (call_user_func($each, $answer['body'], milliseconds($begun)) || feof($opened)) {
			break;
		}
		usleep(10000);
	} while (milliseconds($begun) < $seconds * 1000);
	fclose($opened);
	return $answer;
}

function ask_by_curl($url, $headers, $verify, $seconds, $each)
{
	$answer = array('status' => 0, 'head' => '', 'body' => '', 'began' => 0, 'error' => '');
	$begun = microtime(true);
	$curl = curl_init($url);
	curl_setopt_array($curl, array(
		CURLOPT_HTTPHEADER => $headers, CURLOPT_SSL_VERIFYPEER => $verify, CURLOPT_SSL_VERIFYHOST => $verify ? 2 : 0,
		CURLOPT_HEADERFUNCTION => function ($curl, $line) use (&$answer, $begun) {
			$answer['head'] .= $line;
			$answer['began'] = milliseconds($begun);
			return strlen($line);
		},
		CURLOPT_WRITEFUNCTION => function ($curl, $bytes) use (&$answer) {
			$answer['body'] .= $bytes;
			return strlen($bytes);
		},
	));
	$multi = curl_multi_init();
	curl_multi_add_handle($multi, $curl);
	do {
		curl_multi_exec($multi, $running);
		if (call_user_func($each, $answer['body'], milliseconds($begun))) {
			break;
		}
		curl_multi_select($multi, 0.01);
		usleep(2000);
	} while ($running && milliseconds($begun) < $seconds * 1000);
	$answer['status'] = (int) curl_getinfo($curl, CURLINFO_HTTP_CODE);
	$answer['error'] = curl_error($curl);
	curl_multi_remove_handle($multi, $curl);
	return $answer;
}

/* What an answer means that is none of rowtail's. */
function explain($answer)
{
	$start = substr(trim(preg_replace('/\s+/', ' ', strip_tags($answer['body']))), 0, 300);
	$quoted = $start === '' ? '' : " The answer begins: \"$start\"";
	switch ($answer['status']) {
	case 0:
		return 'The site does not answer PHP: ' . $answer['error'] . '.';
	case 200:
		if (strpos($answer['body'], '#!') === 0) {
			return 'The host sends the text of events.cgi and does not run it. Either .htaccess has no effect here (the '
				. 'host must allow it), or the host runs no CGI programs. Ask the host to switch CGI on.';
		}
		return 'Something else answers at the address of events.cgi, perhaps the site\'s own program. A RewriteRule of a '
			. '.htaccess further up must leave this folder alone.' . $quoted;
	case 401:
		return 'The site asks for a password here. Log in on the site first, and then open this page again.';
	case 403:
		return 'The host forbids events.cgi. It runs no CGI programs in this folder, or .htaccess lacks "Options '
			. '+ExecCGI". Switch CGI on in the control panel, or ask the host.' . $quoted;
	case 404:
		return 'events.cgi is not found at its address. A RewriteRule of the site takes the address, or the host has CGI '
			. 'programs in cgi-bin only: then upload this folder there.';
	case 500:
		return 'The host cannot run events.cgi. Its error log says why; the control panel shows it. The usual causes: CGI '
			. 'programs run as another user than the owner of the files (suexec); the folder or events.cgi has a mode '
			. 'other than 755; the account has reached its limit of processes.' . $quoted;
	}
	if ($answer['status'] >= 300 && $answer['status'] < 400) {
		preg_match('/^Location:\s*(\S+)/mi', $answer['head'], $found);
		return 'The site redirects events.cgi' . (isset($found[1]) ? " to $found[1]" : '') . '. Open this page at the '
			. 'address that the site redirects to (https, or with www), and set it up there.';
	}
	return 'The answer has the status ' . $answer['status'] . '.' . $quoted;
}

/* Whether rowtail reads through the web server what PHP has written. */
function check_answer($channel)
{
	$answer = ask('format=json&last_event_id=0&channel=' . $channel, 'application/json', 20, function () {
		return false;
	});
	if ($answer === null) {
		say('note', 'PHP may not open web addresses here (no curl, and allow_url_fopen is off), so this page cannot ask for '
			. 'the stream. Open page.html in this folder: it shows the row "rowtail is set up" within ten seconds.');
		return false;
	}
	$told = json_decode($answer['body'], true);
	if ($answer['status'] === 0) {
		say('note', explain($answer) . ' Many hosts do not let PHP reach the site by its own name. Open page.html in this '
			. 'folder: it shows the row "rowtail is set up" within ten seconds.');
		return false;
	}
	if ($answer['status'] !== 200 || !is_array($told) || !isset($told['position'])) {
		if (stripos($answer['head'], 'text/plain') !== false && $answer['status'] !== 404) {
			return say('WRONG', 'rowtail runs, but refuses (' . $answer['status'] . '): ' . substr(trim($answer['body']), 0, 500)
				. '. If it cannot read the log, CGI programs run as another user than PHP: ask the host for PHP as your own '
				. 'user, or for suexec.');
		}
		return say('WRONG', explain($answer));
	}
	if (count($told['events']) !== 1) {
		return say('WRONG', 'rowtail does not see the row that PHP has written. PHP and CGI programs see different files '
			. 'under one path (a chroot or container). Ask the host for the path that CGI programs see.');
	}
	return say('ok', "events.cgi answers through the web server, in $answer[began] ms, and reads what PHP writes.");
}

/* Whether a stream comes record by record. */
function check_stream($channel, $pdo)
{
	$first = $sent = $arrived = 0;
	$watch = function ($body, $ms) use (&$first, &$sent, &$arrived, $channel, $pdo) {
		if (!$first && strpos($body, 'event: position') !== false) {
			$first = $ms;
			run_statement($pdo, "INSERT INTO events(channel, data) VALUES (?, 'second')", array($channel));
			$sent = $ms;
		} elseif ($first && strpos($body, 'second') !== false) {
			$arrived = $ms;
		}
		return $arrived > 0;
	};
	$answer = ask('channel=' . $channel, 'text/event-stream', HELD_BACK_S, $watch);
	if ($arrived) {
		return say('ok', "Streams work: a stream begins after $first ms, and a row arrives " . ($arrived - $sent)
			. ' ms after it was written.');
	}
	if ($answer['status'] !== 200 && $answer['status'] !== 0) {
		return say('note', 'Polls work, but streams do not. ' . explain($answer) . ' rowtail.js polls here.');
	}
	$zipped = preg_match('/^Content-Encoding:\s*(?!identity)\S/mi', $answer['head'])
		? ' The host compresses the answer, which can cause it.' : '';
	return say('note', 'Something buffers streams: in ' . HELD_BACK_S . ' s ' . ($first ? 'only the beginning' : 'nothing')
		. " arrived.$zipped rowtail.js notices that, and polls: a row arrives at most 5 s after it was written, or at "
		. 'once if a process is free. For pages with a plain EventSource, set max-stream-age = 5 in events.cgi.');
}

/* The stream, as a visitor gets it. False: it does not work. */
function check_through_server($db)
{
	$channel = 'rowtail-setup/' . md5(uniqid(mt_rand(), true));
	$pdo = connect($db);
	run_statement($pdo, "INSERT INTO grants(subject, channel) VALUES ('*', ?)", array($channel));
	run_statement($pdo, "INSERT INTO events(channel, data) VALUES (?, 'first')", array($channel));
	if (check_answer($channel) && !is_wrong()) {
		check_stream($channel, $pdo);
	}
	run_statement($pdo, 'DELETE FROM grants WHERE channel = ?', array($channel));
	run_statement($pdo, 'DELETE FROM events WHERE channel = ?', array($channel));
	return !is_wrong();
}

/* The first row, and who may read. */
function grant_and_greet($db, $public)
{
	$pdo = connect($db);
	foreach (preg_split('/[\s,]+/', $public, -1, PREG_SPLIT_NO_EMPTY) as $channel) {
		try {
			run_statement($pdo, "INSERT OR REPLACE INTO grants(subject, channel) VALUES ('*', ?)", array($channel));
			say('ok', "Everyone may read $channel.");
		} catch (Exception $e) {
			say('note', "Nobody may read $channel yet: " . $e->getMessage());
		}
	}
	run_statement($pdo, "INSERT INTO events(channel, data) VALUES ('news/setup', 'rowtail is set up')", array());
}

// ---- The page

function set_up($folder, $public)
{
	if (!check_php() || !check_folder($folder)) {
		return false;
	}
	$program = place_program($folder);
	$schema = first_file(array(__DIR__ . '/rowtail.sql', "$folder/rowtail.sql", dirname(__DIR__) . '/schema/rowtail.sql',
		"$folder/schema/rowtail.sql", __DIR__ . '/schema/rowtail.sql'));
	if ($schema === '') {
		say('WRONG', "rowtail.sql is missing. Upload schema/rowtail.sql of the archive to $folder or to " . __DIR__ . '.');
	}
	$db = "$folder/events.db";
	if (@file_exists($db)) {
		say('WRONG', "There is a log already: $db. This page does not change it. Write its path into events.cgi, and delete "
			. 'setup.php.');
	}
	check_modes();
	if (is_wrong()) {
		return false;
	}
	$shipped = (string) @file_get_contents(__DIR__ . '/events.cgi');
	try {
		$works = write_program($program, $db) && write_htaccess() && make_log($db, $schema) && check_through_server($db);
	} catch (Exception $e) {
		$works = say('WRONG', 'The log cannot be used: ' . $e->getMessage());
	}
	if (!$works) {
		remove_log($db);
		@file_put_contents(__DIR__ . '/events.cgi', $shipped, LOCK_EX);
		say('note', 'Nothing is left but the program. Fix what the lines with WRONG say, and press the button again.');
		return false;
	}
	grant_and_greet($db, $public);
	return true;
}

function head($title)
{
	header('Content-Type: text/html; charset=utf-8');
	header('Cache-Control: no-store');
	header('X-Robots-Tag: noindex');
	header("Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'");
	echo '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">',
		'<title>', html($title), '</title><style>body{font:16px/1.5 sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}',
		'dt{float:left;width:4.5rem;font-weight:bold}dd{margin:0 0 .5rem 4.5rem;overflow-wrap:anywhere}.WRONG{color:#b00020}',
		'.ok{color:#0a6b2d}input{font:inherit;width:100%;box-sizing:border-box}button{font:inherit;padding:.4rem 1rem}',
		'pre{overflow-x:auto;background:#eee;padding:.5rem}</style><h1>', html($title), '</h1>';
}

function show_said()
{
	global $said;
	echo '<dl>';
	foreach ($said as $line) {
		echo '<dt class="', $line[0], '">', $line[0], '</dt><dd>', html($line[1]), "</dd>\n";
	}
	echo '</dl>';
}

function show_form($folder, $public, $code)
{
	echo '<form method="post"><p><label>Setup code, as you wrote it into setup.php<input type="password" name="code" ',
		'value="', html($code), '" required autocomplete="off"></label>';
	if ($folder !== '') {
		echo '<p><label>Folder for the program and the log, outside of the web root<input name="folder" value="',
			html($folder), '"></label><p><label>Channels that everyone may read (empty: nobody)<input name="public" value="',
			html($public), '"></label>';
	}
	echo '<p><button>Set rowtail up</button></form>';
}

function show_result($db)
{
	echo '<p>rowtail is set up. Now:<ol><li>Delete setup.php. It does nothing more.<li><a href="page.html">Open page.html</a>, ',
		'a page that works.<li>Publish from PHP:<pre>', html('$db = new PDO(\'sqlite:' . $db . "');\n"
		. "\$db->exec('PRAGMA busy_timeout = 5000');\n"
		. "\$db->prepare('INSERT INTO events(channel, data) VALUES (?, ?)')->execute(['news/today', 'hello']);"),
		'</pre></ol>';
}

function main($code)
{
	$db = configured_db();
	if ($db !== '' && @file_exists($db)) {
		http_response_code(403);
		head('rowtail is set up already');
		echo '<p>This page does nothing more. Delete setup.php.';
		return;
	}
	if (strlen($code) < 16) {
		http_response_code(403);
		head('Write a setup code into setup.php first');
		echo '<p>Open setup.php in an editor. Near its beginning, write a phrase of your own of 16 letters or more between ',
			'the quotes, and upload it again. So nobody else can set rowtail up before you.';
		return;
	}
	$entered = given('code', '');
	if ($entered === '') {
		head('rowtail: set up');
		show_form('', '', '');
		return;
	}
	if (!hash_equals($code, $entered)) {
		http_response_code(403);
		head('This is not the setup code');
		show_form('', '', '');
		return;
	}
	$folder = rtrim(given('folder', ''), '/');
	$public = given('public', 'news/*');
	if ($folder === '') {
		head('rowtail: set up');
		show_form($db === '' ? dirname(web_root()) . '/rowtail' : dirname($db), $public, $code);
		return;
	}
	$mine = fopen(__FILE__, 'r');
	if ($mine === false || !flock($mine, LOCK_EX | LOCK_NB)) {
		head('Somebody is setting rowtail up at the moment');
		return;
	}
	$done = set_up($folder, $public);
	head($done ? 'rowtail is set up' : 'rowtail: something is wrong');
	show_said();
	if ($done) {
		show_result("$folder/events.db");
	} else {
		show_form($folder, $public, $code);
	}
}

main($code);
