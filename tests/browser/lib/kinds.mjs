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

function inUrl() {
  return (position) => ({
    parameters: { channel: CHANNEL, ...(position === null ? {} : { last_event_id: position }) },
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
