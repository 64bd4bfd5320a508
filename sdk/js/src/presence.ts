import type { Member, PresenceChange } from './types.js';

/** The members of one channel, and how they change. */
export class Roster {
  readonly #channel: string;
  readonly #members = new Map<string, Member>();
  #known = false;

  constructor(channel: string) {
    this.#channel = channel;
  }

  /** Who is there, once that is known. */
  get now(): PresenceChange | undefined {
    return this.#known ? this.changed([], []) : undefined;
  }

  /** Takes the members as they are now; gives what that changes, or undefined where it is nothing. */
  is(members: Member[]): PresenceChange | undefined {
    const there = new Set(members.map((member) => member.user));
    const left = [...this.#members.keys()].filter((user) => !there.has(user));
    const joined = members.filter(
      (member) => JSON.stringify(this.#members.get(member.user)) !== JSON.stringify(member),
    );
    const first = !this.#known;
    this.#known = true;
    return joined.length || left.length || first ? this.changed(joined, left) : undefined;
  }

  /** Takes a change, and gives it with the members that there are then. */
  changed(joined: Member[], left: string[]): PresenceChange {
    for (const user of left) this.#members.delete(user);
    for (const member of joined) this.#members.set(member.user, member);
    return { channel: this.#channel, joined, left, members: [...this.#members.values()], count: this.#members.size };
  }
}
