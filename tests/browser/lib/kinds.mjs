// kinds: the clients of the field in the shapes in which people use them; what every one of them must
// be able to do is tested for each.

const CHANNEL = 'default';

// where: 'page' or 'node'. ask(position) gives what the first request says: { parameters } for the
// URL, and options of clients.start().
export const KINDS = [
  { name: 'EventSource', kind: 'native', where: 'page', ask: inUrl() },
  { name: 'event-source-polyfill', kind: 'polyfill', where: 'page', ask: inUrl() },
  { name: 'fetch-event-source, GET', kind: 'azure', where: 'page', ask: inUrl() },
  { name: 'fetch-event-source, POST', kind: 'azure', where: 'page', ask: inBody() },
  {
    name: 'fetch and ReadableStream, POST with a token header', kind: 'stream', where: 'page',
    // A parser that keeps to the standard knows an id only when its record is whole. A POST gets its
    // first position as a bare id line, so such a client asks for position records.
    ask: inBody({ headers: { token: 'secret' }, positions: 1 }),
  },
  { name: 'eventsource in Node.js', kind: 'eventsource', where: 'node', ask: inUrl() },
  { name: 'eventsource-parser in Node.js', kind: 'stream', where: 'node', ask: inUrl() },
];

// These and more of npm's, and what each makes of a stream that is cut within a record:
// eager: it keeps an id as soon as its line has come, not when the record is whole;
// carries: what it had of the record's data stands before the next record's;
// guesses: where the body ends as it should, it takes what it had for a whole record;
// slow: it waits a second or more before it comes back, whatever `retry` says;
// without: places and ways of a cut that it does not survive, whatever the server does;
// heard(text): what reaches its user of a text.
export const CUT_KINDS = [
  ...KINDS.map((client) => ({
    ...client, eager: client.kind === 'azure', slow: client.kind === 'polyfill',
  })),
  packaged('eventsource-1', { eager: true, carries: true }),
  packaged('eventsource-2', { eager: true, carries: true }),
  packaged('eventsource-3'),
  // After a reset it connects twice. A character that comes in two pieces is broken.
  packaged('@heroku/eventsource', {
    eager: true, carries: true, without: ['reset'], heard: (text) => text.replace(/[^ -~\n]/g, ''),
  }),
  packaged('launchdarkly-eventsource'),
  // A head that is cut ends it for good.
  packaged('undici', { without: ['inTheHead'] }),
  packaged('extended-eventsource', {
    eager: true, ask: inUrl({ from: 'extended-eventsource', settings: { disableLogger: true } }),
  }),
  {
    name: '@fortaine/fetch-event-source', kind: 'azure', where: 'page', eager: true,
    ask: inUrl({ from: '@fortaine/fetch-event-source' }),
  },
  { name: 'reconnecting-eventsource', kind: 'reconnecting', where: 'page', ask: inUrl() },
  { name: 'sse.js', kind: 'sse', where: 'page', ask: inUrl(), guesses: true },
  // Of several lines it keeps the last.
  {
    name: 'event-source-plus', kind: 'plus', where: 'node', ask: inUrl(),
    heard: (text) => text.split('\n').at(-1),
  },
  { name: 'eventsource-client', kind: 'client', where: 'node', ask: inUrl() },
  { name: 'fetch-event-stream', kind: 'generator', where: 'node', ask: inUrl() },
];

function packaged(from, more = {}) {
  return { name: from, kind: 'packaged', where: 'node', ask: inUrl({ from }), ...more };
}

function inUrl(options = {}) {
  return (position) => ({
    parameters: { channel: CHANNEL, ...(position === null ? {} : { last_event_id: position }) },
    ...options,
  });
}

function inBody({ headers = {}, ...asked } = {}) {
  return (position) => ({
    parameters: {},
    method: 'POST',
    headers,
    body: {
      channel: [CHANNEL],
      ...asked,
      ...(position === null ? {} : { last_event_id: position }),
    },
  });
}
