import type { Member, PresenceChange } from './types.js';
/** The members of one channel, and how they change. */
export declare class Roster {
    #private;
    constructor(channel: string);
    /** Who is there, once that is known. */
    get now(): PresenceChange | undefined;
    /** Takes the members as they are now; gives what that changes, or undefined where it is nothing. */
    is(members: Member[]): PresenceChange | undefined;
    /** Takes a change, and gives it with the members that there are then. */
    changed(joined: Member[], left: string[]): PresenceChange;
}
