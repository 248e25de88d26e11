// kinds: the client libraries as people use them; each is tested for what all must be able to do.

const CHANNEL = 'default';

// where: 'page' or 'node'. ask(position) returns the first request's { parameters } for the URL,
// and options of clients.start().
export const KINDS = [
  { name: 'EventSource', kind: 'native', where: 'page', ask: inUrl() },
  // Where a cut comes before a stream has begun, it polls: not for long here.
  { name: 'rowtail.js', kind: 'rowtail', where: 'page', ask: inUrl({ settings: { streamAgain: 500 } }) },
  { name: 'rowtail.js, POST', kind: 'rowtail', where: 'page', ask: inBody({ settings: { streamAgain: 500 } }) },
  { name: 'event-source-polyfill', kind: 'polyfill', where: 'page', ask: inUrl() },
  { name: 'fetch-event-source, GET', kind: 'azure', where: 'page', ask: inUrl() },
  { name: 'fetch-event-source, POST', kind: 'azure', where: 'page', ask: inBody() },
  {
    name: 'fetch and ReadableStream, POST with a token header', kind: 'stream', where: 'page',
    // A parser that follows the standard knows an id only when its record is complete. A POST gets
    // its first position as a bare id line, so such a client requests position records.
    ask: inBody({ headers: { token: 'secret' }, positions: 1 }),
  },
  { name: 'eventsource in Node.js', kind: 'eventsource', where: 'node', ask: inUrl() },
  { name: 'eventsource-parser in Node.js', kind: 'stream', where: 'node', ask: inUrl() },
];

// These and more packages of npm, and what each does if a stream breaks within a record:
// eager: it keeps an id as soon as its line has arrived, not when the record is complete;
// carries: it puts the partial record's data before the next record's;
// guesses: if the body ends properly, it takes a partial record for a complete one;
// slow: it waits a second or more before it reconnects, whatever `retry` says;
// without: places and kinds of disconnects that it does not survive, whatever the server does;
// heard(text): what its user gets of a text.
export const CUT_KINDS = [
  ...KINDS.map((client) => ({
    ...client, eager: client.kind === 'azure', slow: client.kind === 'polyfill',
  })),
  packaged('eventsource-1', { eager: true, carries: true }),
  packaged('eventsource-2', { eager: true, carries: true }),
  packaged('eventsource-3'),
  // After a reset it connects twice. It breaks a character that arrives in two pieces.
  packaged('@heroku/eventsource', {
    eager: true, carries: true, without: ['reset'], heard: (text) => text.replace(/[^ -~\n]/g, ''),
  }),
  packaged('launchdarkly-eventsource'),
  // A truncated head ends it for good.
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
  // It keeps only the last of several lines.
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

function inBody({ headers = {}, settings, ...asked } = {}) {
  return (position) => ({
    parameters: {},
    method: 'POST',
    headers,
    settings,
    body: {
      channel: [CHANNEL],
      ...asked,
      ...(position === null ? {} : { last_event_id: position }),
    },
  });
}
