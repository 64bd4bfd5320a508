// The probe's button, and what it found, in words.

import { fill, h } from '../dom';
import { say } from '../say';
import { milliseconds } from '../words';
import { type Finding, type Held, network, probe, SILENT_MAX_S, type Tried } from './probe';
import { type Choice, QUESTIONS } from './situation';

const TIMES = [
  { value: 0, title: 'not at all' },
  { value: 5, title: '5 s' },
  { value: 30, title: '30 s' },
  { value: 60, title: '1 min' },
  { value: 180, title: '3 min' },
  { value: 600, title: '10 min' },
];

/** Stands under the question what lies between, and answers it. */
export class ProbePanel {
  readonly element: HTMLElement;
  readonly #button = h('button', { type: 'button' }, 'Probe this network');
  readonly #idle = h('select', {}, ...TIMES.map(({ value, title }) => h('option', { value }, title)));
  readonly #progress = h('p', { class: 'quiet', hidden: true });
  readonly #found = h('div', { class: 'found' });
  readonly #onFound: (network: string) => void;
  #running: AbortController | undefined;

  constructor(onFound: (network: string) => void) {
    this.#onFound = onFound;
    this.#button.addEventListener('click', () => {
      if (this.#running) this.#running.abort();
      else void this.#run();
    });
    this.element = h(
      'div',
      { class: 'probe' },
      h('div', { class: 'row' }, this.#button, h('label', { class: 'inline' }, 'and hold connections', this.#idle)),
      this.#progress,
      this.#found,
    );
  }

  async #run(): Promise<void> {
    const running = new AbortController();
    this.#running = running;
    this.#button.textContent = 'Stop';
    this.#idle.disabled = true;
    this.#progress.hidden = false;
    fill(this.#found);
    say('Probing the network');
    try {
      this.#show(
        await probe(Number(this.#idle.value), running.signal, (what) => {
          this.#progress.textContent = what;
        }),
      );
    } catch (error) {
      const why = running.signal.aborted ? 'Stopped.' : `Nothing was found: ${(error as Error).message}.`;
      fill(this.#found, h('p', { class: running.signal.aborted ? 'quiet' : 'notice bad' }, why));
      say(why);
    } finally {
      this.#running = undefined;
      this.#button.textContent = 'Probe this network';
      this.#idle.disabled = false;
      this.#progress.hidden = true;
    }
  }

  #show(finding: Finding): void {
    const answer = network(finding);
    const longPoll = finding['long-poll'];
    const between = choices().find(({ value }) => value === answer)?.title ?? answer;
    fill(
      this.#found,
      h(
        'dl',
        {},
        ...row('Round trip', milliseconds(finding.round_trip_ms), 'good'),
        ...row('WebSocket', ...tried(finding.ws, 'let through')),
        ...row('SSE', ...tried(finding.sse, 'not held back')),
        ...row('Long-poll', ...tried(longPoll, 'answered')),
        ...(finding.silent ? row('Silent request', ...held(finding.silent, SILENT_MAX_S)) : []),
        ...(finding.stream ? row('Stream', ...held(finding.stream)) : []),
      ),
      h('p', { class: 'quiet small' }, `So, “${between}” is chosen above. ${away()}`),
    );
    say(`The network was probed: ${between}`);
    this.#onFound(answer);
  }
}

const row = (name: string, words: string, kind: string) => [
  h('dt', {}, name),
  h('dd', {}, h('span', { class: `state ${kind}` }, words)),
];

function tried({ opened_ms, trouble }: Tried, works: string): [string, string] {
  if (opened_ms === undefined) return [`does not work: ${trouble}`, 'bad'];
  return [`${works}, ${milliseconds(opened_ms)}`, 'good'];
}

function held({ seconds, cut_after_s }: Held, most?: number): [string, string] {
  if (cut_after_s !== undefined) return [`cut after ${cut_after_s.toFixed(1)} s`, 'bad'];
  return [`alive after ${seconds} s${most === seconds ? ', the longest that a node is silent' : ''}`, 'good'];
}

/** A page on the node's own machine sees nothing of the way to its users. */
const away = () =>
  `This page is on the node’s own machine: for the way to a node elsewhere, run tidings advise --probe --url https://…`;

function choices(): Choice[] {
  const question = QUESTIONS.find(({ field }) => field === 'network');
  return question && 'choices' in question ? question.choices : [];
}
