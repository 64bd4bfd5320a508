import { backoffMs } from './backoff.js';
import { sleep } from './clock.js';
import { covers, parts } from './cursor.js';
import { ofThrown, TidingsError } from './errors.js';
import type { Http, Page } from './http.js';
import { call, type Subscription } from './subscription.js';
import type { Read, TransportEvent } from './transports/transport.js';
import type { PresenceChange } from './types.js';

/** Messages of the page that finds where a subscription begins. */
const PAGE = 1_000;
/** Such pages that are asked for at once. */
const AT_ONCE = 4;
/** Channels whose ends are asked for at once: so many of the longest names fit a URL. */
const TOGETHER = 50;

/** What a client reads: one read a channel, whatever the number of its subscriptions, each at its own place. */
export class Reads {
  /** Channel → how it is read over the wire. */
  readonly wanted = new Map<string, Read>();
  readonly #subscriptions = new Map<string, Set<Subscription>>();
  readonly #http: Http;
  readonly #changed: () => void;
  /** Pages that are asked for, and who waits for a turn. */
  #asking = 0;
  readonly #turns: (() => void)[] = [];
  /** Channels whose ends are about to be asked for. */
  #breath: { channels: Set<string>; cursors: Promise<Map<string, string>> } | undefined;

  /** `changed` is called when `wanted` is not what it was. */
  constructor(http: Http, changed: () => void) {
    this.#http = http;
    this.#changed = changed;
  }

  add(subscription: Subscription): void {
    const all = this.#subscriptions.get(subscription.channel) ?? new Set();
    this.#subscriptions.set(subscription.channel, all.add(subscription));
    this.#begin(subscription).catch((thrown) => subscription.fail(ofThrown(thrown)));
  }

  /** Ends a subscription's part, and the read with its last one. */
  remove(subscription: Subscription): void {
    const all = this.#subscriptions.get(subscription.channel);
    all?.delete(subscription);
    if (all?.size) {
      this.#adapt(subscription.channel);
      return;
    }
    this.#subscriptions.delete(subscription.channel);
    if (this.wanted.delete(subscription.channel)) this.#changed();
  }

