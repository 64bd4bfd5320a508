import '../style/base.css';
import './dashboard.css';
import { byId, fill, h } from '../dom';
import { nodes, type Refused, whenKeyIsWanted } from './api';
import { Channels } from './channels';
import { Clients } from './clients';
import { Cluster } from './cluster';
import { key, mayDoWithout } from './key';
import { Link } from './link';
import { Overview } from './overview';
import { signIn } from './sign-in';
import { type Watching, watch } from './watch';

const VIEWS = [
  { name: 'overview', title: 'Overview' },
  { name: 'channels', title: 'Channels' },
  { name: 'clients', title: 'Clients' },
] as const;
const TICK_MS = 1000;

const tabs = VIEWS.map(({ name, title }) => h('a', { href: `#${name}` }, title));
const leave = h('button', { type: 'button', class: 'slim', hidden: true }, 'Forget the key');
const link = new Link();
const body = h('div', { id: 'body' });
const nav = h('nav', { class: 'views', 'aria-label': 'Views', hidden: true }, ...tabs);

/** What is there while somebody who may looks. */
interface Session {
  watching: Watching;
  cluster: Cluster;
  overview: Overview;
  channels: Channels;
  clients: Clients;
  ticking: number;
}
let session: Session | undefined;

fill(
  byId('main'),
  h('div', { class: 'row between head' }, h('h1', {}, 'Dashboard'), h('div', { class: 'row' }, link.element, leave)),
  nav,
  body,
);
leave.addEventListener('click', () => {
  key.forget();
  void begin();
});
addEventListener('hashchange', () => route());
whenKeyIsWanted((error) => {
  if (!session) return;
  end();
  key.forget();
  ask(error);
});
void begin();

/** Looks, or asks for a key first. */
async function begin(): Promise<void> {
  end();
  if (key.get() === undefined && !mayDoWithout()) {
    ask();
    return;
  }
  fill(body, h('p', { class: 'quiet' }, 'Asking the node…'));
  try {
    const first = await nodes();
    start(first.nodes);
  } catch (error) {
    const refused = error as Refused;
    if (refused.wantsKey) ask(refused);
    else {
      const again = h('button', { type: 'button', onclick: () => void begin() }, 'Try again');
      fill(body, h('div', { class: 'notice bad row between', role: 'alert' }, h('p', {}, refused.message), again));
    }
  }
}

function ask(why?: Refused): void {
  standAlone();
  nav.hidden = true;
  leave.hidden = true;
  link.element.hidden = true;
  signIn(body, why, () => void begin());
}

/** A node that wants a key serves no other pages. */
function standAlone(): void {
  document.querySelector('.bar nav')?.setAttribute('hidden', '');
  document.querySelector('.brand')?.setAttribute('href', '/dashboard');
}

function start(first: Parameters<Cluster['add']>[0][]): void {
  const cluster = new Cluster();
  for (const said of first) cluster.add(said, Date.now(), false);
  const overview = new Overview();
  const show = () => {
    link.show();
    if (!document.hidden && overview.element.isConnected) overview.show(cluster, Date.now());
  };
  const watching = watch(
    (said) => cluster.add(said, Date.now()),
    (state) => link.take(state),
    (error) => {
      end();
      ask(error as Refused);
    },
  );
  const channels = new Channels(() => watching.client);
  session = { watching, cluster, overview, channels, clients: new Clients(), ticking: setInterval(show, TICK_MS) };
  nav.hidden = false;
  link.element.hidden = false;
  leave.hidden = key.get() === undefined;
  if (key.get() !== undefined) standAlone();
  route();
  show();
}

function end(): void {
  if (!session) return;
  clearInterval(session.ticking);
  session.channels.hide();
  session.clients.hide();
  session.watching.stop();
  session = undefined;
}

/** Shows what the address names. */
function route(): void {
  if (!session) return;
  const [name = '', ...rest] = location.hash.slice(1).split('/');
  const view = VIEWS.find((one) => one.name === name)?.name ?? 'overview';
  tabs.forEach((tab, index) => {
    if (VIEWS[index]?.name === view) tab.setAttribute('aria-current', 'true');
    else tab.removeAttribute('aria-current');
  });
  const shown = session[view].element;
  if (!shown.isConnected) fill(body, shown);
  if (view !== 'channels') session.channels.hide();
  if (view !== 'clients') session.clients.hide();
  if (view === 'channels') session.channels.show(decoded(rest.join('/')));
  if (view === 'clients') session.clients.show();
  if (view === 'overview') session.overview.show(session.cluster, Date.now());
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
