// What is asked, and how it stands in the address, so that an answer can be sent to somebody.

import { BYTES, EVERY, FRESH, type Quantity, USERS } from './quantity';

/** The answers to all questions, as `POST /dev/advise` takes them. */
export interface Situation {
  sends: string;
  fresh_s: number;
  every_s: number;
  users: number;
  bytes: number;
  loss: string;
  network: string;
}

/** One of a few answers. */
export interface Choice {
  value: string;
  title: string;
  help: string;
}

type Choices = { field: 'sends' | 'loss' | 'network'; flag: string; title: string; choices: Choice[] };
type Amount = {
  field: 'fresh_s' | 'every_s' | 'users' | 'bytes';
  flag: string;
  title: string;
  hint: string;
  quantity: Quantity;
};
export type Question = Choices | Amount;

/** The questions of `tidings advise`, in its order; `flag` is the flag there, and the key in the address. */
export const QUESTIONS: Question[] = [
  {
    field: 'sends',
    flag: 'sends',
    title: 'Does a client send, or only receive?',
    choices: [
      { value: 'never', title: 'It only receives', help: 'news, prices, notifications' },
      { value: 'sometimes', title: 'Now and then', help: 'chat, orders, bids' },
      { value: 'often', title: 'Once a second or more', help: 'typing, cursors, games' },
    ],
  },
  {
    field: 'fresh_s',
    flag: 'fresh',
    title: 'How old may news be when it is shown?',
    hint: '500ms, 10s, 5m',
    quantity: FRESH,
  },
  {
    field: 'every_s',
    flag: 'every',
    title: 'How often does something change, for one user?',
    hint: '200ms, 30s, 1d',
    quantity: EVERY,
  },
  {
    field: 'users',
    flag: 'users',
    title: 'How many users are there at the same time?',
    hint: '500, 20k, 1M',
    quantity: USERS,
  },
  { field: 'bytes', flag: 'bytes', title: 'How many bytes has a message?', hint: '200, 4k', quantity: BYTES },
  {
    field: 'loss',
    flag: 'loss',
    title: 'May a message be lost?',
    choices: [
      { value: 'never', title: 'No, each counts', help: 'orders, chat, what a page builds its state from' },
      { value: 'allowed', title: 'Yes, the next one makes up for it', help: 'positions, prices, presence' },
    ],
  },
  {
    field: 'network',
    flag: 'network',
    title: 'What lies between?',
    choices: [
      { value: 'direct', title: 'Proxies of your own, or none', help: 'set up as docs/proxies.md says' },
      { value: 'unknown', title: 'Nobody knows', help: 'offices, hotels, mobile networks' },
      { value: 'no-upgrades', title: 'Something that lets no WebSocket through', help: 'some corporate proxies' },
      { value: 'buffering', title: 'Something that holds responses back', help: 'until they are whole' },
    ],
  },
];

/** Those of `tidings advise`. */
export const DEFAULTS: Readonly<Situation> = {
  sends: 'never',
  fresh_s: 1,
  every_s: 30,
  users: 1000,
  bytes: 200,
  loss: 'never',
  network: 'unknown',
};

/** The answers that an address holds, and what of it was none; what it does not answer is the default. */
export function fromQuery(query: string): { situation: Situation; unread: string[] } {
  const given = new URLSearchParams(query);
  const situation = { ...DEFAULTS };
  const unread: string[] = [];
  for (const question of QUESTIONS) {
    const text = given.get(question.flag);
    if (text === null) continue;
    if ('choices' in question) {
      if (question.choices.some(({ value }) => value === text)) situation[question.field] = text;
      else unread.push(`${question.flag}=${text}`);
    } else {
      const value = question.quantity.parse(text);
      if (value !== undefined) situation[question.field] = value;
      else unread.push(`${question.flag}=${text}`);
    }
  }
  return { situation, unread };
}

/** All answers as a query, `?` included. */
export function toQuery(situation: Situation): string {
  return `?${new URLSearchParams(answers(situation).map(({ flag, text }) => [flag, text]))}`;
}

/** The command that answers the same. */
export function command(situation: Situation): string {
  return ['tidings advise', ...answers(situation).map(({ flag, text }) => `--${flag} ${text}`)].join(' ');
}

function answers(situation: Situation): { flag: string; text: string }[] {
  return QUESTIONS.map((question) => ({
    flag: question.flag,
    text: 'choices' in question ? situation[question.field] : question.quantity.format(situation[question.field]),
  }));
}
