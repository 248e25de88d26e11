// lines: four ways to connect to rowtail. Each is a function that takes a feed and returns
// { open(position), close() }. While open it calls:
//   feed.opened()             the server has answered
//   feed.record(record)       { type, id, data }
//   feed.position(id)         a position that came without a record
//   feed.retry(milliseconds)  the reconnection time that the server asks for
//   feed.waiting()            disconnected; the line reconnects by itself
//   feed.ended()              disconnected; the caller must open it again

import { Rowtail } from './browser/rowtail.js';
import { EventStreamParser } from './eventstream.js';

export const CHANNELS = ['stock/*', 'weather', 'chat', 'default'];

// What to listen for.
const TYPES = ['message', 'stock', 'chat', 'position', 'gap', 'denied'];

const STREAM = new URL('/events', location.href);

function streamUrl() {
  const url = new URL(STREAM);
  for (const channel of CHANNELS) {
    url.searchParams.append('channel', channel);
  }
  url.searchParams.set('envelope', 'json');
  return url;
}

/** rowtail.js, which reconnects by itself. */
export function rowtailLine(feed, options) {
  let stream;
  return {
    open(position) {
      const opened = new Rowtail(streamUrl(), { position, ...options });
      stream = opened;
      opened.onopen = () => feed.opened();
      opened.onerror = () => (opened.readyState === opened.CLOSED ? feed.ended() : feed.waiting());
      for (const type of TYPES) {
        opened.addEventListener(type, ({ data, lastEventId }) =>
          feed.record({ type, id: lastEventId, data }));
      }
    },
    close() {
      stream.close();
    },
  };
}

/** rowtail.js with one stream for all tabs. */
export function sharedLine(feed) {
  return rowtailLine(feed, { share: true });
}

/** fetch with a ReadableStream: a GET with the position in a header. */
export function fetchLine(feed) {
  return fetching(feed, (position) => ({
    url: streamUrl(),
    headers: position === null ? {} : { 'Last-Event-ID': position },
  }));
}

/** fetch with POST: channels and position in a JSON body. */
export function postLine(feed) {
  return fetching(feed, (position) => ({
    url: STREAM,
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({
      channel: CHANNELS,
      envelope: 'json',
      ...(position === null ? {} : { last_event_id: position }),
    }),
  }));
}

function fetching(feed, request) {
  let controller;
  return {
    open(position) {
      controller = new AbortController();
      read(request(position), controller.signal, feed).catch(() => {}).finally(feed.ended);
    },
    close() {
      controller.abort();
    },
  };
}

async function read({ url, ...init }, signal, feed) {
  const headers = { Accept: 'text/event-stream', ...init.headers };
  const response = await fetch(url, { ...init, headers, signal, cache: 'no-store' });
  if (!response.ok) {
    return;
  }
  feed.opened();
  const parser = new EventStreamParser(
    { record: feed.record, id: feed.position, retry: feed.retry });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    parser.push(piece.value);
  }
}