  /** Ends all; with an error, where there is one. */
  close(reason: TidingsError | undefined): void {
    for (const one of [...this.#subscriptions.values()].flatMap((all) => [...all])) {
      if (reason) one.fail(reason);
      else one.unsubscribe();
    }
  }

  /** Somebody came or went. */
  tellPresence(change: PresenceChange): void {
    for (const one of this.#of(change.channel)) if (!one.closed) call(one.options.onPresence, change);
  }

  /** Resolves when each subscription of these channels that was made before knows where it begins, or is over. */
  async begun(channels: Iterable<string>): Promise<void> {
    for (const channel of new Set(channels))
      for (const subscription of this.#subscriptions.get(channel) ?? [])
        await subscription.ready.catch(() => undefined);
  }

  /** Something came over the wire. */
  hear(event: TransportEvent): void {
    switch (event.type) {
      case 'subscribed':
        return this.#live(event.channel, event.version);
      case 'message':
        return this.#deliver(event.message.channel, event.message.cursor, (one) => one.message(event.message));
      case 'gap':
        return this.#deliver(event.gap.channel, event.gap.until, (one) => one.gap(event.gap));
      case 'end':
        return this.#deliver(event.end.channel, event.end.cursor, (one) => one.end(event.end));
      case 'refused':
        for (const one of this.#of(event.channel)) one.fail(event.error);
        return;
      default:
        return;
    }
  }

  /**
   * Finds where a subscription begins: a cursor. One that is given is one. `latest`, `earliest` and `last` become
   * one by a page, whose messages are its first; so every transport only ever goes on after a cursor.
   */
  async #begin(subscription: Subscription): Promise<void> {
    const { after = 'latest', last } = subscription.options;
    if (last === undefined && after !== 'latest' && after !== 'earliest') {
      subscription.begin(after);
      return this.#join(subscription, after);
    }
    const latest = last === undefined && after === 'latest' ? await this.#latest(subscription.channel) : undefined;
    if (subscription.closed) return;
    if (latest !== undefined) {
      subscription.begin(latest);
      return this.#join(subscription, latest);
    }
    const place: [string, string][] =
      last === undefined
        ? [
            ['after', after],
            ['limit', String(PAGE)],
          ]
        : [['last', String(last)]];
    const page = await this.#page(subscription, place);
    if (subscription.closed || !page) return;
    if (page.gap) subscription.gap(page.gap);
    for (const message of page.messages) subscription.message(message);
    const end = page.ended?.[0];
    subscription.begin(page.cursor);
    if (end) return subscription.end(end);
    if (!subscription.closed) this.#join(subscription, page.cursor);
  }

  /** The end of a channel, where several are asked for in one breath: by one request. Else undefined, and if that fails. */
  #latest(channel: string): Promise<string | undefined> {
    this.#breath ??= { channels: new Set(), cursors: Promise.resolve().then(() => this.#ends()) };
    this.#breath.channels.add(channel);
    return this.#breath.cursors.then((cursors) => cursors.get(channel));
  }

  async #ends(): Promise<Map<string, string>> {
    const channels = [...(this.#breath?.channels ?? [])];
    this.#breath = undefined;
    const cursors = new Map<string, string>();
    for (let at = 0; channels.length > 1 && at < channels.length; at += TOGETHER) {
      const some = channels.slice(at, at + TOGETHER);
      const ask = { query: [['after', 'latest']] as [string, string][] };
      const page = await this.#http.page(some, ask).then(
        ({ page }) => page,
        () => undefined,
      );
      // A refusal does not say of which; an end is told alone.
      const found = page && !page.ended ? parts(page.cursor, some.length) : [];
      for (const [i, cursor] of found.entries()) cursors.set(some[i] as string, cursor);
    }
    return cursors;
  }

  /** Asks until there is an answer; a refusal is one. */
  async #page(subscription: Subscription, query: [string, string][]): Promise<Page | undefined> {
    const { signal } = subscription.over;
    for (let attempt = 0; !signal.aborted; attempt++) {
      // A few at a time: a browser would let the others wait, and their time run out.
      await this.#turn();
      const asked = await this.#http.page([subscription.channel], { query: [...query], signal }).catch(ofThrown);
      this.#asking--;
      this.#turns.shift()?.();
      if (signal.aborted) return undefined;
      if (!(asked instanceof TidingsError)) return asked.page;
      if (!asked.passingAt(attempt)) throw asked;
      await sleep(asked.retryMs ?? backoffMs(attempt), signal);
    }
    return undefined;
  }

  async #turn(): Promise<void> {
    while (this.#asking >= AT_ONCE) await new Promise<void>((resolve) => this.#turns.push(resolve));
    this.#asking++;
  }

  #join(subscription: Subscription, cursor: string): void {
    const { channel } = subscription;
    const known = this.wanted.get(channel);
    const read = known ?? {
      channel,
      cursor,
      version: 1,
      live: 0,
      maxRate: undefined,
      conflate: undefined,
      presence: false,
    };
    this.wanted.set(channel, read);
    if (!covers(cursor, read.cursor)) {
      // It is behind, or in another life of the log: the read goes back to it, and the others skip what they have had.
      read.cursor = cursor;
      read.version++;
    }
    subscription.version = read.version;
    subscription.live = read.live === read.version;
    if (!this.#adapt(channel) && !subscription.live) this.#changed();
  }

  /** Lets the read be as its subscriptions want it: as fast as the fastest, conflated only if all say so. */
  #adapt(channel: string): boolean {
    const read = this.wanted.get(channel);
    if (!read) return false;
    const all = this.#of(channel).map((one) => one.options);
    const maxRate = all.every((one) => one.maxRate !== undefined)
      ? Math.max(...all.map((one) => one.maxRate ?? 0))
      : undefined;
    const conflate = maxRate !== undefined && all.every((one) => one.conflate) ? 'key' : undefined;
    const presence = all.some((one) => one.onPresence);
    if (read.maxRate === maxRate && read.conflate === conflate && read.presence === presence) return false;
    Object.assign(read, { maxRate, conflate, presence });
    read.version++;
    this.#changed();
    return true;
  }

  #live(channel: string, version: number): void {
    const read = this.wanted.get(channel);
    if (!read || read.version !== version) return;
    read.live = version;
    for (const one of this.#of(channel)) one.live ||= one.version !== 0 && one.version <= version;
  }

  #deliver(channel: string, cursor: string, tell: (subscription: Subscription) => void): void {
    const read = this.wanted.get(channel);
    // Of a version that is no more: the read goes on elsewhere.
    if (!read || read.live !== read.version) return;
    read.cursor = cursor;
    for (const one of this.#of(channel)) if (one.live) tell(one);
  }

  /** A copy: an application may unsubscribe while it is told something. */
  #of(channel: string): Subscription[] {
    return [...(this.#subscriptions.get(channel) ?? [])];
  }
}
