// front: something between a page and its web server that holds answers back until they are complete, answers in the
// server's place, or ends connections early. Pages and modules pass.

import { once } from 'node:events';
import http from 'node:http';

export class Front {
  #server;
  #web;

  /** What happens to requests for events: a function of (request, response, pass). */
  act = PASS;
  /** The requests for events so far: { kind ('stream' or 'poll'), method, url, headers }. */
  asked = [];

  /** web: of webserver.mjs. */
  static async open(web) {
    const front = new Front();
    front.#web = web;
    front.#server = http.createServer((request, response) => front.#take(request, response));
    front.#server.listen(0, '127.0.0.1');
    await once(front.#server, 'listening');
    front.origin = `http://127.0.0.1:${front.#server.address().port}`;
    return front;
  }

  count(kind) {
    return this.asked.filter((request) => request.kind === kind).length;
  }

  async close() {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }

  #take(request, response) {
    const pass = (how = {}) => this.#pass(request, response, how);
    if (!request.url.startsWith('/events')) {
      pass();
      return;
    }
    const { method, url, headers } = request;
    const kind = url.includes('format=json') ? 'poll' : 'stream';
    this.asked.push({ kind, method, url, headers });
    this.act(request, response, pass, kind);
  }

  // held: the answer leaves when it is whole. cutAfterMs: the connection ends then.
  #pass(request, response, { held = false, cutAfterMs }) {
    const { method, url, headers, socket } = request;
    const onward = http.request(
      { host: '127.0.0.1', port: this.#web.port, agent: false, method, path: url, headers });
    const pieces = [];
    onward.on('response', (answer) => {
      answer.on('close', () => answer.complete || socket.destroy());
      const { 'transfer-encoding': encoding, connection, ...head } = answer.headers;
      if (!held) {
        response.writeHead(answer.statusCode, head);
        response.flushHeaders();
        answer.pipe(response);
        return;
      }
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => response.writeHead(answer.statusCode, head).end(Buffer.concat(pieces)));
    });
    onward.on('error', () => socket.destroy());
    response.on('close', () => onward.destroy());
    request.pipe(onward);
    if (cutAfterMs !== undefined) {
      setTimeout(() => socket.destroy(), cutAfterMs).unref();
    }
  }
}

export const PASS = (request, response, pass) => pass();
export const HOLD = (request, response, pass) => pass({ held: true });
export const cutAfter = (ms) => (request, response, pass) => pass({ cutAfterMs: ms });
/** Streams meet one fate, polls another. */
export const apart = (streams, polls) => (request, response, pass, kind) =>
  ({ stream: streams, poll: polls })[kind](request, response, pass, kind);

/** A gateway whose program does not answer. */
export const answer = (status, text = `<html><title>${status}</title></html>`, type = 'text/html') =>
  (request, response) => response.writeHead(status, { 'Content-Type': type }).end(text);
export const LOGIN = answer(200, '<form action="/login"><input name="password"></form>', 'text/html; charset=utf-8');
/** It ends the connection at once. */
export const SLAM = (request) => request.socket.destroy();
/** It accepts, and says nothing. */
export const SILENCE = () => {};
