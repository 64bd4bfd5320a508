import '../style/base.css';
import './advisor.css';
import { byId, fill, h } from '../dom';
import { ask, examples } from './advice';
import { Answer, headline } from './answer';
import { ProbePanel } from './probe-panel';
import { Questions } from './questions';
import { fromQuery, type Situation, toQuery } from './situation';

/** Between a change and the question to the node: a slider that is dragged asks a few times, and not for each step. */
const CALM_MS = 80;

let asked: AbortController | undefined;
let calm = 0;

const { situation: first, unread } = fromQuery(location.search);
const short = h('a', { href: '#answer', class: 'short' }, 'Asking…');
const answer = new Answer((situation) => questions.set(situation));
const questions = new Questions(first, changed);
const panel = new ProbePanel((network) => questions.set({ ...questions.situation, network }));

fill(
  byId('main'),
  h('h1', {}, 'Advisor'),
  h(
    'p',
    { class: 'lead' },
    'Which transport, which guarantee, and what it costs. The node answers as you change the questions, by the rules of ',
    h('code', {}, 'tidings advise'),
    '; the address holds your answers, to be sent to somebody.',
  ),
  unread.length > 0 &&
    h(
      'p',
      { class: 'notice unread' },
      `The address has what is no answer (${unread.join(', ')}); the usual one stands there.`,
    ),
  h('div', { class: 'desk' }, questions.element, answer.element),
  short,
);
questions.element.querySelector('#question-network')?.append(panel.element);
examples().then(
  (all) => questions.offer(all),
  // Without examples the page is still whole; what is wrong is told by the answer.
  () => {},
);
// Where the answer is in sight, its line below is not needed.
new IntersectionObserver(([seen]) => short.classList.toggle('needless', seen?.isIntersecting)).observe(answer.element);
void advise(first);

function changed(situation: Situation): void {
  history.replaceState(null, '', toQuery(situation) + location.hash);
  answer.wait();
  clearTimeout(calm);
  calm = setTimeout(() => void advise(situation), CALM_MS);
}

async function advise(situation: Situation): Promise<void> {
  asked?.abort();
  const mine = new AbortController();
  asked = mine;
  try {
    const advice = await ask(situation, mine.signal);
    if (asked !== mine) return;
    answer.show(advice);
    short.textContent = headline(advice.decision.ladder, advice.decision.delivery);
  } catch (error) {
    if (asked !== mine) return;
    answer.fail((error as Error).message, () => void advise(situation));
    short.textContent = 'There is no answer';
  }
}
