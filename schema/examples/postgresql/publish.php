<?php
// Publishes one record: php publish.php 'host=db.example dbname=app' orders/42 paid '{"total": 12}'
// Needs PDO's driver for PostgreSQL (php-pgsql in Debian).

function events_connect(string $dsn): PDO
{
    return new PDO("pgsql:$dsn", null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
}

// $event is null for a plain message. A text cannot contain U+0000. In a transaction of the application the row is
// published with its commit.
function publish(PDO $db, string $channel, ?string $event, string $data): void
{
    $insert = $db->prepare('INSERT INTO events(channel, event, data) VALUES (?, ?, ?)');
    $insert->execute([$channel, $event, $data]);
}

// The id of the last row that this connection has published, after the commit.
function last_id(PDO $db): int
{
    return (int) $db->query("SELECT currval('events_order')")->fetchColumn();
}

if (PHP_SAPI === 'cli' && realpath($_SERVER['argv'][0]) === __FILE__) {
    [, $dsn, $channel, $event, $data] = $_SERVER['argv'];
    $db = events_connect($dsn);
    publish($db, $channel, $event === '' ? null : $event, $data);
    echo last_id($db), "\n";
}
