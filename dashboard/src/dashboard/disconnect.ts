// To end a connection, or all of a user; the same dialog wherever it is asked for.

import { h } from '../dom';
import { disconnect } from './api';
import { confirm } from './confirm';
import { command } from './shell';

type Whose = { connection: string; user: string | null } | { user: string };

/** Asks how, and does it. `done` is called after it. */
export function askToDisconnect(whose: Whose, done: () => void): void {
  const one = 'connection' in whose;
  const who = one ? { connection: whose.connection } : { user: whose.user };
  const away = h('input', { type: 'radio', name: 'how', value: 'away' });
  const reason = h('input', { maxlength: 255, autocomplete: 'off', placeholder: 'for the log of the node' });
  const name = one
    ? whose.user
      ? `this connection of ${whose.user}`
      : 'this connection'
    : `all connections of ${whose.user}`;
  confirm({
    title: `Disconnect ${name}?`,
    will: [],
    fields: [
      h(
        'fieldset',
        {},
        h('legend', { class: 'visually-hidden' }, 'How'),
        h(
          'label',
          { class: 'option' },
          h('input', { type: 'radio', name: 'how', value: 'back', checked: true }),
          h('span', {}, 'Come back', h('small', {}, 'after a delay of its own and with its cursor: nothing is missed')),
        ),
        h(
          'label',
          { class: 'option' },
          away,
          h(
            'span',
            {},
            'Stay away',
            h(
              'small',
              {},
              'a WebSocket’s client does not come back by itself; others do. To keep a user out, revoke the tokens',
            ),
          ),
        ),
      ),
      h('label', {}, 'Reason', reason),
    ],
    button: 'Disconnect',
    command: () => {
      const why = reason.value.trim();
      const named = one ? [whose.connection] : ['--user', whose.user];
      return command('disconnect', ...named, away.checked && '--away', ...(why ? ['--reason', why] : []));
    },
    run: async () => {
      const { ended, nodes } = await disconnect(who, away.checked, reason.value.trim());
      done();
      const silent = nodes.silent.length > 0 ? ` ${nodes.silent.join(', ')} did not answer.` : '';
      return `${ended} ${ended === 1 ? 'connection was' : 'connections were'} told.${silent}`;
    },
  });
}
