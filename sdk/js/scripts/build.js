// dist/: tidings.js (all in one ES module), tabs.js and react.js beside it, and the types.
//
//   node scripts/build.js [FOLDER]

import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const home = fileURLToPath(new URL('..', import.meta.url));
const out = process.argv[2] ?? `${home}dist`;

rmSync(out, { recursive: true, force: true });
for (const [name, source] of [
  ['tidings', 'index'],
  ['tabs', 'tabs'],
  ['react', 'react'],
]) {
  await build({
    absWorkingDir: home,
    entryPoints: [`src/${source}.ts`],
    outfile: `${out}/${name}.js`,
    bundle: true,
    format: 'esm',
    target: 'es2022',
    minify: true,
    legalComments: 'none',
    // Loaded when it is needed, and not a part of the main module.
    external: ['./tabs.js', './tidings.js', 'react'],
  });
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
