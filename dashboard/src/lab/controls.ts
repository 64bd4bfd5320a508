// What a person sets and does.

import { h } from '../dom';
import type { Faults, Lab, Settings } from './lab';

/** A number to type, with its bounds; what is out of them is brought in. */
interface Field {
  id: string;
  label: string;
  unit: string;
  min: number;
  max: number;
  step: string;
  value: number;
  settings: (value: number) => Partial<Settings>;
}

const FIELDS: Field[] = [
  {
    id: 'rate',
    label: 'Publish',
    unit: 'messages a second',
    min: 0,
    max: 200,
    step: 'any',
    value: 2,
    settings: (rate) => ({ rate }),
  },
  {
    id: 'payload',
    label: 'Payload',
    unit: 'bytes',
    min: 64,
    max: 65_536,
    step: '1',
    value: 128,
    settings: (bytes) => ({ bytes }),
  },
  {
    id: 'interval',
    label: 'Poll each',
    unit: 'seconds',
    min: 0.1,
    max: 60,
    step: 'any',
    value: 2,
    settings: (seconds) => ({ intervalMs: Math.round(seconds * 1000) }),
  },
];

const TOGGLES: { name: keyof Faults; label: string }[] = [
  { name: 'offline', label: 'Go offline' },
  { name: 'blockUpgrades', label: 'Block WebSocket' },
  { name: 'bufferStreams', label: 'Buffer SSE' },
];

export interface Controls {
  element: HTMLElement;
  /** Shows what is set and what is the matter, now. */
  show(): void;
}

/** `tell` is given what could not be done, or nothing. */
export function controls(lab: Lab, tell: (trouble: string) => void, again: () => void): Controls {
  const act = (doing: () => Promise<unknown>) => async () => {
    try {
      const done = doing();
      // A press is seen at once, and not when the node has answered.
      show();
      await done;
      tell('');
    } catch (error) {
      tell(error instanceof Error ? error.message : String(error));
    }
    show();
  };
  const toggles = TOGGLES.map(({ name, label }) => ({
    name,
    button: h(
      'button',
      { type: 'button', 'aria-pressed': 'false', onclick: act(() => lab.setFault(name, !lab.faults[name])) },
      label,
    ),
  }));
  const restart = h('button', { type: 'button', onclick: act(() => lab.restart()) }, 'Restart the node');
  const fallback = h('input', { type: 'checkbox', id: 'fallback', role: 'switch' });
  fallback.addEventListener('change', async () => tell(await lab.set({ fallback: fallback.checked })));
  const element = h(
    'section',
    { class: 'card controls', 'aria-label': 'Controls' },
    h('div', { class: 'settings' }, ...FIELDS.map((field) => typed(field, lab, tell))),
    h(
      'div',
      { class: 'row faults', role: 'group', 'aria-label': 'What happens to the lanes' },
      h('button', { type: 'button', onclick: act(() => lab.cut()) }, 'Cut the connection'),
      ...toggles.map(({ button }) => button),
      restart,
    ),
    h(
      'div',
      { class: 'row' },
      h('label', { class: 'switch' }, fallback, 'Let lanes fall back to the next transport'),
      h('button', { type: 'button', class: 'again', onclick: again }, 'Start over'),
    ),
  );
  const show = () => {
    for (const { name, button } of toggles) button.setAttribute('aria-pressed', String(lab.faults[name]));
    restart.disabled = lab.restarting;
  };
  return { element, show };
}

function typed(
  { id, label, unit, min, max, step, value, settings }: Field,
  lab: Lab,
  tell: (trouble: string) => void,
): HTMLElement {
  const input = h('input', { type: 'number', id, min, max, step, value, inputmode: 'decimal', autocomplete: 'off' });
  let set = String(value);
  input.addEventListener('change', async () => {
    const wanted = Number.isFinite(input.valueAsNumber) ? input.valueAsNumber : Number(set);
    const bounded = Math.min(max, Math.max(min, step === '1' ? Math.round(wanted) : wanted));
    const trouble = await lab.set(settings(bounded));
    if (!trouble) set = String(bounded);
    input.value = set;
    tell(trouble || (bounded === wanted ? '' : `${label}: from ${min} to ${max.toLocaleString('en')} ${unit}.`));
  });
  return h(
    'label',
    { class: 'field' },
    h('span', {}, label),
    h('span', { class: 'with-unit' }, input, h('span', {}, unit)),
  );
}
