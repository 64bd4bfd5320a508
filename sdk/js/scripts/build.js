// dist/: tidings.js (all in one ES module), tabs.js and react.js beside it, and the types.
//
//   node scripts/build.js [FOLDER]

import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const home = fileURLToPath(new URL('..', import.meta.url));
const out = process.argv[2] ?? `${home}dist`;

rmSync(out, { recursive: true, force: true });
for (const [name, source] of [
  ['tidings', 'index'],
  ['tabs', 'tabs'],
  ['react', 'react'],
]) {
  const file = `${out}/${name}.js`;
  await build({
    absWorkingDir: home,
    entryPoints: [`src/${source}.ts`],
    outfile: file,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    // Loaded when it is needed, and not a part of the main module.
    external: ['./tabs.js', './tidings.js', 'react'],
  });
  // A second look makes it smaller by a thirtieth.
  const options = { module: true, ecma: 2020, compress: { passes: 3, unsafe_arrows: true } };
  writeFileSync(file, `${(await minify(readFileSync(file, 'utf8'), options)).code}\n`);
}
execFileSync(
  process.execPath,
  [
    `${home}node_modules/typescript/bin/tsc`,
    '-p',
    `${home}tsconfig.json`,
    '--emitDeclarationOnly',
    '--outDir',
    `${out}/types`,
  ],
  {
    stdio: 'inherit',
  },
);
