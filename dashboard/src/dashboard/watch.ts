// The nodes' channel, read as any other: the last hour of it, and then as it goes on.

import { type StateEvent, Tidings } from '/sdk/tidings.js';
import { key } from './key';
import { CHANNEL, isSnapshot, type Snapshot } from './snapshot';

export interface Watching {
  client: Tidings;
  stop: () => void;
}

/** Reads until it is stopped. `onRefused`: the node will not let this key read it. */
export function watch(
  onSaid: (said: Snapshot) => void,
  onState: (state: StateEvent) => void,
  onRefused: (error: Error) => void,
): Watching {
  // The key of a tab is not shared with others, so neither is the connection.
  const client = new Tidings({ url: location.origin, token: () => key.get(), shareTabs: false });
  client.on('state', onState);
  client.channel(CHANNEL).subscribe({
    after: 'earliest',
    onMessage: ({ data }) => {
      if (isSnapshot(data)) onSaid(data);
    },
    onError: onRefused,
  });
  return { client, stop: () => client.close() };
}
