// A server of Server-Sent Events in Node.js: better-sse, with its batching. Events come by POST and stay in memory.
// Usage: node node.mjs PORT
import http from 'node:http';
import { createEventBuffer, createSession } from 'better-sse';

const PORT = Number(process.argv[2]);
const events = []; // the data of every event; its id is its place, from 1
const sessions = new Set();
const asItIs = { serializer: String };
let sent = 0;

const bufferOf = (first, last) => {
  const buffer = createEventBuffer(asItIs);
  for (let id = first; id <= last; id += 1) {
    buffer.data(events[id - 1]).id(String(id)).dispatch();
  }
  return buffer;
};

// All events that came in one turn of the event loop go out in one write for each session.
const flush = () => {
  const buffer = bufferOf(sent + 1, events.length);
  sent = events.length;
  for (const session of sessions) {
    session.batch(buffer);
  }
};

const publish = (req, res) => {
  const parts = [];
  req.on('data', (part) => parts.push(part));
  req.on('end', () => {
    if (events.length === sent) {
      setImmediate(flush);
    }
    events.push(Buffer.concat(parts).toString());
    res.writeHead(200, { 'Content-Length': 0 }).end();
  });
};

const subscribe = async (req, res, url) => {
  const from = url.searchParams.get('last_event_id');
  const session = await createSession(req, res, asItIs);
  if (from !== null && Number(from) < sent) {
    await session.batch(bufferOf(Number(from) + 1, sent));
  }
  sessions.add(session);
  session.on('disconnected', () => sessions.delete(session));
};

http
  .createServer((req, res) => {
    if (req.method === 'POST') {
      publish(req, res);
    } else {
      subscribe(req, res, new URL(req.url, 'http://localhost'));
    }
  })
  .listen({ port: PORT, host: '127.0.0.1', backlog: 4096 });
