// lines: four ways to connect to rowtail. Each is a function that takes a feed and returns
// { open(position), close() }. While open it calls:
//   feed.opened()             the server has answered
//   feed.record(record)       { type, id, data }
//   feed.position(id)         a position that came without a record
//   feed.retry(milliseconds)  the reconnection time that the server asks for
//   feed.waiting()            disconnected; the line reconnects by itself
//   feed.ended()              disconnected; the caller must open it again

import { EventStreamParser } from './eventstream.js';
import { oneStream } from './recipes/one-stream.js';

export const CHANNELS = ['stock/*', 'weather', 'chat', 'default'];

// An EventSource delivers only the event types that it has listeners for.
const TYPES = ['message', 'stock', 'chat', 'position', 'gap', 'denied'];

const STREAM = new URL('/events', location.href);

function streamUrl(position) {
  const url = new URL(STREAM);
  for (const channel of CHANNELS) {
    url.searchParams.append('channel', channel);
  }
  url.searchParams.set('envelope', 'json');
  if (position !== null) {
    url.searchParams.set('last_event_id', position);
  }
  return url;
}

/** The browser's own EventSource, which reconnects by itself. */
export function eventSourceLine(feed) {
  let source;
  return {
    open(position) {
      const opened = new EventSource(streamUrl(position));
      source = opened;
      source.onopen = () => feed.opened();
      source.onerror = () =>
        opened.readyState === EventSource.CLOSED ? feed.ended() : feed.waiting();
      for (const type of TYPES) {
        source.addEventListener(type, ({ data, lastEventId }) =>
          feed.record({ type, id: lastEventId, data }));
      }
    },
    close() {
      source.close();
    },
  };
}

/** One EventSource for all tabs, in a SharedWorker: see recipes/one-stream.js. */
export function sharedLine(feed) {
  let stream;
  return {
    open(position) {
      stream = oneStream(streamUrl(null), {
        types: TYPES,
        position,
        opened: feed.opened,
        record: feed.record,
        waiting: feed.waiting,
        ended: feed.ended,
      });
    },
    close() {
      stream.close();
    },
  };
}

/** fetch with a ReadableStream: a GET with the position in a header. */
export function fetchLine(feed) {
  return fetching(feed, (position) => ({
    url: streamUrl(null),
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
