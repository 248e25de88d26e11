<?php
// Starts a job for job.html. DATABASE is the path of the database. The row is all that a job needs: after a restart the worker
// continues with the jobs that are not finished (deploy/demo/insert.sh), and a trigger publishes each step
// (deploy/demo/demo.sql).

$steps = filter_input(INPUT_POST, 'steps', FILTER_VALIDATE_INT, ['options' => ['min_range' => 1, 'max_range' => 100]]);
if (!$steps) {
    http_response_code(400);
    exit('Steps is a number from 1 to 100.');
}
$db = new PDO('sqlite:' . getenv('DATABASE'), null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$db->exec('PRAGMA busy_timeout = 5000');
$db->prepare('INSERT INTO jobs(steps) VALUES (?)')->execute([$steps]);
header('Location: job.html?job=' . $db->lastInsertId(), true, 303);
