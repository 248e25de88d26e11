// Types of rowtail.js, and of rowtail.classic.js, which defines the class as a global.

/** Times are in milliseconds. */
export interface RowtailOptions {
  /** Begin after this id; 0 is the beginning of the log. Without it: the URL's position or `tail`, else now. */
  position?: number | string;
  /** Send cookies to another origin, as with EventSource. */
  withCredentials?: boolean;
  /** More headers. A function is called for each request, so that it can give a new token. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
  /** POST if there is a body, otherwise GET. */
  method?: string;
  /** The parameters of a POST. A plain object is sent as JSON. */
  body?: BodyInit | Record<string, unknown>;
  /** Keeps the position: sessionStorage, localStorage, or an object with the same two methods. */
  storage?: Pick<Storage, 'getItem' | 'setItem'>;
  /** The item in `storage`, and the name by which tabs find each other. Default: "rowtail ", the URL without a position, and the body. */
  key?: string;
  /** One stream for all tabs with the same key and body. Needs https or localhost; elsewhere each tab has its own. */
  share?: boolean;
  /** How long to wait for a stream's first record before polling. Default: 5000. */
  timeout?: number;
  /** A stream that is silent for this long counts as dead. Must be longer than rowtail's --heartbeat. Default: 45000. */
  silence?: number;
  /** How long the server may hold a poll until a row comes; at most 60000; 0: not at all. Default: 20000. */
  wait?: number;
  /** The pause between polls that the server does not hold. Default: 5000. */
  interval?: number;
  /** How long to poll, at most, before the next attempt to stream. The first comes sooner where streams are refused. Default: 180000. */
  streamAgain?: number;
  /** The pause after a disconnect, until the server sends another (`retry:`). It grows. Default: 2000. */
  retry?: number;
  /** The pause does not grow beyond this. Up to half of it is added at random. Default: 60000. */
  maxRetry?: number;
}

/** `status` is 0 without an answer. readyState is CLOSED if it does not reconnect, otherwise CONNECTING. */
export interface RowtailErrorEvent extends Event {
  readonly status: number;
  readonly message: string;
}

/** `data` is JSON: {"reason": "revoked" | "expired" | "refused"}. A refusal has status and message as well. */
export interface RowtailDeniedEvent extends MessageEvent<string> {
  readonly status?: number;
  readonly message?: string;
}

export interface RowtailEventMap {
  open: Event;
  message: MessageEvent<string>;
  error: RowtailErrorEvent;
  /** The client's position, without a row. `data` is the id. */
  position: MessageEvent<string>;
  /** Rows are missing. `data` is JSON: {"requested", "oldest", "newest", "reason"}. */
  gap: MessageEvent<string>;
  denied: RowtailDeniedEvent;
  /** A channel has ended. When all have, readyState becomes CLOSED. `data` is that of the row, or empty. */
  end: MessageEvent<string>;
}

type Listener<E> = (this: Rowtail, event: E) => unknown;

export class Rowtail extends EventTarget {
  static readonly CONNECTING: 0;
  static readonly OPEN: 1;
  static readonly CLOSED: 2;
  readonly CONNECTING: 0;
  readonly OPEN: 1;
  readonly CLOSED: 2;

  constructor(url: string | URL, options?: RowtailOptions);

  readonly url: string;
  readonly withCredentials: boolean;
  readonly readyState: 0 | 1 | 2;
  /** All events up to here have been delivered. '' until it is known. */
  readonly lastEventId: string;
  /** How events arrive: on a stream, by polls, or from another tab. null before the first. */
  readonly transport: 'stream' | 'polling' | 'shared' | null;

  onopen: Listener<Event> | null;
  onmessage: Listener<MessageEvent<string>> | null;
  onerror: Listener<RowtailErrorEvent> | null;
  onposition: Listener<MessageEvent<string>> | null;
  ongap: Listener<MessageEvent<string>> | null;
  ondenied: Listener<RowtailDeniedEvent> | null;
  onend: Listener<MessageEvent<string>> | null;

  addEventListener<K extends keyof RowtailEventMap>(
    type: K, listener: Listener<RowtailEventMap[K]>, options?: boolean | AddEventListenerOptions): void;
  /** Any other type is the `event` of a row. */
  addEventListener(
    type: string, listener: Listener<MessageEvent<string>>, options?: boolean | AddEventListenerOptions): void;
  addEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | AddEventListenerOptions): void;
  removeEventListener<K extends keyof RowtailEventMap>(
    type: K, listener: Listener<RowtailEventMap[K]>, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: Listener<MessageEvent<string>>, options?: boolean | EventListenerOptions): void;
  removeEventListener(
    type: string, listener: EventListenerOrEventListenerObject | null, options?: boolean | EventListenerOptions): void;

  /** Closes the stream. It does not reconnect. */
  close(): void;
}
