// Three pages, built to dist/, whose names stay the same from build to build: the node answers with entity tags, and
// a rebuild of the same source is the same bytes.

import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

const PAGES = [
  { name: 'lab', title: 'Lab' },
  { name: 'advisor', title: 'Advisor' },
  { name: 'dashboard', title: 'Dashboard' },
];

const ICON =
  "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E%3Cpath d='M2 4h12M2 8h12M2 12h7' stroke='%230f766e' stroke-width='2' stroke-linecap='round'/%3E%3C/svg%3E";

/** What all pages have: in the head, and the bar above them. It is there before any script is. */
function chrome(): Plugin {
  return {
    name: 'chrome',
    transformIndexHtml: {
      order: 'pre',
      handler(html, { filename }) {
        const here = PAGES.find(({ name }) => filename.endsWith(`/${name}.html`));
        const links = [
          { path: '/', title: 'Demo', name: 'demo' },
          ...PAGES.map((page) => ({ ...page, path: `/${page.name}` })),
        ]
          .map(
            ({ path, title, name }) =>
              `<a href="${path}"${name === here?.name ? ' aria-current="page"' : ''}>${title}</a>`,
          )
          .join('');
        const head = `<meta charset="utf-8">
  <title>${here?.title} · Tidings</title>
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <link rel="icon" href="${ICON}">`;
        const bar = `<a class="skip" href="#main">Skip to the content</a>
  <header class="bar"><a class="brand" href="/">Tidings</a><nav aria-label="Pages">${links}</nav></header>`;
        return html.replace('<!-- head -->', head).replace('<!-- bar -->', bar);
      },
    },
  };
}

export default defineConfig({
  base: '/pages/',
  plugins: [chrome()],
  build: {
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      input: PAGES.map(({ name }) => fileURLToPath(new URL(`${name}.html`, import.meta.url))),
      // The SDK is the one that the node serves to everybody.
      external: ['/sdk/tidings.js'],
      output: {
        entryFileNames: '[name].js',
        chunkFileNames: '[name].js',
        assetFileNames: '[name][extname]',
      },
    },
  },
});
