// One lab: its lanes, its settings, and what is done to it.

import { calibrate } from './clock';
import { Lane } from './lane';
import {
  type Changes,
  changeLab,
  endLab,
  endOf,
  LANES,
  type LaneName,
  lookAt,
  openLab,
  type Publishing,
  Refused,
  restartNode,
  type Status,
} from './node';

/** What a person can set. */
export interface Settings extends Publishing {
  /** Between two polls. */
  intervalMs: number;
  /** Whether lanes may go down the ladder. */
  fallback: boolean;
}

/** What can be the matter for as long as somebody wants. */
export interface Faults {
  offline: boolean;
  blockUpgrades: boolean;
  bufferStreams: boolean;
}

/** Something that was done, for the record. */
export interface Act {
  at: number;
  what: string;
}

const LOOK_MS = 500;
const CALIBRATE_MS = 10_000;
const OPEN_MS = 400;
/** Tries to open lanes where they were, before they open elsewhere. */
const TRIES_WITH_PORTS = 20;
const ACTS_MAX = 200;
const FAULTS_OFF: Faults = { offline: false, blockUpgrades: false, bufferStreams: false };
/** Whom a fault hits, and what it is called. */
const HIT: Record<keyof Faults, { what: string; over: string; lanes: readonly LaneName[] }> = {
  offline: { what: 'offline', over: 'online again', lanes: LANES },
  blockUpgrades: { what: 'upgrades blocked', over: 'upgrades allowed', lanes: ['ws'] },
  bufferStreams: { what: 'SSE buffered', over: 'SSE passes', lanes: ['sse'] },
};

export class Lab {
  readonly settings: Settings = { rate: 2, bytes: 128, intervalMs: 2_000, fallback: false };
  faults: Faults = { ...FAULTS_OFF };
  lanes: Lane[] = [];
  acts: Act[] = [];
  beganAt = Date.now();
  status: Status | undefined;
  /** Why there is nothing to see, if that is so. */
  trouble = 'The lab is being opened.';
  restarting = false;
  readonly #onLanes: (lanes: Lane[]) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #calibratedAt = 0;
  #failed = 0;
  /** The cursor at which the lab began. */
  #start = '';

  /** `onLanes` is called when there are new ones. */
  constructor(onLanes: (lanes: Lane[]) => void) {
    this.#onLanes = onLanes;
    addEventListener('pagehide', () => this.status && endLab(this.status.id));
    // A page from the back/forward cache: its lab is gone.
    addEventListener('pageshow', (event) => event.persisted && this.begin());
  }

  get published(): number {
    return this.status?.published ?? 0;
  }

  /** A new lab, in the place of the one before it. */
  async begin(): Promise<void> {
    clearTimeout(this.#timer);
    for (const lane of this.lanes) lane.close();
    if (this.status) endLab(this.status.id);
    this.status = undefined;
    this.faults = { ...FAULTS_OFF };
    this.restarting = false;
    this.#failed = 0;
    this.acts = [];
    this.beganAt = Date.now();
    this.#calibrate();
    try {
      // Nothing is published before all lanes are there.
      const status = await openLab({ publish: { rate: 0, bytes: this.settings.bytes } });
      this.lanes = LANES.map((name) => new Lane(name, this.settings.intervalMs));
      this.#told(status);
      this.#start = await endOf(status.channel);
      this.#onLanes(this.lanes);
      await this.#read();
      this.trouble = '';
      await this.#change({ publish: this.#publish });
      for (const lane of this.lanes) lane.mark();
    } catch (error) {
      this.trouble = `The lab cannot be opened: ${words(error)}.`;
      this.#timer = setTimeout(() => this.begin(), 2_000);
      return;
    }
    this.#look();
  }

  /** Sets the pace, and what is compared is counted from here. Says what is wrong with it, if something is. */
  async set(settings: Partial<Settings>): Promise<string> {
    const before = { ...this.settings };
    Object.assign(this.settings, settings);
    try {
      await this.#change({ publish: this.#publish });
    } catch (error) {
      Object.assign(this.settings, before);
      return words(error);
    }
    for (const lane of this.lanes) {
      lane.wire.intervalMs = this.settings.intervalMs;
      lane.mark();
    }
    if (before.fallback !== this.settings.fallback) {
      this.#note(this.settings.fallback ? 'lanes may fall back' : 'each lane keeps to its transport');
      await this.#read().catch(() => undefined);
    }
    return '';
  }

  async cut(): Promise<void> {
    await this.#change({ cut: true });
    this.#note('cut', LANES);
  }

  async setFault(name: keyof Faults, on: boolean): Promise<void> {
    this.faults[name] = on;
    const { what, over, lanes } = HIT[name];
    // What waits until now is caught up with: so the end of it is noted before it is one, and its beginning after.
    if (!on) this.#note(over, lanes);
    try {
      await this.#change(inWire({ [name]: on }));
    } catch (error) {
      this.faults[name] = !on;
      throw error;
    }
    if (on) this.#note(what, lanes);
    // What a browser says when a network is there again. Nobody says that a proxy has changed its mind.
    if (name === 'offline' && !on) dispatchEvent(new Event('online'));
  }

  async restart(): Promise<void> {
    this.restarting = true;
    this.#note('node restarted', LANES);
    try {
      await restartNode();
    } catch (error) {
      this.restarting = false;
      throw error;
    }
  }

  get #publish(): Publishing {
    return { rate: this.settings.rate, bytes: this.settings.bytes };
  }

