<?php
// A client of rowtail in PHP, with Symfony's HttpClient: prints each row as a line of JSON, until you stop it.
//
//     php client.php 'http://127.0.0.1:8080/events?channel=orders/*' [POSITION]
//
// EventSourceHttpClient reconnects when a connection breaks, but not when a stream ends, as at a restart of rowtail or at
// --max-stream-age: the loop is for that. The position is in the URL, since the client forgets a header with it if the first
// connection breaks before its first event. A `gap` event says that rows are missing: fetch the state again.

use Symfony\Component\HttpClient\Chunk\ServerSentEvent;
use Symfony\Component\HttpClient\EventSourceHttpClient;
use Symfony\Component\HttpClient\Exception\EventSourceException;
use Symfony\Contracts\HttpClient\Exception\HttpExceptionInterface;
use Symfony\Contracts\HttpClient\Exception\TransportExceptionInterface;

require getenv('AUTOLOAD') ?: __DIR__ . '/vendor/autoload.php';

const SILENCE_S = 45; // more than twice rowtail's heartbeat
const FINAL_STATUSES = [400, 401, 403];

/** Yields each row and gap as a ServerSentEvent. Throws on 400, 401 and 403; returns at the end of the channel. */
function follow(string $url, ?string $position = null, float $retry = 2.0): Generator
{
    while (true) {
        $client = new EventSourceHttpClient(null, $retry);
        $from = $position === null ? '' : (strpos($url, '?') === false ? '?' : '&') . "last_event_id=$position";
        try {
            $source = $client->connect($url . $from, ['timeout' => SILENCE_S]);
            foreach ($client->stream($source) as $event) {
                if (!$event instanceof ServerSentEvent) {
                    continue;
                }
                $position = $event->getId() !== '' ? $event->getId() : $position;
                $retry = $event->getRetry() ?: $retry;
                if ($event->getId() !== '' && $event->getType() !== 'position') {
                    yield $event;
                }
                if (in_array($event->getType(), ['end', 'denied'], true)) {
                    return;
                }
            }
            if ($source->getStatusCode() === 204) {
                return;
            }
        } catch (HttpExceptionInterface $refused) {
            if (in_array($refused->getResponse()->getStatusCode(), FINAL_STATUSES, true)) {
                throw $refused;
            }
        } catch (TransportExceptionInterface | EventSourceException | LogicException $broken) {
            // A time-out; a login page in place of the stream; a connection that ended before its first byte (version 5.4).
        }
        usleep((int) ($retry * 1e6 * mt_rand(100, 150) / 100));
    }
}

foreach (follow($argv[1], $argv[2] ?? null, (float) (getenv('RETRY') ?: 2)) as $event) {
    echo json_encode([$event->getType(), $event->getData(), $event->getId()], JSON_UNESCAPED_UNICODE), "\n";
}
