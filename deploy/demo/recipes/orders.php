<?php
// A page in PHP and plain JavaScript. State and position come from one read transaction: what was committed before is in the
// page, and the stream continues after it. DATABASE is the path of the database.

$db = new PDO('sqlite:' . getenv('DATABASE'), null, null, [PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
$db->exec('PRAGMA query_only = ON; PRAGMA busy_timeout = 5000');
$db->beginTransaction();
$orders = $db->query('SELECT id, customer, item, amount FROM orders ORDER BY id')->fetchAll(PDO::FETCH_ASSOC);
// Not max(id): the newest events may have been pruned.
$position = (int) $db->query("SELECT seq FROM sqlite_sequence WHERE name = 'events'")->fetchColumn();
$db->commit();

header('Content-Type: text/html; charset=utf-8');
header('Cache-Control: no-store');
?>
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>PHP</title>
<h1>Orders</h1>
<ul id="orders">
<?php foreach ($orders as $order): ?>
  <li data-id="<?= $order['id'] ?>"><?= htmlspecialchars("$order[id]: $order[amount] × $order[item] for $order[customer]") ?></li>
<?php endforeach ?>
</ul>
<script>
  let position = <?= $position ?>;

  function follow() {
    const stream = new EventSource(`/events?channel=orders/*&event=insert&last_event_id=${position}`);
    stream.addEventListener('insert', function ({ data, lastEventId }) {
      const { id, customer, item, amount } = JSON.parse(data);
      const line = document.createElement('li');
      line.dataset.id = id;
      line.textContent = `${id}: ${amount} × ${item} for ${customer}`;
      document.querySelector('#orders').append(line);
      position = lastEventId;
    });
    // Rows were pruned before this page got them: only a new page has their state.
    stream.addEventListener('gap', () => location.reload());
    // EventSource gives up after any status but 200. This asks again, after the last row that the page has.
    stream.onerror = () => stream.readyState === EventSource.CLOSED && setTimeout(follow, 3000);
  }
  follow();
</script>
</html>
