// A table whose rows stay the same elements while their texts change, so that focus and selection stay where they are.

import { fill, h } from '../dom';

export interface Column<Item> {
  title: string;
  /** Whether the title is for listeners alone. */
  unseen?: boolean;
  /** Whether its values stand at the right. */
  number?: boolean;
  text?: (item: Item) => string;
  /** A class of the text, as `good`. */
  kind?: (item: Item) => string;
  /** In the place of a text: made once for a row; `item()` is what the row is of now. */
  make?: (item: () => Item) => Node;
  /** Whether there is one, of what is made. */
  when?: (item: Item) => boolean;
}

interface Row<Item> {
  element: HTMLTableRowElement;
  item: Item;
  cells: HTMLElement[];
}

/** On a narrow screen each row is a card, with the titles beside the values. */
export class Table<Item> {
  readonly element: HTMLElement;
  readonly #columns: Column<Item>[];
  readonly #key: (item: Item) => string;
  readonly #body = h('tbody', { role: 'rowgroup' });
  readonly #table: HTMLElement;
  readonly #note = h('p', { class: 'quiet empty' });
  readonly #rows = new Map<string, Row<Item>>();

  constructor(label: string, key: (item: Item) => string, columns: Column<Item>[]) {
    this.#columns = columns;
    this.#key = key;
    const heads = columns.map(({ title, number, unseen }) =>
      h(
        'th',
        { scope: 'col', role: 'columnheader', class: number ? 'number' : null },
        unseen ? h('span', { class: 'visually-hidden' }, title) : title,
      ),
    );
    this.#table = h(
      'table',
      { class: 'cards', role: 'table', 'aria-label': label, hidden: true },
      h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, ...heads)),
      this.#body,
    );
    this.element = h('div', {}, this.#table, this.#note);
  }

  /** Shows these, in this order. `note` stands below them: why there are none, or how many more there are. */
  show(items: Item[], note = ''): void {
    const rows = items.map((item) => this.#row(item));
    const kept = new Set(rows);
    for (const [key, row] of this.#rows) {
      if (kept.has(row)) continue;
      row.element.remove();
      this.#rows.delete(key);
    }
    rows.forEach(({ element }, index) => {
      if (this.#body.children[index] !== element) this.#body.insertBefore(element, this.#body.children[index] ?? null);
    });
    this.#table.hidden = items.length === 0;
    this.#note.hidden = note === '';
    if (this.#note.textContent !== note) fill(this.#note, note);
  }

  #row(item: Item): Row<Item> {
    const key = this.#key(item);
    const row = this.#rows.get(key) ?? this.#make(key, item);
    row.item = item;
    this.#columns.forEach(({ text, kind, when }, index) => {
      const cell = row.cells[index];
      if (cell && when) cell.hidden = !when(item);
      if (!cell || !text) return;
      const words = text(item);
      if (cell.textContent !== words) cell.textContent = words;
      const name = kind?.(item) ?? '';
      if (cell.className !== name) cell.className = name;
    });
    return row;
  }

  #make(key: string, item: Item): Row<Item> {
    const row: Row<Item> = { element: h('tr', { role: 'row' }), item, cells: [] };
    for (const { title, number, unseen, make } of this.#columns) {
      const cell = h(
        'span',
        {},
        make?.(() => row.item),
      );
      row.cells.push(cell);
      row.element.append(
        h('td', { role: 'cell', 'data-title': unseen ? null : title, class: number ? 'number' : null }, cell),
      );
    }
    this.#rows.set(key, row);
    return row;
  }
}
