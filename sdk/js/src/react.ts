import {
  createContext,
  createElement,
  type ReactNode,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';
import type { Channel, Message, Presence, PublishOptions, StateEvent, SubscribeOptions, Tidings } from './index.js';

const Context = createContext<Tidings | undefined>(undefined);

/** Gives a client to the hooks below it. The client is yours: make it once, outside, and close it yourself. */
export function TidingsProvider({ client, children }: { client: Tidings; children?: ReactNode }): ReactNode {
  return createElement(Context.Provider, { value: client }, children);
}

/** The client of the nearest `TidingsProvider`. Throws where there is none. */
export function useTidings(): Tidings {
  const client = useContext(Context);
  if (!client) throw new Error('there is no <TidingsProvider client={…}> above this component');
  return client;
}

/** How the client is connected, and why. */
export function useConnection(): StateEvent {
  const client = useTidings();
  const last = useRef<StateEvent | undefined>(undefined);
  const told = () => {
    last.current ??= client.state;
    return last.current;
  };
  const listen = (changed: () => void) => {
    last.current = client.state;
    return client.on('state', (state) => {
      last.current = state;
      changed();
    });
  };
  const [subscribe] = useState(() => listen);
  return useSyncExternalStore(subscribe, told, told);
}

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
export function useChannel<T = unknown>(
  name: string,
  options: SubscribeOptions<T> & { keep?: number } = {},
): ChannelView<T> {
  const client = useTidings();
  const [view, setView] = useState<{ messages: Message<T>[]; error: Error | undefined }>({
    messages: [],
    error: undefined,
  });
  // The newest handlers, without a new subscription at each render.
  const current = useRef(options);
  current.current = options;
  const { after, last, maxRate, conflate } = options;
  const watches = options.onPresence !== undefined;
  useEffect(() => {
    setView({ messages: [], error: undefined });
    const subscription = client.channel<T>(name).subscribe({
      after,
      last,
      ...(maxRate !== undefined && { maxRate }),
      ...(conflate && { conflate }),
      ...(watches && { onPresence: (change) => current.current.onPresence?.(change) }),
      onMessage: (message) => {
        const keep = current.current.keep ?? 100;
        setView((old) => ({ ...old, messages: keep > 0 ? [...old.messages, message].slice(-keep) : [] }));
        current.current.onMessage?.(message);
      },
      onGap: (gap) => current.current.onGap?.(gap),
      onEnd: (end) => current.current.onEnd?.(end),
      onError: (error) => {
        setView((old) => ({ ...old, error }));
        current.current.onError?.(error);
      },
    });
    return () => subscription.unsubscribe();
  }, [client, name, after, last, maxRate, conflate, watches]);
  return { ...view, publish: (data, more) => client.channel<T>(name).publish(data, more) };
}

/** Who reads a channel, while the component is there. Needs `presence = true` in the namespace. */
export function usePresence(name: string): Presence {
  const client = useTidings();
  const [presence, setPresence] = useState<Presence>({ members: [], count: 0 });
  useEffect(() => {
    setPresence({ members: [], count: 0 });
    const subscription = client
      .channel(name)
      .subscribe({ onPresence: ({ members, count }) => setPresence({ members, count }) });
    return () => subscription.unsubscribe();
  }, [client, name]);
  return presence;
}