  async #change(changes: Changes): Promise<void> {
    if (!this.status) throw new Refused('unreachable', 'the lab is not open yet');
    this.#told(await changeLab(this.status.id, changes));
  }

  async #read(): Promise<void> {
    const { status } = this;
    if (!status) return;
    const { fallback } = this.settings;
    const begun = this.lanes.map((lane) =>
      lane.read(status.channel, status.lanes[lane.name].port, fallback, this.#start),
    );
    await Promise.race([Promise.allSettled(begun), new Promise((resolve) => setTimeout(resolve, 3_000))]);
  }

  #told(status: Status): void {
    this.status = status;
    for (const lane of this.lanes) lane.told(status.lanes[lane.name]);
  }

  #note(what: string, lanes: readonly LaneName[] = []): void {
    this.acts.push({ at: Date.now(), what });
    if (this.acts.length > ACTS_MAX) this.acts.shift();
    for (const lane of this.lanes) if (lanes.includes(lane.name)) lane.disturbed(what);
  }

  #calibrate(): void {
    if (Date.now() - this.#calibratedAt < CALIBRATE_MS) return;
    calibrate();
    this.#calibratedAt = Date.now();
  }

  /** Looks at the lab, for as long as it is the one. */
  async #look(): Promise<void> {
    const { status } = this;
    if (!status) return;
    let again = LOOK_MS;
    try {
      if (this.restarting || this.trouble) await this.#reopen(status);
      else this.#told(await lookAt(status.id));
      this.#calibrate();
    } catch (error) {
      if (this.status?.id !== status.id) return;
      again = OPEN_MS;
      this.trouble = this.restarting ? 'The node is restarting.' : `${sentence(words(error))}.`;
    }
    if (this.status?.id === status.id) this.#timer = setTimeout(() => this.#look(), again);
  }

  /** Opens the lab again, or finds it: the node was restarted, or is about to be, or nobody looked for too long. */
  async #reopen(before: Status): Promise<void> {
    const ports = Object.fromEntries(LANES.map((name) => [name, before.lanes[name].port]));
    const withPorts = ++this.#failed < TRIES_WITH_PORTS;
    const opened = await openLab({ id: before.id, publish: this.#publish, ...(withPorts && { ports }) });
    if (this.status?.id !== before.id) return;
    const isNew = opened.opened_ms !== before.opened_ms;
    // The node that is to be restarted still answers.
    if (!isNew && this.restarting && this.#failed < TRIES_WITH_PORTS) return this.#told(opened);
    this.#failed = 0;
    this.restarting = false;
    this.trouble = '';
    // Its channel is gone, and with it what lanes had not read.
    if (opened.published < before.published) return this.begin();
    if (isNew) for (const lane of this.lanes) lane.countedAnew();
    this.#told(opened);
    if (!withPorts) await this.#read();
    await this.#change(inWire(this.faults));
  }
}

function inWire({ offline, blockUpgrades, bufferStreams }: Partial<Faults>): Changes {
  return {
    ...(offline !== undefined && { offline }),
    ...(blockUpgrades !== undefined && { block_upgrades: blockUpgrades }),
    ...(bufferStreams !== undefined && { buffer_streams: bufferStreams }),
  };
}

const words = (error: unknown): string => (error instanceof Error ? error.message : String(error));
const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1);
