// The questions, as a form; every change is an answer at once.

import { fill, h } from '../dom';
import type { Example } from './advice';
import { nearest, type Quantity } from './quantity';
import { QUESTIONS, type Question, type Situation } from './situation';

type Listener = (situation: Situation) => void;

/** The form. It holds the answers, and tells `onChange` of each that a person gives. */
export class Questions {
  readonly element: HTMLFormElement;
  readonly #fields: Field[];
  readonly #start = h('select', { id: 'start' }, h('option', { value: '' }, 'your own'));
  readonly #onChange: Listener;
  #examples: Example[] = [];
  #situation: Situation;

  constructor(situation: Situation, onChange: Listener) {
    this.#situation = situation;
    this.#onChange = onChange;
    this.#fields = QUESTIONS.map((question) => field(question, (value) => this.#answer(question.field, value)));
    this.#start.addEventListener('change', () => {
      const example = this.#examples.find(({ name }) => name === this.#start.value);
      if (example) this.set({ ...example.situation, network: this.#situation.network });
    });
    this.element = h(
      'form',
      { class: 'card questions', 'aria-label': 'Your application' },
      h('label', { class: 'start' }, 'Start from', this.#start),
      ...this.#fields.map(({ element }) => element),
    );
    this.element.addEventListener('submit', (event) => event.preventDefault());
    this.#show();
  }

  get situation(): Situation {
    return this.#situation;
  }

  /** Other answers, as if a person had given them. */
  set(situation: Situation): void {
    this.#situation = situation;
    this.#show();
    this.#onChange(situation);
  }

  /** Offers these to start from. */
  offer(examples: Example[]): void {
    this.#examples = examples;
    this.#start.append(...examples.map(({ name }) => h('option', {}, name)));
    this.#mark();
  }

  #answer(name: keyof Situation, value: string | number): void {
    this.#situation = { ...this.#situation, [name]: value };
    this.#mark();
    this.#onChange(this.#situation);
  }

  #show(): void {
    this.#fields.forEach((one, index) => {
      const question = QUESTIONS[index];
      if (question) one.show(this.#situation[question.field]);
    });
    this.#mark();
  }

  /** Says which example these answers are, whoever chose them. The network is each reader's own. */
  #mark(): void {
    const same = ({ situation }: Example) =>
      QUESTIONS.every(({ field }) => field === 'network' || situation[field] === this.#situation[field]);
    this.#start.value = this.#examples.find(same)?.name ?? '';
  }
}

interface Field {
  element: HTMLElement;
  show: (value: string | number) => void;
}

function field(question: Question, answer: (value: string | number) => void): Field {
  return 'choices' in question
    ? choice(question, answer)
    : amount(question.flag, question.title, question.hint, question.quantity, answer);
}

function choice(question: Extract<Question, { choices: unknown }>, answer: (value: string) => void): Field {
  const radios = question.choices.map(({ value }) =>
    h('input', { type: 'radio', name: question.flag, value, onchange: () => answer(value) }),
  );
  const options = question.choices.map(({ title, help }, index) =>
    h('label', { class: 'option' }, radios[index], h('span', {}, title, h('small', {}, help))),
  );
  return {
    element: h('fieldset', { id: `question-${question.flag}` }, h('legend', {}, question.title), ...options),
    show(value) {
      for (const radio of radios) radio.checked = radio.value === value;
    },
  };
}

function amount(name: string, title: string, hint: string, quantity: Quantity, answer: (value: number) => void): Field {
  const text = h('input', {
    id: name,
    name,
    autocomplete: 'off',
    autocapitalize: 'none',
    spellcheck: 'false',
    'aria-describedby': `${name}-hint`,
  });
  const slider = h('input', {
    type: 'range',
    min: 0,
    max: quantity.steps.length - 1,
    'aria-label': `${title} By steps`,
  });
  const help = h('small', { id: `${name}-hint`, hidden: true });
  const slide = (value: number) => {
    slider.value = String(nearest(quantity.steps, value));
    slider.setAttribute('aria-valuetext', quantity.words(value));
  };
  const judge = (wrong: boolean) => {
    text.toggleAttribute('aria-invalid', wrong);
    help.hidden = !wrong;
    fill(help, wrong ? `Write it as ${hint}.` : '');
  };
  text.addEventListener('input', () => {
    const value = quantity.parse(text.value);
    judge(value === undefined);
    if (value === undefined) return;
    slide(value);
    answer(value);
  });
  slider.addEventListener('input', () => {
    const value = quantity.steps[slider.valueAsNumber] ?? 0;
    text.value = quantity.format(value);
    slider.setAttribute('aria-valuetext', quantity.words(value));
    judge(false);
    answer(value);
  });
  return {
    element: h('div', { class: 'amount' }, h('label', { for: name }, title), slider, text, help),
    show(value) {
      text.value = quantity.format(Number(value));
      judge(false);
      slide(Number(value));
    },
  };
}
