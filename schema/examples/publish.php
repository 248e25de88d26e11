<?php
// Publishes one record: php publish.php events.db orders/42 paid '{"total": 12}'

function events_connect(string $path): PDO
{
    return new PDO("sqlite:$path", null, null, [
        PDO::ATTR_TIMEOUT => 10, // seconds to wait for other writers
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    ]);
}

// $event is null for a plain message. Returns the record's id.
function publish(PDO $db, string $channel, ?string $event, string $data): int
{
    $insert = $db->prepare('INSERT INTO events(channel, event, data) VALUES (?, ?, ?)');
    $insert->execute([$channel, $event, $data]);
    return (int) $db->lastInsertId();
}

if (PHP_SAPI === 'cli' && realpath($_SERVER['argv'][0]) === __FILE__) {
    [, $path, $channel, $event, $data] = $_SERVER['argv'];
    echo publish(events_connect($path), $channel, $event === '' ? null : $event, $data), "\n";
}
