<?php
// The loop of many tutorials: query, flush, sleep. EVENTS_DB names the database.
$db = new PDO('sqlite:' . $_SERVER['EVENTS_DB']);
$rows = $db->prepare('SELECT id, data FROM events WHERE id > ? ORDER BY id');
$position = $_GET['last_event_id'] ?? $db->query('SELECT coalesce(max(id), 0) FROM events')->fetchColumn();
header('Content-Type: text/event-stream');
header('Cache-Control: no-cache');
header('X-Accel-Buffering: no');
set_time_limit(0);
echo ": hello\n\n";
while (!connection_aborted()) {
	$rows->execute([$position]);
	while ($row = $rows->fetch(PDO::FETCH_NUM)) {
		echo "data: $row[1]\nid: $row[0]\n\n";
		$position = $row[0];
	}
	$rows->closeCursor();
	while (ob_get_level() > 0) {
		ob_end_flush();
	}
	flush();
	sleep(1);
}
