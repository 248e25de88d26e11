// eventstream: an incremental parser of text/event-stream, for streams that are read with fetch.
// (HTML standard, section 9.2.6, "Interpreting an event stream".)

export class EventStreamParser {
  #handlers;
  #rest = '';
  #afterCarriageReturn = false;
  #data = [];
  #type = '';
  #id = '';

  /** handlers: record({ type, id, data }), id(text), retry(milliseconds); each is optional. */
  constructor(handlers) {
    this.#handlers = handlers;
  }

  /** Takes the next piece of the decoded text. It may end anywhere. */
  push(text) {
    if (this.#afterCarriageReturn && text.startsWith('\n')) {
      text = text.slice(1);
    }
    if (text === '') {
      return;
    }
    this.#afterCarriageReturn = text.endsWith('\r');
    const lines = (this.#rest + text).split(/\r\n|\r|\n/);
    this.#rest = lines.pop();
    for (const line of lines) {
      this.#line(line);
    }
  }

  #line(line) {
    if (line === '') {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(':');
    if (colon === 0) {
      return;
    }
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    this.#field(field, value);
  }

  #field(field, value) {
    if (field === 'data') {
      this.#data.push(value);
    } else if (field === 'event') {
      this.#type = value;
    } else if (field === 'id' && !value.includes('\0')) {
      this.#id = value;
      this.#handlers.id?.(value);
    } else if (field === 'retry' && /^[0-9]+$/.test(value)) {
      this.#handlers.retry?.(Number(value));
    }
  }

  #dispatch() {
    const record = { type: this.#type || 'message', id: this.#id, data: this.#data.join('\n') };
    const whole = this.#data.length > 0;
    this.#type = '';
    this.#data = [];
    if (whole) {
      this.#handlers.record?.(record);
    }
  }
}
