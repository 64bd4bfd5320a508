import { type ReactNode } from 'react';
import type { Channel, Message, Presence, PublishOptions, StateEvent, SubscribeOptions, Tidings } from './index.js';
/** Gives a client to the hooks below it. The client is yours: make it once, outside, and close it yourself. */
export declare function TidingsProvider({ client, children }: {
    client: Tidings;
    children?: ReactNode;
}): ReactNode;
/** The client of the nearest `TidingsProvider`. Throws where there is none. */
export declare function useTidings(): Tidings;
/** How the client is connected, and why. */
export declare function useConnection(): StateEvent;
/** What `useChannel` gives. */
export interface ChannelView<T> {
    /** The newest messages, oldest first: at most `keep`. */
    messages: Message<T>[];
    /** Stores a message. */
    publish(data: T, options?: PublishOptions): ReturnType<Channel<T>['publish']>;
    /** The server refused the channel. */
    error: Error | undefined;
}
/** Reads a channel while the component is there. `keep` is 100. Another name or start is another subscription. */
export declare function useChannel<T = unknown>(name: string, options?: SubscribeOptions<T> & {
    keep?: number;
}): ChannelView<T>;
/** Who reads a channel, while the component is there. Needs `presence = true` in the namespace. */
export declare function usePresence(name: string): Presence;
